"""Inside–outside EM: probabilities of rules until the held-out likelihood stops rising."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .escape import Escape
from .forest import Forests
from .rules import RuleSet, by_left

PRIOR = 0.05  # pseudo-count of each rule, so that a rule that proposing messages lack keeps a chance
_RISE = 2.0**-10  # bits per message below which the likelihood counts as no longer rising


@dataclass(frozen=True)
class Trained:
    """
    The outcome of EM.

    Attributes:
        probabilities: of the rules, those of the iteration of best held-out likelihood.
        likelihoods: held-out bits per message after each iteration.
    """

    probabilities: NDArray[np.float64]
    likelihoods: list[float]


def train(
    start: RuleSet,
    forests: Forests,
    escape: Escape,
    proposing: NDArray[np.float64],
    held_out: NDArray[np.float64],
    iterations: int,
) -> Trained:
    """
    Estimate rule probabilities (Lari and Young 1990).

    Args:
        start: the rules and the probabilities to begin with.
        forests: of the distinct sequences; escape: what a sequence without a derivation costs.
        proposing, held_out: weight of each sequence in the counts, and in the likelihood that stops the iteration
            (where it is all zero, the proposing weights take its place).
        iterations: upper bound.
    """
    judge = held_out if held_out.any() else proposing
    probabilities = best = start.probabilities
    logs, counts = forests.expect(probabilities, proposing)
    lowest = escape.bits_per_message(logs, judge)
    likelihoods: list[float] = []
    for _ in range(iterations):
        probabilities = by_left(start.rules, len(start.names), counts + PRIOR)
        logs, counts = forests.expect(probabilities, proposing)
        bits = escape.bits_per_message(logs, judge)
        if lowest - bits < _RISE:
            break
        likelihoods.append(bits)
        lowest, best = bits, probabilities
    return Trained(best, likelihoods or [lowest])
