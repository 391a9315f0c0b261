"""How many bytes a field takes, as compiled code finds it out; mirrors ``spec.layout``."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .arrays import NESTED
from .dispatch import BASE, ROW
from .limits import MISSING, NO_DELIMITER, NO_FIT, NO_RUN
from .numbers import FITS

VALUE, END, STATE, STAMP = range(4)
REGISTER_COLUMNS = 4
"""Columns of a register: the number, where its field ended, what the number is, the row it was read in."""
FRAME, CURSOR = 3, 4
"""Where the state holds the innermost frame, and the offset in the message of the next byte to read."""
F_END = 0
"""Column of a frame: the offset at which its region ends."""

_OP, _P0, _P1, _P2, _P3, _RESERVE = range(6)
_FROM_LENGTH, _DELIMITED, _RUN, _SELF = 1, 2, 3, 4
_BER_LENGTH, _, _LEB128, _LABELS = range(4)
_VARINT = 10  # bytes at most

CLASSES = ("space", "digit", "letter", "alnum", "printable", "zero", "ff")


def _class_bits() -> NDArray[np.uint8]:
    digit, letter = {*range(48, 58)}, {*range(65, 91), *range(97, 123)}
    members = ({32, 9}, digit, letter, digit | letter, {*range(32, 127)}, {0}, {255})
    bits = np.zeros(256, np.uint8)
    for bit, chosen in enumerate(members):
        bits[sorted(chosen)] |= 1 << bit
    return bits


_CLASS_BITS = _class_bits()


@njit(**NESTED)
def _from_length(program, state, element):  # type: ignore[no-untyped-def]
    """Return the width that a length field gives, or a status, negative."""
    register = program[element + _P0]
    if state[register + STAMP] != state[ROW]:
        return -MISSING
    value, cursor = state[register + VALUE], state[CURSOR]
    if state[register + STATE] != FITS or value > 1 << 45 or value < -(1 << 45):
        return -NO_FIT
    amount = value * program[element + _P1] + program[element + _P2]
    origin = program[element + _P3]
    if origin == 1:
        amount -= cursor
    elif origin == 2:
        amount += state[register + END] - cursor
    return amount if amount >= 0 else -NO_FIT


@njit(**NESTED)
def _delimiter_at(program, table, count, data, at, left):  # type: ignore[no-untyped-def]
    """Return the length of the longest delimiter that stands here, 0 where none does."""
    for k in range(table, table + 2 * count, 2):
        begin, size = program[k], program[k + 1]
        if size > left or data[at] != program[begin]:
            continue
        same = 1
        while same < size and data[at + same] == program[begin + same]:
            same += 1
        if same == size:
            return size
    return np.int64(0)


@njit(**NESTED)
def _delimited(program, element, data, begin, end):  # type: ignore[no-untyped-def]
    """Return the width up to a delimiter; the longest comes first in the table."""
    table, count = program[element + _P0], program[element + _P1]
    for at in range(begin, end):
        size = _delimiter_at(program, table, count, data, at, end - at)
        if size:
            return at - begin + (size if program[element + _P2] else 0)
    return -NO_DELIMITER if program[element + _P3] else end - begin


@njit(**NESTED)
def _run(data, begin, end, bit, required):  # type: ignore[no-untyped-def]
    """Return the width of a run of one class."""
    at = begin
    while at < end and np.int64(_CLASS_BITS[data[at]]) & bit:
        at += 1
    return -NO_RUN if required and at == begin else at - begin


@njit(**NESTED)
def _labels(data, begin, end):  # type: ignore[no-untyped-def]
    """Return the width of a domain name (RFC 1035 4.1.4); past ``end`` where it is cut."""
    at = begin
    while at < end and 0 < data[at] < 0xC0:
        at += np.int64(data[at]) + 1
    return at + (2 if at < end and data[at] >= 0xC0 else 1) - begin


@njit(**NESTED)
def _varint(data, begin, at, end):  # type: ignore[no-untyped-def]
    """Return the width from ``begin`` to the first byte from ``at`` on that does not say that more follow."""
    while at < end and data[at] & 0x80 and at - begin < _VARINT - 1:
        at += 1
    return np.int64(at + 1 - begin)


@njit(**NESTED)
def _self_delimiting(form, data, begin, end):  # type: ignore[no-untyped-def]
    """Return the width of a value that shows its own end; past ``end`` where it is cut."""
    if form == _LABELS:
        return _labels(data, begin, end)
    if form == _LEB128 or begin >= end:
        return _varint(data, begin, begin, end)
    first = np.int64(data[begin])
    if form == _BER_LENGTH:
        return (first & 0x7F) + 1 if first & 0x80 else np.int64(1)
    if first & 0x1F != 0x1F:
        return np.int64(1)
    return _varint(data, begin, begin + 1, end)


@njit(**NESTED)
def size_of(program, state, data, element):  # type: ignore[no-untyped-def]
    """Return the bytes of a field that is not of fixed size, or a status, negative."""
    kind = program[element + _OP]
    if kind == _FROM_LENGTH:
        return _from_length(program, state, element)
    base = state[BASE]
    begin, end = base + state[CURSOR], base + state[state[FRAME] + F_END]
    if kind == _DELIMITED:
        return _delimited(program, element, data, begin, end)
    if kind == _RUN:
        return _run(data, begin, end, program[element + _P0], program[element + _P3])
    if kind == _SELF:
        return _self_delimiting(program[element + _P0], data, begin, end)
    left = end - begin - program[element + _RESERVE]
    return min(left, program[element + _P0]) if left >= 0 else -NO_FIT
