"""Exact falsification: a claim is refuted where the messages kept back prove its violation rate above epsilon."""

from __future__ import annotations

import math
from functools import lru_cache

from .settings import DiscoverySettings
from .spec import quantise


@lru_cache(maxsize=65536)
def violation_lower_bound(violations: int, trials: int, confidence: float) -> float:
    """
    Return the one-sided lower bound of the violation rate, a multiple of 2**-16.

    The exact binomial bound of C. Clopper and E. Pearson (1934): the smallest rate at which so many violations or more
    have a probability of at least ``1 - confidence``; 0 without violations.
    """
    if violations <= 0 or trials <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if _tail(violations, trials, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return quantise(low)


def refuted(violations: int, trials: int, settings: DiscoverySettings) -> bool:
    """Return whether the violation rate is above ``settings.epsilon`` with ``settings.confidence``."""
    return violation_lower_bound(violations, trials, settings.confidence) > settings.epsilon


def _tail(violations: int, trials: int, rate: float) -> float:
    """Return P(X >= violations) for X binomial of this rate, summed over the shorter side."""
    below = violations <= trials - violations
    values = range(violations) if below else range(violations, trials + 1)
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    whole = math.lgamma(trials + 1)
    total = math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_rate + (trials - k) * log_rest)
        for k in values
    )
    return 1 - total if below else total
