"""What flows say of a byte column before types are known: whether answers follow from questions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from ..sample import Sample
from .columns import CANDIDATES, MISSING

MESSAGES = 2048  # of flows that are read
MIN_TURNS = 9  # fewer pairs of a question and its answer tell nothing
MIN_ENTROPY = 0.1  # bits a question and an answer must have, for their dependence to be a share
FLOW_MESSAGES = 2  # of a path, from which a flow counts
MIN_FLOWS = 3
STAYS = 0.6  # share of such flows in which a column has one value, to be of the flow

_CODES = MISSING + 1

Path = tuple[tuple[int, int, int], ...]  # offsets, masks, and the values there


@dataclass(frozen=True)
class Conversations:
    """
    The first bytes of messages in the order of their flows.

    Attributes:
        values: (m, CANDIDATES) int64, the byte, or MISSING past the end of a message.
        turns: int64, rows from the client that the next row, of the same flow and from the server, answers.
        flow: (m,) int64, 0 where unknown or kept from proposing.
    """

    values: NDArray[np.int64]
    turns: NDArray[np.int64]
    flow: NDArray[np.int64]
    _told: dict[int, float] = field(default_factory=dict, compare=False)  # what answers say, by offset

    @classmethod
    def read(cls, sample: Sample) -> Conversations:
        """Read the first messages of sampled flows; those kept back, or of no known flow, tell nothing."""
        view = sample.flows.view.take(slice(0, MESSAGES))
        front, exists = view.front(CANDIDATES)
        flow, direction = view.flow, view.direction
        kept_back = {sample.view.payload(row) for row in np.flatnonzero(sample.held_out).tolist()}
        proposing = np.array([view.payload(row) not in kept_back for row in range(len(view))], np.bool_)
        known = (flow != 0) & proposing
        asks, tells = known & (direction == CLIENT_TO_SERVER), known & (direction == SERVER_TO_CLIENT)
        answered = (flow[1:] == flow[:-1]) & asks[:-1] & tells[1:]
        values = np.where(exists, front.astype(np.int64), MISSING)
        return cls(values, np.flatnonzero(answered), np.where(known, flow, 0).astype(np.int64))

    def answers(self, offset: int) -> float:
        """
        Return how far a column of answers follows from the same column of the questions.

        Mutual information over the lesser of the two entropies, 0 to 1, a multiple of 1/256; zero where there are too
        few turns, or one side does not vary.
        """
        if len(self.turns) < MIN_TURNS:
            return 0.0
        if offset not in self._told:
            self._told[offset] = self._follows(offset)
        return self._told[offset]

    def _follows(self, offset: int) -> float:
        question, answer = self.values[self.turns, offset], self.values[self.turns + 1, offset]
        asked, told = _entropy(question), _entropy(answer)
        both = _entropy(question * _CODES + answer)
        return round((asked + told - both) / max(min(asked, told), MIN_ENTROPY) * 256) / 256

    def stays(self, offset: int, path: Path) -> bool:
        """
        Say whether a column keeps its value in a flow, among messages that share the values of a path.

        What stays is of the flow (an identifier, a version, a setting) rather than of the message. Only flows of
        several such messages count, and three of them must.
        """
        rows = self.flow > 0
        for above, mask, value in path:
            rows &= (self.values[:, above] != MISSING) & (self.values[:, above] & mask == value)
        _, flow, counts = np.unique(self.flow[rows], return_inverse=True, return_counts=True)
        several = counts >= FLOW_MESSAGES
        if several.sum() < MIN_FLOWS:
            return False
        changes = np.zeros(len(counts), np.bool_)
        first = np.full(len(counts), -1, np.int64)
        column = self.values[rows, offset]
        first[flow[::-1]] = column[::-1]
        changes[flow[column != first[flow]]] = True
        return float((several & ~changes).sum()) >= STAYS * float(several.sum())


def _entropy(codes: NDArray[np.int64]) -> float:
    ordered = np.sort(codes)
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    counts = edges[1:] - edges[:-1]
    shares = counts / len(codes)
    return round(float(-(shares * np.log2(shares)).sum()) * 256) / 256
