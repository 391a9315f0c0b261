"""Polynomials over GF(2): the greatest common divisor of message differences, and arithmetic modulo a generator."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _degree(words, top):  # type: ignore[no-untyped-def]
    """Return the degree of a polynomial, -1 of zero; no term is above ``top``."""
    bit = top & 63
    for i in range(top >> 6, -1, -1):
        word = words[i]
        if word:
            while not (word >> np.uint64(bit)) & np.uint64(1):
                bit -= 1
            return 64 * i + bit
        bit = 63
    return -1


@njit(cache=True, nogil=True)
def _add_shifted(target, source, shift, degree):  # type: ignore[no-untyped-def]
    """Add ``source`` (of this degree) times x**shift."""
    words, bits = shift >> 6, np.uint64(shift & 63)
    for i in range((degree >> 6) + 1):
        word = source[i]
        target[i + words] ^= word << bits
        if bits:
            target[i + words + 1] ^= word >> (np.uint64(64) - bits)


@njit(cache=True, nogil=True)
def _gcd(a, b, degree_a, degree_b, stop):  # type: ignore[no-untyped-def]
    """Euclid's algorithm in place; return (which holds it, degree), or degree -1 once it is below ``stop``."""
    swapped = False
    while degree_b >= 0:
        if degree_b < stop:
            return swapped, -1
        while degree_a >= degree_b:
            _add_shifted(a, b, degree_a - degree_b, degree_b)
            degree_a = _degree(a, degree_a)
        a, b = b, a
        degree_a, degree_b = degree_b, degree_a
        swapped = not swapped
    return swapped, degree_a


@njit(cache=True, nogil=True)
def _mirror(value, bits):  # type: ignore[no-untyped-def]
    mirrored = np.uint64(0)
    for i in range(bits):
        if (value >> np.uint64(i)) & np.uint64(1):
            mirrored |= np.uint64(1) << np.uint64(bits - 1 - i)
    return mirrored


@njit(cache=True, nogil=True)
def _polynomial(words, difference, field, width, refin, refout, little):  # type: ignore[no-untyped-def]
    """Write the difference of two messages, then that of their checksums, as one polynomial; return its degree."""
    words[:] = 0
    length, bits = len(difference), 8 * width
    value = np.uint64(0)
    for i in range(width):
        value |= np.uint64(field[i]) << np.uint64(8 * (i if little else width - 1 - i))
    words[0] = _mirror(value, bits) if refout else value
    for i in range(length):
        byte = np.uint64(difference[i])
        if byte:
            place = bits + 8 * (length - 1 - i)
            words[place >> 6] |= (_mirror(byte, 8) if refin else byte) << np.uint64(place & 63)
            # a byte never crosses a word: widths are whole bytes
    return _degree(words, bits + 8 * length)


@njit(cache=True, nogil=True)
def common_generator(differences, fields, lengths, refin, refout, little, slack):  # type: ignore[no-untyped-def]
    """
    Return (degree, polynomial) of the greatest common divisor of message differences, or (-1, 0).

    Args:
        differences: (k, m) uint8, XOR of the covered bytes of two messages, right-aligned; lengths: int64, of each.
        fields: (k, width) uint8, XOR of the checksums' bytes.
        refin, refout, little: how bits of bytes, bits of the result, and bytes of the result are ordered.
        slack: degrees above 8 * width that are still returned.

    Source: G. Cook, "Reverse-engineering a CRC algorithm" (CRC RevEng): XOR of two messages of one length removes init
    and xorout and leaves a multiple of the generator.
    """
    count, width = fields.shape
    bits = 8 * width
    size = (bits + 8 * differences.shape[1]) // 64 + 3
    divisor, other = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    degree = -1
    for k in range(count):
        start = differences.shape[1] - lengths[k]
        new = _polynomial(other, differences[k, start:], fields[k], width, refin, refout, little)
        if degree < 0:
            divisor, other = other, divisor
            degree = new
            continue
        if new > degree:
            swapped, degree = _gcd(other, divisor, new, degree, bits)
            if not swapped:
                divisor, other = other, divisor
        else:
            swapped, degree = _gcd(divisor, other, degree, new, bits)
            if swapped:
                divisor, other = other, divisor
        if degree < bits:
            return -1, np.uint64(0)
    if degree > bits + slack or degree > 63 or not divisor[0] & np.uint64(1):
        return -1, np.uint64(0)
    return degree, divisor[0]


def multiply(a: int, b: int, generator: int) -> int:
    """Return ``a * b`` modulo a polynomial."""
    top = generator.bit_length() - 1
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> top & 1:
            a ^= generator
        b >>= 1
    return product


def power_of_x(exponent: int, generator: int) -> int:
    """Return ``x ** exponent`` modulo a polynomial of degree two or more."""
    result, base = 1, 2
    while exponent:
        if exponent & 1:
            result = multiply(result, base, generator)
        base = multiply(base, base, generator)
        exponent >>= 1
    return result


def quotient(a: int, b: int) -> int | None:
    """Return ``a / b`` where it leaves no remainder."""
    result, top = 0, b.bit_length()
    while a.bit_length() >= top:
        shift = a.bit_length() - top
        a ^= b << shift
        result |= 1 << shift
    return None if a else result


def solve(columns: list[int], wanted: list[int], bits: int) -> int | None:
    """
    Return a vector that solves a linear system over GF(2), or None.

    Args:
        columns: for each unknown bit the stacked equations' coefficients, one integer for all equations together.
        wanted: the right sides of each block of ``bits`` equations.
    """
    target = 0
    for block, value in enumerate(wanted):
        target |= value << (block * bits)
    pivots: list[tuple[int, int, int]] = []
    for unknown, column in enumerate(columns):
        mask = 1 << unknown
        for pivot, row, combination in pivots:
            if column >> pivot & 1:
                column ^= row
                mask ^= combination
        if column:
            pivots.append((column.bit_length() - 1, column, mask))
    solution = 0
    for pivot, row, combination in pivots:
        if target >> pivot & 1:
            target ^= row
            solution ^= combination
    return None if target else solution
