"""How many bytes a field takes, as compiled code finds it out; mirrors ``spec.layout``."""

from __future__ import annotations

import numpy as np
from numba import njit

from .limits import MISSING, NO_DELIMITER, NO_FIT, NO_RUN
from .numbers import FITS

VALUE, END, STATE, STAMP = range(4)
"""Columns of a register: the number, where its field ended, what the number is, the row it was read in."""

_OP, _P0, _P1, _P2, _P3, _RESERVE = range(6)
_FROM_LENGTH, _DELIMITED, _RUN, _SELF = 1, 2, 3, 4
_BER_LENGTH, _BER_TAG, _LEB128, _LABELS = range(4)
_VARINT = 10  # bytes at most

CLASSES = ("space", "digit", "letter", "alnum", "printable", "zero", "ff")


def _class_bits() -> np.ndarray:  # type: ignore[type-arg]
    digit, letter = {*range(48, 58)}, {*range(65, 91), *range(97, 123)}
    members = ({32, 9}, digit, letter, digit | letter, {*range(32, 127)}, {0}, {255})
    bits = np.zeros(256, np.uint8)
    for bit, chosen in enumerate(members):
        bits[sorted(chosen)] |= 1 << bit
    return bits


_CLASS_BITS = _class_bits()


@njit(cache=True, nogil=True)
def _from_length(element, registers, cursor, row):  # type: ignore[no-untyped-def]
    """Return the width that a length field gives, or a status, negative."""
    register = registers[element[_P0]]
    if register[STAMP] != row:
        return -MISSING
    value = register[VALUE]
    if register[STATE] != FITS or value > 1 << 40 or value < -(1 << 40):
        return -NO_FIT
    amount = value * element[_P1] + element[_P2]
    if element[_P3] == 1:
        amount -= cursor
    elif element[_P3] == 2:
        amount += register[END] - cursor
    return amount if amount >= 0 else -NO_FIT


@njit(cache=True, nogil=True)
def _delimiter_at(pool, text, table, count, data, at, left):  # type: ignore[no-untyped-def]
    """Return the length of the longest delimiter that stands here, 0 where none does."""
    for k in range(table, table + 2 * count, 2):
        begin, size = pool[k], pool[k + 1]
        if size > left or data[at] != text[begin]:
            continue
        same = 1
        while same < size and data[at + same] == text[begin + same]:
            same += 1
        if same == size:
            return size
    return 0


@njit(cache=True, nogil=True)
def _delimited(element, pool, text, data, base, cursor, end):  # type: ignore[no-untyped-def]
    """Return the width up to a delimiter; the longest comes first in the table."""
    for at in range(cursor, end):
        size = _delimiter_at(pool, text, element[_P0], element[_P1], data, base + at, end - at)
        if size:
            return at - cursor + (size if element[_P2] else 0)
    return -NO_DELIMITER if element[_P3] else end - cursor


@njit(cache=True, nogil=True)
def _run(element, data, base, cursor, end):  # type: ignore[no-untyped-def]
    """Return the width of a run of one class."""
    bit, at = np.uint8(element[_P0]), cursor
    while at < end and _CLASS_BITS[data[base + at]] & bit:
        at += 1
    return -NO_RUN if element[_P3] and at == cursor else at - cursor


@njit(cache=True, nogil=True)
def _labels(data, base, cursor, end):  # type: ignore[no-untyped-def]
    """Return the width of a domain name (RFC 1035 4.1.4)."""
    at = cursor
    while at < end and 0 < data[base + at] < 0xC0:
        at += np.int64(data[base + at]) + 1
    return at + (2 if at < end and data[base + at] >= 0xC0 else 1) - cursor


@njit(cache=True, nogil=True)
def _self_delimiting(form, data, base, cursor, end):  # type: ignore[no-untyped-def]
    """Return the width of a value that shows its own end; past ``end`` where it is cut."""
    at = cursor
    first = data[base + at] if at < end else np.uint8(0)
    if form == _BER_LENGTH:
        return np.int64(first & 0x7F) + 1 if first & 0x80 else np.int64(1)
    if form == _BER_TAG:
        if at < end and first & 0x1F != 0x1F:
            return np.int64(1)
        at += 1
    while at < end and data[base + at] & 0x80 and at - cursor < _VARINT - 1:
        at += 1
    return np.int64(at + 1 - cursor)


@njit(cache=True, nogil=True)
def size_of(element, pool, text, data, base, cursor, end, registers, row):  # type: ignore[no-untyped-def]
    """Return the bytes of a field that is not of fixed size, or a status, negative."""
    kind = element[_OP]
    if kind == _FROM_LENGTH:
        return _from_length(element, registers, cursor, row)
    if kind == _DELIMITED:
        return _delimited(element, pool, text, data, base, cursor, end)
    if kind == _RUN:
        return _run(element, data, base, cursor, end)
    if kind == _SELF:
        if element[_P0] == _LABELS:
            return _labels(data, base, cursor, end)
        return _self_delimiting(element[_P0], data, base, cursor, end)
    left = end - cursor - element[_RESERVE]
    return left if left >= 0 else -NO_FIT
