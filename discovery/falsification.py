"""Whether messages refute a claim: the exact (Clopper-Pearson, 1934) one-sided bound of a violation rate."""

from __future__ import annotations

import math
from functools import lru_cache

from .settings import DiscoverySettings
from .spec import quantise

_QUANTUM = 2.0**-16
_STEPS = 40  # halvings: far below the quantum of 2**-16


@lru_cache(maxsize=65536)
def violation_lower_bound(violations: int, trials: int, confidence: float) -> float:
    """
    Return the lower end of the exact one-sided interval of the violation rate, a multiple of 2**-16.

    It is the rate at which as many violations or more would be seen with probability 1 - ``confidence``; 0 where there
    are none.

    Args:
        violations: trials in which the claim failed, at most ``trials``.
        confidence: between 0 and 1.
    """
    if violations <= 0:
        return 0.0
    low, high = 0.0, violations / trials
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _tail(violations, trials, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return quantise(low)


def refuted(violations: int, trials: int, settings: DiscoverySettings, epsilon: float | None = None) -> bool:
    """Return whether the violation rate is above ``epsilon`` (None: the settings') with ``settings.confidence``."""
    epsilon = settings.epsilon if epsilon is None else epsilon
    if violations <= trials * (epsilon - _QUANTUM):
        return False  # the bound is below the rate itself
    return _refuted(violations, trials, settings.confidence, epsilon)


@lru_cache(maxsize=65536)
def _refuted(violations: int, trials: int, confidence: float, epsilon: float) -> bool:
    """Tell by the tail at the rate in question; only where the bound is about the same, by the bound itself."""
    if _tail(violations, trials, epsilon + _QUANTUM) < 1 - confidence:
        return True
    if _tail(violations, trials, epsilon - _QUANTUM) >= 1 - confidence:
        return False
    return violation_lower_bound(violations, trials, confidence) > epsilon


def _tail(violations: int, trials: int, rate: float) -> float:
    """Return P(X >= violations) of a binomial variable; the shorter side is summed, from its largest term outwards."""
    if rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    term = math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(violations + 1)
        - math.lgamma(trials - violations + 1)
        + violations * math.log(rate)
        + (trials - violations) * math.log1p(-rate)
    )
    total, odds = 0.0, rate / (1 - rate)
    for k in range(violations, trials + 1):  # rate <= violations / trials: terms fall from here on
        total += term
        if term < total * 2.0**-50:
            break
        term *= (trials - k) / (k + 1) * odds
    return total
