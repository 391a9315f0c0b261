"""What pairs of bytes tell wherever they stand: how free the byte after or before each is, how it sticks together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView

FEATURES = 6
PAIRS = 1 << 16


@dataclass(frozen=True)
class Grams:
    """
    Counts over the first bytes of all messages of a sample.

    Attributes:
        singles: (256,) int64; pairs: (65536,) int64 by first * 256 + second.
        after, before: (65536,) float32, entropy in bits of the byte after and of the byte before each pair (branching
            entropy: Harris 1955; Cohen, Adams and Heeringa, Voting Experts, 2007).
        index: (65536,) int32, the number of each pair among those that occur, else 0; size: how many occur, at least 1.
    """

    singles: NDArray[np.int64]
    pairs: NDArray[np.int64]
    after: NDArray[np.float32]
    before: NDArray[np.float32]
    index: NDArray[np.int32]
    size: int


@njit(cache=True, nogil=True)
def _triples(data, starts, lengths, singles, pairs, forward, backward):  # type: ignore[no-untyped-def]
    """Count bytes and pairs; write triples as pair * 256 + the byte after it, and as pair * 256 + the byte before."""
    found = 0
    for row in range(len(starts)):
        for i in range(starts[row], starts[row] + lengths[row]):
            singles[data[i]] += 1
            if i + 1 < starts[row] + lengths[row]:
                pairs[np.int64(data[i]) << 8 | np.int64(data[i + 1])] += 1
            if i + 2 < starts[row] + lengths[row]:
                one, two, three = np.int64(data[i]), np.int64(data[i + 1]), np.int64(data[i + 2])
                forward[found] = one << 16 | two << 8 | three
                backward[found] = two << 16 | three << 8 | one
                found += 1
    return found


@njit(cache=True, nogil=True)
def _entropies(triples, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (pairs) with the entropy of the third byte of the sorted triples of each pair."""
    at, n = 0, len(triples)
    while at < n:
        pair, total, inside = triples[at] >> 8, 0, 0.0
        while at < n and triples[at] >> 8 == pair:
            stop = at
            while stop < n and triples[stop] == triples[at]:
                stop += 1
            inside += (stop - at) * np.log2(np.float64(stop - at))
            total += stop - at
            at = stop
        out[pair] = np.log2(np.float64(total)) - inside / total


@njit(cache=True, nogil=True)
def _describe(values, row, singles, pairs, after, before, logs, out):  # type: ignore[no-untyped-def]
    """Write the six features of each position of messages laid flat; zeros where a pair is not inside the message."""
    total = np.float64(max(1, singles.sum()))
    for p in range(2, len(values) - 1):
        if row[p] < 0 or row[p - 1] < 0:
            continue
        straddling = np.int64(values[p - 1]) << 8 | np.int64(values[p])
        out[p, 0] = logs[min(pairs[straddling], len(logs) - 1)] / 16
        expected = np.float64(singles[values[p - 1]]) * np.float64(singles[values[p]]) / total
        out[p, 1] = np.log2((pairs[straddling] + 0.5) / (expected + 0.5)) / 8
        if row[p - 2] >= 0:
            left = np.int64(values[p - 2]) << 8 | np.int64(values[p - 1])
            out[p, 2] = logs[min(pairs[left], len(logs) - 1)] / 16
            out[p, 3] = after[left] / 8
        if row[p + 1] >= 0:
            right = np.int64(values[p]) << 8 | np.int64(values[p + 1])
            out[p, 4] = logs[min(pairs[right], len(logs) - 1)] / 16
            out[p, 5] = before[right] / 8


def count_grams(view: MessageView, lengths: NDArray[np.int64]) -> Grams:
    """Return the counts of the first ``lengths`` bytes of the messages."""
    singles, pairs = np.zeros(256, np.int64), np.zeros(PAIRS, np.int64)
    size = int(np.maximum(lengths - 2, 0).sum())
    forward, backward = np.empty(size, np.int32), np.empty(size, np.int32)
    _triples(view.data, view.starts, lengths, singles, pairs, forward, backward)
    after, before = np.zeros(PAIRS, np.float32), np.zeros(PAIRS, np.float32)
    for triples, out in ((forward, after), (backward, before)):
        triples.sort()
        _entropies(triples, out)
    occurs = np.flatnonzero(pairs)
    index = np.zeros(PAIRS, np.int32)
    index[occurs] = np.arange(len(occurs))
    return Grams(singles, pairs, after, before, index, max(1, len(occurs)))


def gram_features(grams: Grams, values: NDArray[np.int16], row: NDArray[np.int32]) -> NDArray[np.float32]:
    """
    Return (positions, FEATURES) float32 of messages laid flat.

    Of the pair across a position: its count (log2, over 16) and how far that exceeds chance (log2, over 8). Of the pair
    that ends before it: count, entropy of the byte after it. Of the pair that begins at it: count, entropy of the byte
    before it (bits over 8).
    """
    made = np.zeros((len(values), FEATURES), np.float32)
    logs = np.log2(np.arange(1 << 12, dtype=np.float64) + 1).astype(np.float32)
    _describe(values, row, grams.singles, grams.pairs, grams.after, grams.before, logs, made)
    return made


def gram_index(grams: Grams, values: NDArray[np.int16], row: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return per position the number of the pair across it; -1 in the padding and at the front of a message."""
    made = np.full(len(values), -1, np.int32)
    inside = 1 + np.flatnonzero((row[1:] >= 0) & (row[:-1] >= 0))
    pairs = values[inside - 1].astype(np.int64) << 8 | values[inside]
    made[inside] = grams.index[pairs]
    return made
