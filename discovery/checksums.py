"""
Checksums of message regions: sum, XOR, Fletcher, Adler-32, Internet (RFC 1071) and every CRC of the Rocksoft model.

One compiled kernel computes one constraint over many messages; the search and the validator call the same code.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .batch import MessageView
from .spec import Checksum

SUM, XOR, FLETCHER, ADLER, INTERNET, CRC = range(6)
_CODES = {"sum": SUM, "xor": XOR, "fletcher": FLETCHER, "adler32": ADLER, "internet": INTERNET, "crc": CRC}
_OWN = {"outside": 0, "excluded": 1, "zeroed": 2}
_EMPTY = np.zeros(256, np.uint64)


@njit(cache=True, nogil=True)
def _crc(data, first, last, own, width, mode, table, bits, reflected, register):  # type: ignore[no-untyped-def]
    """Return the register after the bytes [first, last), own bytes skipped (mode 1) or read as zero (mode 2)."""
    eight, low = np.uint64(8), np.uint64(255)
    top = np.uint64(bits - 8)
    full = ~np.uint64(0) >> np.uint64(64 - bits)
    for i in range(first, last):
        byte = np.uint64(data[i])
        if mode and own <= i < own + width:
            if mode == 1:
                continue
            byte = np.uint64(0)
        if reflected:
            register = table[(register ^ byte) & low] ^ (register >> eight)
        else:
            register = table[((register >> top) ^ byte) & low] ^ ((register << eight) & full)
    return register


@njit(cache=True, nogil=True)
def _add(code, modulus, word, total, second):  # type: ignore[no-untyped-def]
    """Return total and second sum with one more unit."""
    if code == 1:
        return total ^ word, second
    if not modulus:
        return total + word, second
    total = (total + word) % modulus
    return total, (second + total) % modulus


@njit(cache=True, nogil=True)
def _accumulate(code, data, first, last, own, width, mode, unit, little, modulus, init):  # type: ignore[no-untyped-def]
    """Return the sum (modulo 2**64), XOR or Fletcher pair of units; the last unit is filled up with zeros."""
    total, second = np.uint64(init), np.uint64(0)
    word, position = np.uint64(0), 0
    mod = np.uint64(modulus)
    for i in range(first, last):
        byte = np.uint64(data[i])
        if mode and own <= i < own + width:
            if mode == 1:
                continue
            byte = np.uint64(0)
        word |= byte << np.uint64(8 * (position if little else unit - 1 - position))
        position += 1
        if position < unit and i < last - 1:
            continue
        total, second = _add(code, mod, word, total, second)
        word, position = np.uint64(0), 0
    if position:  # own bytes were the last ones of the region
        total, second = _add(code, mod, word, total, second)
    return total, second


@njit(cache=True, nogil=True)
def _fold(total):  # type: ignore[no-untyped-def]
    """Add carries back in (one's complement, 16 bits)."""
    low = np.uint64(0xFFFF)
    while total > low:
        total = (total >> np.uint64(16)) + (total & low)
    return total


@njit(cache=True, nogil=True)
def _checksums(  # type: ignore[no-untyped-def]
    code, data, first, last, own, width, mode, unit, little, modulus, init, table, bits, reflected
):
    """Return the raw value of each message, before the output reflection and ``xorout``."""
    values = np.zeros(len(first), np.uint64)
    for row in range(len(first)):
        stop = min(last[row], len(data))
        if code == 5:
            values[row] = _crc(data, first[row], stop, own[row], width, mode, table, bits, reflected, init)
            continue
        total, second = _accumulate(code, data, first[row], stop, own[row], width, mode, unit, little, modulus, init)
        if code == 4:
            total = _fold(total) ^ np.uint64(0xFFFF)
        elif code == 2 or code == 3:
            total |= second << np.uint64(4 * width)
        values[row] = total
    return values


def reflect(value: int, bits: int) -> int:
    """Return the value with its lowest ``bits`` bits in reverse order."""
    return int(f"{value:0{bits}b}"[::-1], 2)


@lru_cache(maxsize=1024)
def crc_table(bits: int, poly: int, refin: bool) -> NDArray[np.uint64]:
    """Return the 256 remainders by which a CRC reads byte after byte (Sarwate 1988); ``bits`` is a multiple of 8."""
    full = (1 << bits) - 1
    table = np.zeros(256, np.uint64)
    generator = reflect(poly, bits) if refin else poly
    for byte in range(256):
        register = byte if refin else byte << (bits - 8)
        for _ in range(8):
            if refin:
                register = (register >> 1) ^ (generator if register & 1 else 0)
            else:
                register = ((register << 1) & full) ^ (generator if register >> (bits - 1) else 0)
        table[byte] = register
    return table


def checksum_values(
    view: MessageView,
    rows: NDArray[np.int64],
    constraint: Checksum,
    field_start: NDArray[np.int64],
    width: int,
    little: bool = False,
) -> NDArray[np.uint64]:
    """
    Return the value that the checksum field should have in each of these messages, as a number.

    Args:
        view: the messages; rows: which of them.
        constraint: algorithm, region and parameters; a region that ends before it starts is empty.
        field_start: offset of the field in each of these messages, in bytes from its front.
        width: bytes of the field (1 to 8).
        little: byte order of the field, which is that of the units of ``sum``, ``xor`` and ``fletcher`` too.

    The caller reads the field's bytes in its own byte order and compares.
    """
    begin = view.starts[rows].astype(np.int64)
    first, last = covered(constraint, begin, view.lengths[rows].astype(np.int64))
    return region_values(view.data, first, last, constraint, begin + field_start, width, little)


def covered(
    constraint: Checksum, begin: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first byte and the one behind the last that it covers of messages, or targets, that lie there."""
    end = np.minimum(np.full_like(lengths, constraint.end) if constraint.end > 0 else lengths + constraint.end, lengths)
    return begin + np.minimum(constraint.start, lengths), begin + end


def region_values(
    data: NDArray[np.uint8],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    constraint: Checksum,
    own: NDArray[np.int64],
    width: int,
    little: bool = False,
) -> NDArray[np.uint64]:
    """As ``checksum_values``, of the regions ``data[first:last]``; ``own`` is where the field lies in ``data``."""
    bits, code = 8 * width, _CODES[constraint.algorithm]
    unit, modulus, init = _sums(code, constraint, width)
    table = _EMPTY
    if code == CRC:
        table = crc_table(bits, constraint.poly, constraint.refin)
        init = reflect(init, bits) if constraint.refin else init
    full = (1 << bits) - 1
    values: NDArray[np.uint64] = _checksums(
        code, data, first, last, own, width, _OWN[constraint.own_bytes], unit, little and code != INTERNET, modulus,
        np.uint64(init & full), table, bits, constraint.refin,
    )  # fmt: skip
    if code == CRC and constraint.refin != constraint.refout:
        values = _reflected(values, bits)
    if code in (SUM, XOR, CRC, INTERNET):
        values = (values ^ np.uint64(constraint.xorout & full)) & np.uint64(full)
    return values


def _sums(code: int, constraint: Checksum, width: int) -> tuple[int, int, int]:
    """Return bytes of a unit, modulus (0: none) and the first value of the total."""
    if code == FLETCHER:
        unit = max(width // 2, 1)
        return unit, constraint.poly or (1 << (8 * unit)) - 1, constraint.init
    if code == ADLER:
        return 1, 65521, 1
    return 2 if code == INTERNET else constraint.unit or width, 0, constraint.init


def _reflected(values: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Reverse the lowest ``bits`` bits of each value."""
    octets = values.astype("<u8").view(np.uint8).reshape(-1, 8)
    mirrored = np.packbits(np.unpackbits(octets, axis=1, bitorder="little"), axis=1, bitorder="big")
    whole: NDArray[np.uint64] = np.ascontiguousarray(mirrored).view(">u8").ravel().astype(np.uint64)
    return whole >> np.uint64(64 - bits)
