"""What flows say of a byte column before types are known: whether answers follow from questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sample import FlowSample
from .columns import CANDIDATES, MISSING

MESSAGES = 2048  # of flows that are read
MIN_TURNS = 9  # fewer pairs of a question and its answer tell nothing
MIN_ENTROPY = 0.1  # bits a question and an answer must have, for their dependence to be a share

_CODES = MISSING + 1


@dataclass(frozen=True)
class Conversations:
    """
    The first bytes of messages in the order of their flows.

    Attributes:
        values: (m, CANDIDATES) int64, the byte, or MISSING past the end of a message.
        turns: int64, rows that the next row answers: the same flow, the other direction.
    """

    values: NDArray[np.int64]
    turns: NDArray[np.int64]

    @classmethod
    def read(cls, flows: FlowSample) -> Conversations:
        """Read the first messages of sampled flows; messages of unknown flow or direction answer nothing."""
        view = flows.view.take(slice(0, MESSAGES))
        front, exists = view.front(CANDIDATES)
        flow, direction = view.flow, view.direction
        known = (flow != 0) & (direction != 0)
        answered = (flow[1:] == flow[:-1]) & (direction[1:] != direction[:-1]) & known[1:] & known[:-1]
        return cls(np.where(exists, front.astype(np.int64), MISSING), np.flatnonzero(answered))

    def answers(self, offset: int) -> float:
        """
        Return how far a column of answers follows from the same column of the questions.

        Mutual information over the lesser of the two entropies, 0 to 1, a multiple of 1/256; zero where there are too
        few turns, or one side does not vary.
        """
        if len(self.turns) < MIN_TURNS:
            return 0.0
        question, answer = self.values[self.turns, offset], self.values[self.turns + 1, offset]
        asked, told = _entropy(question), _entropy(answer)
        both = _entropy(question * _CODES + answer)
        return round((asked + told - both) / max(min(asked, told), MIN_ENTROPY) * 256) / 256


def _entropy(codes: NDArray[np.int64]) -> float:
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / len(codes)
    return round(float(-(shares * np.log2(shares)).sum()) * 256) / 256
