"""Numbers inside messages, as compiled code reads them: fixed widths, BER lengths and base-128 varints."""

from __future__ import annotations

import numpy as np
from numba import njit

from .arrays import NESTED

NONE, UINT, INT, BER_LENGTH, LEB128 = range(5)
"""How a number is written."""
NO_NUMBER, FITS, HIGH, HUGE = range(4)
"""What the 64 bits are: nothing, an int64, a uint64 of 2**63 or more, the low bits of a larger number."""


@njit(**NESTED)
def _plain(data, at, size, signed, little):  # type: ignore[no-untyped-def]
    """Read at most 8 bytes in two's complement or as an unsigned number."""
    value = np.int64(0)
    if size > 8:
        return value, NO_NUMBER
    for i in range(size):
        value = (value << 8) | np.int64(data[at + (size - 1 - i if little else i)])
    if signed:
        shift = 64 - 8 * size if size else 0
        return (value << shift) >> shift, FITS
    return value, HIGH if value < 0 else FITS


@njit(**NESTED)
def _ber_length(data, at, size):  # type: ignore[no-untyped-def]
    """Read X.690 8.1.3 length octets; the indefinite form is 0."""
    value, huge = np.int64(0), 0
    if size == 0:
        return value, NO_NUMBER
    if data[at] < 0x80:
        return np.int64(data[at]), FITS
    for i in range(1, size):
        if value < 0 or value >= 1 << 56:
            huge = 1
        value = (value << 8) | np.int64(data[at + i])
    if huge:
        return value, HUGE
    return value, HIGH if value < 0 else FITS


@njit(**NESTED)
def _leb128(data, at, size):  # type: ignore[no-untyped-def]
    """Read a little-endian base-128 varint."""
    value, huge = np.int64(0), 0
    for i in range(size):
        bits = np.int64(data[at + i]) & 0x7F
        if i < 9:
            value |= bits << (7 * i)
        else:
            value |= (bits & 1) << 63 if i == 9 else 0
            if bits > 1 or i > 9:
                huge = 1
    if huge:
        return value, HUGE
    return value, HIGH if value < 0 else FITS


@njit(**NESTED)
def read_number(data, at, size, encoding, little):  # type: ignore[no-untyped-def]
    """Return the 64 bits of a number and what they are."""
    if encoding <= INT:
        return _plain(data, at, size, encoding == INT, little)
    if encoding == BER_LENGTH:
        return _ber_length(data, at, size)
    return _leb128(data, at, size)
