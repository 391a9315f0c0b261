"""Byte columns of messages as symbols: their values, and the coarse classes that tell structure from content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import lgamma, log

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT, MessageView

FRONT = 64  # columns whose structure is explained
CANDIDATES = 32  # columns that may explain it
MISSING = 256
ABSENT, ZERO, TEXT, OTHER, ONES = range(5)
CLASSES = 5
ALPHAS = (1 / CLASSES, 0.5)
TEXT_RUN = 4
MIN_SIDE = 8  # messages of a direction, from which it is looked at on its own

_LOG2 = log(2.0)
_SCALE = 1 << 20  # sums of integers do not depend on their order
_LENGTH_SCALES = (1, 2, 4, 8)
_LENGTH_VALUES = 3
_COUNTED_VALUES, _COUNTED_MESSAGES = 4, 4  # of a count: so many values recur so often; in order by chance once in 24
_COUNTED = 0.8  # of the messages, that have such values
_NUMBERS = ((0, 0), (-1, 0), (0, 1), (0, -1), (1, 0))  # places of the high and the low byte; equal: one byte


@dataclass(frozen=True)
class Columns:
    """
    The first bytes of messages, one column an offset.

    Attributes:
        values: (FRONT, n) int16, the byte, or MISSING past the end of a message.
        classes: (FRONT, n) uint8: ABSENT, ZERO, TEXT (in a run of four or more printable bytes), ONES (0xff) or OTHER.
        lengths: (n,) int64; direction: (n,) int8, as batches have it.
    """

    values: NDArray[np.int16]
    classes: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    direction: NDArray[np.int8]

    @classmethod
    def read(cls, view: MessageView) -> Columns:
        """Read the columns of a view."""
        front, exists = view.front(FRONT)
        values = np.where(exists, front.astype(np.int16), np.int16(MISSING)).T
        return cls(np.ascontiguousarray(values), np.ascontiguousarray(classes_of(values)), view.lengths, view.direction)

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """Return the columns of some messages."""
        return Columns(
            np.ascontiguousarray(self.values[:, rows]),
            np.ascontiguousarray(self.classes[:, rows]),
            self.lengths[rows],
            self.direction[rows],
        )

    def sides(self) -> Iterator[Columns]:
        """Yield the columns of all messages, then of each direction's where there are two."""
        yield self
        for direction in (CLIENT_TO_SERVER, SERVER_TO_CLIENT):
            rows = np.flatnonzero(self.direction == direction)
            if MIN_SIDE <= len(rows) < len(self.direction):
                yield self.take(rows)


def masked(column: NDArray[np.int16], mask: int) -> NDArray[np.int16]:
    """Return a column of which only some bits are read; MISSING stays."""
    return np.where(column == MISSING, column, column & np.int16(mask)).astype(np.int16)


