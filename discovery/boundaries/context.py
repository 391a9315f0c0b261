"""What one message says about a byte: where it is, which runs it ends, what lengths point at it, its line of text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from .chains import BER_FEATURES, CHAIN_FEATURES, LABEL_FEATURES, _number, ber_features, chain_features, label_features

PAD = 4
REGION = 16
OUTSIDE = 256
PLACE_FEATURES = 20
FEATURES = PLACE_FEATURES + CHAIN_FEATURES + BER_FEATURES + LABEL_FEATURES
LENGTHS = np.array([(1, 0), (2, 0), (2, 1), (4, 0), (4, 1)], dtype=np.int64)


@dataclass(frozen=True)
class Flat:
    """
    Messages laid one after another with ``PAD`` positions before each and after the last.

    Attributes:
        values: int16 bytes, ``OUTSIDE`` in the padding; row, column: int32 of each position, -1 in the padding.
        at: int64, where each message begins.
    """

    values: NDArray[np.int16]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    at: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _lay(data, starts, lengths, at, values, row, column):  # type: ignore[no-untyped-def]
    for i in range(len(starts)):
        for j in range(lengths[i]):
            values[at[i] + j] = data[starts[i] + j]
            row[at[i] + j] = i
            column[at[i] + j] = j


def lay_flat(view: MessageView, lengths: NDArray[np.int64]) -> Flat:
    """Return the first ``lengths`` bytes of the messages laid out flat."""
    at = np.cumsum(lengths + PAD) - lengths
    size = int(lengths.sum()) + PAD * (len(lengths) + 1)
    flat = Flat(np.full(size, OUTSIDE, np.int16), np.full(size, -1, np.int32), np.full(size, -1, np.int32), at)
    _lay(view.data, view.starts, lengths, at, flat.values, flat.row, flat.column)
    return flat


@njit(cache=True, nogil=True)
def _printable(value):  # type: ignore[no-untyped-def]
    return 32 <= value < 127 or value == 13 or value == 10 or value == 9


@njit(cache=True, nogil=True)
def _runs(data, start, n, out):  # type: ignore[no-untyped-def]
    """Features 4 to 8: printable share, printable and zero runs on both sides."""
    text = zero = total = 0
    for i in range(n):
        out[i, 5], out[i, 7] = min(16, text) / 16, min(8, zero) / 8
        printable = _printable(data[start + i])
        total += printable
        text = text + 1 if printable else 0
        zero = zero + 1 if data[start + i] == 0 else 0
    text = zero = 0
    for i in range(n - 1, -1, -1):
        text = text + 1 if _printable(data[start + i]) else 0
        zero = zero + 1 if data[start + i] == 0 else 0
        out[i, 4], out[i, 6], out[i, 8] = total / n, min(16, text) / 16, min(8, zero) / 8


@njit(cache=True, nogil=True)
def _lines(data, start, n, out):  # type: ignore[no-untyped-def]
    """Features 9 to 12: line, separators before in the line, a colon or equals sign before in it, place in it."""
    line = blanks = colon = place = 0
    for i in range(n):
        out[i, 9], out[i, 10], out[i, 11] = min(3, line) / 3, min(3, blanks) / 3, colon
        out[i, 12] = min(32, place) / 32
        value = data[start + i]
        place += 1
        blanks += value == 32 or value == 9
        if value == 58 or value == 61:
            colon = 1
        if value == 10:
            line, blanks, colon, place = line + 1, 0, 0, 0


@njit(cache=True, nogil=True)
def _lengths(data, start, n, whole, out):  # type: ignore[no-untyped-def]
    """Features 13 to 17: does a number that starts here tell the size of the rest, of the message, or nearly."""
    for k in range(LENGTHS.shape[0]):
        width = LENGTHS[k, 0]
        for i in range(n):
            if i + width > whole:
                break
            value = _number(data, start + i, width, LENGTHS[k, 1] == 1)
            rest = whole - i - width
            if value == rest and rest > 0:
                out[i, 13 + k] = 1.0
            elif value == whole:
                out[i, 13 + k] = 0.75
            elif abs(value - rest) <= 4 or abs(value - whole) <= 4:
                out[i, 13 + k] = 0.4


@njit(cache=True, nogil=True)
def _repeats(data, start, n, seen, out):  # type: ignore[no-untyped-def]
    """Features 18 and 19: pairs of equal bytes among the next and the last ``REGION`` bytes (to 8, over 8)."""
    seen[:] = 0
    pairs = 0
    for i in range(n):
        out[i, 19] = min(8, pairs) / 8
        if i >= REGION:
            seen[data[start + i - REGION]] -= 1
            pairs -= seen[data[start + i - REGION]]
        pairs += seen[data[start + i]]
        seen[data[start + i]] += 1
    for i in range(n):
        out[i, 18] = out[i + REGION, 19] if i + REGION < n else min(8, pairs) / 8


@njit(cache=True, nogil=True)
def _context(data, starts, lengths, wholes, at, out):  # type: ignore[no-untyped-def]
    scratch, seen = np.zeros((4, lengths.max() + 1), np.int64), np.zeros(256, np.int64)
    for row in range(len(starts)):
        start, n = starts[row], lengths[row]
        here = out[at[row] : at[row] + n]
        for i in range(n):
            here[i, 0], here[i, 1] = min(i, 128) / 64, min(wholes[row] - i, 128) / 64
            here[i, 2], here[i, 3] = i % 2 == 0, i % 4 == 0
        _runs(data, start, n, here)
        _lines(data, start, n, here)
        _lengths(data, start, n, wholes[row], here)
        _repeats(data, start, n, seen, here)
        chain_end = PLACE_FEATURES + CHAIN_FEATURES
        ber_end = chain_end + BER_FEATURES
        chain_features(data, start, start + n, start + wholes[row], scratch, here[:, PLACE_FEATURES:chain_end])
        ber_features(data, start, start + n, start + wholes[row], here[:, chain_end:ber_end])
        label_features(data, start, start + n, here[:, ber_end:])


def context_features(view: MessageView, lengths: NDArray[np.int64], flat: Flat) -> NDArray[np.float32]:
    """Return (positions of ``flat``, FEATURES) float32, zeros in the padding."""
    made = np.zeros((len(flat.values), FEATURES), np.float32)
    if len(view):
        _context(view.data, view.starts, lengths, view.lengths, flat.at, made)
    return made
