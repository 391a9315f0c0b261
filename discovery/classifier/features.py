"""What the forest reads of a message: bytes at both ends, shares of byte kinds, and how numbers relate to its size."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView

FRONT, BACK = 32, 4
READ = 128  # bytes that the shares are taken of
KINDS = 7  # zero, control, space, digit, upper case, lower case, 128 and above
NEAR = 100  # differences from the size beyond this say only "far"
LENGTHS, LONG_LENGTHS, WORDS, NIBBLES = 12, 8, 4, 4
MARKS = np.array([0x20, 0x0A, 0x3A, 0x00], np.uint8)

# Where each kind of feature begins.
AT_BACK = FRONT
AT_SIZE = AT_BACK + BACK
AT_KINDS = AT_SIZE + 2
AT_DISTINCT = AT_KINDS + KINDS
AT_LENGTHS = AT_DISTINCT + 3
AT_LONG = AT_LENGTHS + 3 * LENGTHS
AT_WORDS = AT_LONG + 2 * LONG_LENGTHS
AT_NIBBLES = AT_WORDS + WORDS
AT_MARKS = AT_NIBBLES + NIBBLES
FEATURES = AT_MARKS + len(MARKS)


@njit(cache=True, nogil=True)
def _kind(value):  # type: ignore[no-untyped-def]
    if value >= 128:
        return 6
    if 97 <= value <= 122:
        return 5
    if 65 <= value <= 90:
        return 4
    if 48 <= value <= 57:
        return 3
    if value >= 32:
        return 2
    return 0 if value == 0 else 1


@njit(cache=True, nogil=True)
def _difference(value, size):  # type: ignore[no-untyped-def]
    """Return value - size where they are near each other, else a value that trees can part off."""
    away = value - size
    return np.int32(away) if -NEAR < away < NEAR else np.int32(NEAR)


@njit(cache=True, nogil=True)
def _shares(data, start, size, out):  # type: ignore[no-untyped-def]
    """Write shares of byte kinds (over 255), distinct values, equal neighbours and the longest run of text."""
    read = min(size, READ)
    seen = np.zeros(256, np.uint8)
    kinds = np.zeros(KINDS, np.int64)
    equal = text = longest = 0
    for i in range(read):
        value = data[start + i]
        seen[value] = 1
        kinds[_kind(value)] += 1
        equal += i > 0 and data[start + i - 1] == value
        text = text + 1 if 32 <= value < 127 else 0
        longest = max(longest, text)
    for k in range(KINDS):
        out[AT_KINDS + k] = kinds[k] * 255 // max(read, 1)
    out[AT_DISTINCT] = seen.sum()
    out[AT_DISTINCT + 1] = equal * 255 // max(read, 1)
    out[AT_DISTINCT + 2] = longest


@njit(cache=True, nogil=True)
def _numbers(data, start, size, out):  # type: ignore[no-untyped-def]
    """Write how numbers near the front differ from the size, words, and low halves of bytes."""
    for i in range(LENGTHS):
        for k in range(3):
            out[AT_LENGTHS + 3 * i + k] = NEAR + 1
        if i < size:
            out[AT_LENGTHS + 3 * i] = _difference(np.int64(data[start + i]), size)
        if i + 1 < size:
            a, b = np.int64(data[start + i]), np.int64(data[start + i + 1])
            out[AT_LENGTHS + 3 * i + 1] = _difference(a << 8 | b, size)
            out[AT_LENGTHS + 3 * i + 2] = _difference(b << 8 | a, size)
    _long_numbers(data, start, size, out)
    for i in range(WORDS):
        at = start + 2 * i
        out[AT_WORDS + i] = np.int32(data[at]) << 8 | np.int32(data[at + 1]) if 2 * i + 1 < size else -1
    for i in range(NIBBLES):
        out[AT_NIBBLES + i] = data[start + i] & 15 if i < size else -1


@njit(cache=True, nogil=True)
def _long_numbers(data, start, size, out):  # type: ignore[no-untyped-def]
    """Write how numbers of four bytes differ from the size."""
    for i in range(LONG_LENGTHS):
        big = little = np.int64(-1 << 20)
        if i + 3 < size:
            big = little = np.int64(0)
            for k in range(4):
                big = big << 8 | np.int64(data[start + i + k])
                little = little << 8 | np.int64(data[start + i + 3 - k])
        out[AT_LONG + 2 * i] = _difference(big, size)
        out[AT_LONG + 2 * i + 1] = _difference(little, size)


@njit(cache=True, nogil=True)
def _features(data, starts, lengths, direction, out):  # type: ignore[no-untyped-def]
    for row in range(len(starts)):
        start, size = starts[row], lengths[row]
        for i in range(FRONT):
            out[row, i] = data[start + i] if i < size else -1
        for i in range(BACK):
            out[row, AT_BACK + i] = data[start + size - 1 - i] if i < size else -1
        out[row, AT_SIZE] = min(size, 1 << 20)
        out[row, AT_SIZE + 1] = direction[row]
        _shares(data, start, size, out[row])
        _numbers(data, start, size, out[row])
        for k in range(len(MARKS)):
            found = READ
            for i in range(min(size, READ)):
                if data[start + i] == MARKS[k]:
                    found = i
                    break
            out[row, AT_MARKS + k] = found


def features_of(view: MessageView) -> NDArray[np.int32]:
    """Return (messages, FEATURES) int32; addresses, ports and times are not among them."""
    out = np.empty((len(view), FEATURES), np.int32)
    data = np.ascontiguousarray(view.data).view()
    data.flags.writeable = False  # one kind of array: kernels compile once
    _features(
        data,
        np.ascontiguousarray(view.starts, np.int64).copy(),
        np.ascontiguousarray(view.lengths, np.int64).copy(),
        np.ascontiguousarray(view.direction, np.int8).copy(),
        out,
    )
    return out


# What the networks read beside the bytes: every other number as one of 64 bins.
BINS = 64
SIDE = FEATURES - AT_SIZE - WORDS - NIBBLES


@njit(cache=True, nogil=True)
def _size_bin(value):  # type: ignore[no-untyped-def]
    """Return four bins per doubling."""
    power = 0
    while value >> (power + 1):
        power += 1
    if power < 2:
        return value
    return min(4 * power + ((value >> (power - 2)) & 3), BINS - 1)


@njit(cache=True, nogil=True)
def _bins(features, out):  # type: ignore[no-untyped-def]
    for row in range(features.shape[0]):
        out[row, 0] = _size_bin(features[row, AT_SIZE])
        out[row, 1] = features[row, AT_SIZE + 1]
        for i in range(2, AT_LENGTHS - AT_SIZE):
            out[row, i] = min(features[row, AT_SIZE + i] >> 2, BINS - 1)
        for i in range(AT_LENGTHS, AT_WORDS):
            away = features[row, i]
            near = away + 40 if -40 <= away <= 20 else 61
            out[row, i - AT_SIZE] = 62 if away == NEAR else 63 if away > NEAR else near
        for i in range(AT_MARKS, FEATURES):
            out[row, i - AT_SIZE - WORDS - NIBBLES] = min(features[row, i], BINS - 1)


def bins_of(features: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return (messages, SIDE) uint8 below ``BINS``: size, direction, kinds of bytes, relations to the size, marks."""
    out = np.empty((len(features), SIDE), np.uint8)
    _bins(features, out)
    return out