def classes_of(values: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the class of each of (columns, n) values, MISSING among them."""
    classes = np.full(values.shape, OTHER, np.uint8)
    classes[values == 0] = ZERO
    classes[values == 255] = ONES
    classes[values == MISSING] = ABSENT
    printable = (values >= 32) & (values < 127)
    last = max(0, len(values) - TEXT_RUN + 1)
    starts = np.logical_and.reduce([printable[k : k + last] for k in range(TEXT_RUN)])
    for k in range(TEXT_RUN):
        run = classes[k : k + last]
        run[starts] = TEXT
    return classes


@lru_cache(maxsize=8)
def _cost_tables(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (alphas, size) tables of log2 gamma(c + a) / gamma(a) and of log2 gamma(n + 5 a) / gamma(5 a)."""
    part = np.array([[(lgamma(c + a) - lgamma(a)) / _LOG2 for c in range(size)] for a in ALPHAS])
    whole = np.array([[(lgamma(c + a * CLASSES) - lgamma(a * CLASSES)) / _LOG2 for c in range(size)] for a in ALPHAS])
    return part, whole


def explained_bits(codes: NDArray[np.int16], skip: NDArray[np.int64], columns: Columns) -> NDArray[np.float64]:
    """
    Return how many bits shorter the classes of all columns become when the messages are split by each code.

    The cost of a column in a group of messages is the Dirichlet-multinomial code length of its classes (Krichevsky and
    Trofimov 1981), the shorter of two concentrations and a bit that says which, so a split that explains nothing costs
    bits. Columns that a split makes longer count as zero.

    Args:
        codes: (k, n) int16 in 0..256, each a way to split.
        skip: (k,) int64, the column that each code was read from, which is not counted.
    """
    size = 1 << (codes.shape[1] + 1).bit_length()
    out = np.zeros(len(codes), np.float64)
    _explained(codes, skip, columns.classes, *_cost_tables(size), out)
    return np.round(out * 256) / 256


@njit(cache=True, nogil=True)
def _group_cost(counts, part, whole):  # type: ignore[no-untyped-def]
    total = 0
    for c in range(len(counts)):
        total += counts[c]
    best = 1e300
    for a in range(len(part)):
        bits = whole[a, total]
        for c in range(len(counts)):
            bits -= part[a, counts[c]]
        best = min(best, bits)
    return best + 1.0


@njit(cache=True, nogil=True)
def _values_of(codes, present):  # type: ignore[no-untyped-def]
    """Write the distinct codes to ``present`` and return how many there are."""
    seen = np.zeros(257, np.bool_)
    n = 0
    for code in codes:
        if not seen[code]:
            seen[code] = True
            present[n] = code
            n += 1
    return n


@njit(cache=True, nogil=True)
def _split_cost(codes, present, classes, part, whole, table):  # type: ignore[no-untyped-def]
    for code in present:
        table[code, :] = 0
    for row in range(len(codes)):
        table[codes[row], classes[row]] += 1
    bits = 0.0
    for code in present:
        bits += _group_cost(table[code], part, whole)
    return bits


@njit(cache=True, nogil=True)
def _explained(codes, skip, classes, part, whole, out):  # type: ignore[no-untyped-def]
    table = np.zeros((257, 5), np.int32)
    present = np.zeros(257, np.int64)
    base = np.zeros(len(classes), np.float64)
    everything = np.zeros(classes.shape[1], np.int16)
    for c in range(len(classes)):
        base[c] = _split_cost(everything, present[:1], classes[c], part, whole, table)
    for k in range(len(codes)):
        n = _values_of(codes[k], present)
        for c in range(len(classes)):
            if c != skip[k] and base[c] > 4.0 + n:  # splitting costs at least a bit for each group
                bits = _split_cost(codes[k], present[:n], classes[c], part, whole, table)
                out[k] += max(0.0, base[c] - bits)
        present[0] = 0


def value_counts(values: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return (columns, 257) int64, how often each symbol 0..256 is in each column."""
    flat = values + np.arange(len(values), dtype=np.int64)[:, None] * (MISSING + 1)
    counts = np.bincount(flat.ravel(), minlength=len(values) * (MISSING + 1))
    return counts.reshape(len(values), MISSING + 1)


def entropies(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the entropy in bits of each row of counts, a multiple of 1/256."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    bits = -(shares * np.log2(np.where(counts > 0, shares, 1.0))).sum(axis=1)
    rounded: NDArray[np.float64] = np.round(bits * 256) / 256
    return rounded


def shared_bits(values: NDArray[np.int16], entropy: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return how many bits each column tells of the one before it: their mutual information, a multiple of 1/256.

    Args:
        values: (k, n) int16 in 0..256; entropy: (k,) of each of them.

    Returns:
        (k + 1,) float64; zero for the first and for the one past the last.
    """
    n = values.shape[1]
    counts = np.arange(n + 1, dtype=np.float64)
    scaled = np.rint(counts * np.log2(np.maximum(counts, 1.0)) * _SCALE).astype(np.int64)
    out = np.zeros(len(values) + 1, np.int64)
    _joint(values, entropy > 0, scaled, out)
    joint = np.log2(n) - out[1:-1] / (_SCALE * n)
    either = (entropy[1:] > 0) & (entropy[:-1] > 0)
    shared = np.where(either, np.maximum(entropy[1:] + entropy[:-1] - joint, 0.0), 0.0)
    return np.round(np.concatenate([[0.0], shared, [0.0]]) * 256) / 256


@njit(cache=True, nogil=True)
def _joint(values, varies, scaled, out):  # type: ignore[no-untyped-def]
    """Write the sum of c log2 c, scaled to an integer, over the pairs of values of neighbouring columns that vary."""
    table = np.zeros((257, 257), np.int32)
    for k in range(1, len(values)):
        if not (varies[k] and varies[k - 1]):
            continue
        before, here = values[k - 1], values[k]
        for row in range(len(here)):
            table[before[row], here[row]] += 1
        for row in range(len(here)):
            out[k] += scaled[table[before[row], here[row]]]
            table[before[row], here[row]] = 0


def tells_length(columns: Columns, offset: int) -> float:
    """
    Return the largest share of messages whose length is an affine function of a number at this offset.

    Slopes are 1, 2, 4 and 8. The number is the byte alone or two bytes that it is part of, in either order. Zero
    unless three values support it.
    """
    best, here = 0.0, columns.values[offset]
    if not np.ptp(columns.lengths):
        return best
    for high_step, low_step in _NUMBERS:
        first, second = offset + high_step, offset + low_step
        if min(first, second) < 0 or max(first, second) >= FRONT:
            continue
        high, low = columns.values[first].astype(np.int64), columns.values[second].astype(np.int64)
        if first != second and not (np.ptp(high) and np.ptp(low)):
            continue  # a constant half adds nothing to the byte alone
        numbers = low if first == second else high << 8 | low
        known = (high < MISSING) & (low < MISSING)
        for scale in _LENGTH_SCALES:
            share = _affine(columns.lengths[known], numbers[known] * scale, here[known])
            best = max(best, share * known.mean())
    return best


def _affine(lengths: NDArray[np.int64], numbers: NDArray[np.int64], here: NDArray[np.int16]) -> float:
    """Return the share of messages with the commonest difference; zero where the byte looked at has no part in it."""
    if not len(lengths):
        return 0.0
    biases, counts = np.unique(lengths - numbers, return_counts=True)
    agree = lengths - numbers == biases[counts.argmax()]
    if len(np.unique(numbers[agree])) < _LENGTH_VALUES or not np.ptp(here[agree]):
        return 0.0  # a kind beside a length is almost constant, and its other values do not bear the length out
    return float(counts.max()) / len(lengths)


def counts_parts(columns: Columns, offset: int) -> bool:
    """Return whether messages are the longer, the shortest and the middle one of each value, the higher the value."""
    column, known = columns.values[offset], columns.values[offset] < MISSING
    values, counts = np.unique(column[known], return_counts=True)
    often = values[counts >= _COUNTED_MESSAGES]
    if len(often) < _COUNTED_VALUES or counts[counts >= _COUNTED_MESSAGES].sum() < _COUNTED * len(column):
        return False
    lengths = [columns.lengths[column == value] for value in often]
    middle, least = [np.median(some) for some in lengths], [some.min() for some in lengths]
    return bool((np.diff(middle) > 0).all() and (np.diff(least) > 0).all())


def tells_text(columns: Columns, offset: int) -> float:
    """Return the share of messages in which the byte at this offset counts the printable bytes that follow it."""
    after = columns.values[offset + 1 :]
    printable = (after >= 32) & (after < 127)
    run = np.where(printable.all(axis=0), len(after), np.argmin(printable, axis=0))
    counted = columns.values[offset]
    return float(((counted == run) & (run > 0)).mean())
