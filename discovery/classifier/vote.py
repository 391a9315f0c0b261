"""The calibrated soft vote: weighted sums of the members' log probabilities, weights fitted on captures left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3  # added to a forest's shares: no tree has seen everything
MOST = 32  # sizes of groups that the vote was fitted on end here

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Vote:
    """
    How much each member counts, by the size of the group.

    Attributes:
        base, growth: float64 (3,), of forest, convolution and recurrence: a weight is base + growth * log2(messages).
        doubt: float64 (2), base and growth of what is added to the unknown class (the last one).
    """

    base: NDArray[np.float64]
    growth: NDArray[np.float64]
    doubt: NDArray[np.float64]

    def probabilities(self, logs: NDArray[np.float32], sizes: NDArray[np.int64]) -> Array:
        """Return (groups, classes), each row summing to one, from (members, groups, classes) log probabilities."""
        doublings = np.log2(np.clip(sizes, 1, MOST))
        weights = self.base[:, None] + self.growth[:, None] * doublings[None, :]
        total = np.einsum("mg,mgc->gc", weights, logs.astype(np.float64))
        total[:, -1] += self.doubt[0] + self.doubt[1] * doublings
        return np.asarray(np.exp(log_softmax(total)), np.float32)


def log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of the softmax over the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    made: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return made
