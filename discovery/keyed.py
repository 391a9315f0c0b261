"""Varints, and values in the manner of protocol buffers, each behind a varint of its number and wire type."""

from __future__ import annotations

import numpy as np
from numba import njit

VARINT, FIXED64, COUNTED, FIXED32 = 0, 1, 2, 5
"""What the low three bits of a key say of its value."""
LONGEST_KEY, LONGEST = 5, 10  # bytes of a key, of any varint


@njit(cache=True, nogil=True)
def varint_end(data, position, end, most):  # type: ignore[no-untyped-def]
    """Return where a base-128 varint of at most so many bytes ends, -1 where there is none in its shortest form."""
    at = position
    while at < end and at - position < most and data[at] >= 128:
        at += 1
    if at >= end or at - position >= most or (data[at] == 0 and at > position):
        return -1
    return at + 1


@njit(cache=True, nogil=True)
def read_varint(data, position, stop):  # type: ignore[no-untyped-def]
    """Return the low 63 bits of the varint between two places."""
    value = np.int64(0)
    for at in range(min(stop, position + 9) - 1, position - 1, -1):
        value = value << 7 | np.int64(data[at] & 127)
    return value


@njit(cache=True, nogil=True)
def behind_keyed(data, position, end):  # type: ignore[no-untyped-def]
    """Return where a key and its value end, -1 where there is none."""
    at = varint_end(data, position, end, LONGEST_KEY)
    if at < 0:
        return -1
    key = read_varint(data, position, at)
    if key < 8:
        return -1
    kind = key & 7
    if kind in (FIXED64, FIXED32):
        at += 8 if kind == FIXED64 else 4
        return at if at <= end else -1
    if kind not in (VARINT, COUNTED):
        return -1
    stop = varint_end(data, at, end, LONGEST)
    if kind == VARINT or stop < 0:
        return stop
    size = read_varint(data, at, stop)
    return stop + size if size <= end - stop else -1
