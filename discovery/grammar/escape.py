"""The cost of a sequence that a grammar does not derive, so that grammars compare on all messages; the flat grammar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHARE = 2.0**-6  # of the probability is kept for sequences without a derivation


class Escape:
    """
    A mixture: 63/64 the grammar, 1/64 independent tokens with the frequencies of the proposing part and an end mark.

    Args:
        sequences, weights: distinct sequences and their weights in the proposing part; terminals: token ids there are.
    """

    def __init__(self, sequences: Sequence[NDArray[np.int64]], weights: NDArray[np.float64], terminals: int) -> None:
        counts = np.ones(terminals + 1)
        for sequence, weight in zip(sequences, weights, strict=True):
            np.add.at(counts, sequence, weight)
            counts[-1] += weight
        bits = -np.log2(counts / counts.sum())
        self._bits = np.array([bits[s].sum() + bits[-1] for s in sequences])

    def bits(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bits of each sequence, given log2 of its probability under a grammar (-inf: none)."""
        return np.asarray(-np.logaddexp2(np.log2(1 - SHARE) + logs, np.log2(SHARE) - self._bits))

    def bits_per_message(self, logs: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        """Return the weighted mean of ``bits``, a multiple of 2**-16; 0 where there is no weight."""
        total = float(weights.sum())
        return round(float(self.bits(logs) @ weights) / total * 65536) / 65536 if total else 0.0


def flat_logs(
    sequences: Sequence[NDArray[np.int64]], weights: NDArray[np.float64], fields: NDArray[np.int64]
) -> NDArray[np.float64]:
    """
    Return log2 P of each sequence under the flat grammar: start → the field sequences seen, field → its values seen.

    Args:
        sequences, weights: distinct sequences and their weights in the proposing part.
        fields: token → field; tokens of one field are its values.
    """
    shapes = [tuple(fields[s].tolist()) for s in sequences]
    seen: Counter[tuple[int, ...]] = Counter()
    values = np.zeros(len(fields))
    for shape, sequence, weight in zip(shapes, sequences, weights, strict=True):
        seen[shape] += weight
        np.add.at(values, sequence, weight)
    per_field = np.bincount(fields, values, len(fields))[fields]
    with np.errstate(divide="ignore", invalid="ignore"):
        value_logs = np.where(values > 0, np.log2(values) - np.log2(per_field), -np.inf)
        shape_logs = np.array([np.log2(seen[shape]) for shape in shapes]) - np.log2(max(float(weights.sum()), 1.0))
    return np.array([shape_logs[i] + value_logs[s].sum() for i, s in enumerate(sequences)])
