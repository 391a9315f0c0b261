"""The calibrated soft vote: which known protocol, and whether it is one of them; fitted on captures left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3  # added to a forest's shares: no tree has seen everything
MOST = 32  # sizes of groups that the vote was fitted on end here
SIGNS = 6  # what speaks for the unknown: a constant, the size, the members' odds, how sure the vote is of its first

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Vote:
    """
    How much each member counts, by the size of the group.

    Attributes:
        base, growth: float64 (3,), of forest, convolution and recurrence: base + growth * log2(messages) multiplies the
            log probability of a class given that the protocol is known.
        doubt: float64 (SIGNS,), weights of the signs of an unknown protocol; their sum is the logarithm of its odds.
    """

    base: NDArray[np.float64]
    growth: NDArray[np.float64]
    doubt: NDArray[np.float64]

    def probabilities(self, logs: NDArray[np.float32], sizes: NDArray[np.int64]) -> Array:
        """Return (groups, classes), each row summing to one, from (members, groups, classes) log probabilities."""
        doublings = doublings_of(sizes)
        weights = self.base[:, None] + self.growth[:, None] * doublings[None, :]
        known = log_softmax(np.einsum("mg,mgc->gc", weights, given_known(logs)))
        odds = np.clip(signs_of(logs, doublings, known.max(axis=1)) @ self.doubt, -30, 30)
        unknown = 1 / (1 + np.exp(-odds))
        made = np.concatenate([np.exp(known) * (1 - unknown)[:, None], unknown[:, None]], axis=1)
        return np.asarray(made, np.float32)


def doublings_of(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithms to base 2 of sizes of groups, at most that of ``MOST``."""
    made: NDArray[np.float64] = np.log2(np.clip(sizes, 1, MOST))
    return made


def given_known(logs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log probabilities of the protocols, given that it is one of them: without the last class."""
    return log_softmax(logs[..., :-1].astype(np.float64))


def signs_of(
    logs: NDArray[np.float32], doublings: NDArray[np.float64], sure: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (groups, SIGNS): what speaks for a protocol that is not known; ``sure`` is the log of the likeliest."""
    last = np.clip(logs[..., -1].astype(np.float64), -20, -1e-6)
    odds = last - np.log(-np.expm1(last))
    return np.stack([np.ones_like(sure), doublings, *odds, sure], axis=1)


def log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of the softmax over the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    made: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return made
