"""Which type a message is: guards as a table that compiled code reads; agrees with ``types.matching``."""

from __future__ import annotations

import numpy as np
from numba import njit

from .arrays import NESTED

# The head of the state: the message that is read.
BASE, LENGTH, ROW = range(3)

# The head of a program: where its parts lie. A program's dispatch first picks a bucket of candidate types by the value
# at one place that most types share, then tries the guards of each; what several guards read is read once a message.
PLACE, PLACE_WIDTH, PLACE_MASK, VALUES, VALUE_COUNT, BUCKETS, TYPE_GUARDS, TYPE_BLOCKS = range(8)
HEAD = 8

# Columns of the table of guards.
G_KIND, G_SLOT, G_A, G_B, G_MASK, G_VALUES, G_COUNT, G_FOLD = range(8)
GUARD_COLUMNS = 8
MEMO_COLUMNS = 3
G_VALUE, G_LENGTH, G_TOKEN, G_TEXT = range(4)


@njit(**NESTED)
def _integer(state, data, offset, width):  # type: ignore[no-untyped-def]
    """Return a big-endian number (64 bits) and whether the message holds it."""
    length = state[LENGTH]
    at = offset if offset >= 0 else length + offset
    value = np.int64(0)
    if at < 0 or at + width > length:
        return value, False
    at += state[BASE]
    for i in range(width):
        value = (value << 8) | np.int64(data[at + i])
    return value, True


@njit(**NESTED)
def _token(program, state, data, index, separators):  # type: ignore[no-untyped-def]
    """Return where in ``data`` the token of this index starts and its size, 0 where there is none."""
    at = begin = state[BASE]
    end = at + state[LENGTH]
    for _ in range(index + 1):
        while at < end and program[separators + data[at]]:
            at += 1
        begin = at
        while at < end and not program[separators + data[at]]:
            at += 1
    return begin, at - begin


@njit(**NESTED)
def _is_text(state, data, width):  # type: ignore[no-untyped-def]
    """Whether the first bytes are printable ASCII, tab, CR or LF."""
    base = state[BASE]
    for i in range(base, base + min(width, state[LENGTH])):
        byte = data[i]
        if not (32 <= byte < 127 or byte == 9 or byte == 10 or byte == 13):
            return False
    return True


@njit(**NESTED)
def search(program, begin, count, value):  # type: ignore[no-untyped-def]
    """Return the place of a value in a sorted part of the program, or -1."""
    low, high = begin, begin + count
    while low < high:
        middle = (low + high) // 2
        if program[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < begin + count and program[low] == value else np.int64(-1)


@njit(**NESTED)
def _same_token(program, data, at, size, constant, fold):  # type: ignore[no-untyped-def]
    """Whether a token is this constant, ASCII letters in upper case where they are folded."""
    for i in range(size):
        byte = np.int64(data[at + i])
        if fold and 97 <= byte <= 122:
            byte -= 32
        if byte != program[constant + i]:
            return False
    return True


@njit(**NESTED)
def _token_listed(program, data, guard, begin, size):  # type: ignore[no-untyped-def]
    """Whether a token is one of a guard's constants."""
    first, fold = program[guard + G_VALUES], program[guard + G_FOLD]
    if size == 0:
        return False
    for k in range(first, first + 2 * program[guard + G_COUNT], 2):
        if program[k + 1] == size and _same_token(program, data, begin, size, program[k], fold):
            return True
    return False


@njit(**NESTED)
def _value_holds(program, state, data, guard, slot):  # type: ignore[no-untyped-def]
    """Whether a value guard holds; the value is read once a message for all guards that share it."""
    if state[slot] != state[ROW]:
        state[slot + 1], state[slot + 2] = _integer(state, data, program[guard + G_A], program[guard + G_B])
        state[slot] = state[ROW]
    if not state[slot + 2]:
        return False
    value = state[slot + 1] & program[guard + G_MASK]
    return search(program, program[guard + G_VALUES], program[guard + G_COUNT], value) >= 0


@njit(**NESTED)
def _token_holds(program, state, data, guard, slot):  # type: ignore[no-untyped-def]
    """Whether a token guard holds; the token is sought once a message for all guards that share it."""
    if state[slot] != state[ROW]:
        state[slot + 1], state[slot + 2] = _token(program, state, data, program[guard + G_A], program[guard + G_B])
        state[slot] = state[ROW]
    return _token_listed(program, data, guard, state[slot + 1], state[slot + 2])


@njit(**NESTED)
def _holds(program, state, data, guard):  # type: ignore[no-untyped-def]
    """Whether a guard holds."""
    kind, length = program[guard + G_KIND], state[LENGTH]
    if kind == G_LENGTH:
        maximum = program[guard + G_B]
        return program[guard + G_A] <= length and (maximum < 0 or length <= maximum)
    if kind == G_TEXT:
        return _is_text(state, data, program[guard + G_A])
    if kind == G_VALUE:
        return _value_holds(program, state, data, guard, program[guard + G_SLOT])
    return _token_holds(program, state, data, guard, program[guard + G_SLOT])


@njit(**NESTED)
def _bucket(program, state, data):  # type: ignore[no-untyped-def]
    """Return the bucket of candidate types: 0 where the message has no value that a type asks for."""
    values, count = program[VALUES], program[VALUE_COUNT]
    value, found = _integer(state, data, program[PLACE], program[PLACE_WIDTH])
    place = search(program, values, count, value & program[PLACE_MASK]) if found else np.int64(-1)
    return program[place + count] if place >= 0 else np.int64(0)


@njit(**NESTED)
def type_of(program, state, data):  # type: ignore[no-untyped-def]
    """Return the index of the first type whose guards all hold, or -1."""
    bucket = program[BUCKETS] + _bucket(program, state, data)
    for place in range(program[bucket], program[bucket + 1]):
        kind = program[place]
        span = program[TYPE_GUARDS] + kind
        holds = True
        for guard in range(program[span], program[span + 1], GUARD_COLUMNS):
            if not _holds(program, state, data, guard):
                holds = False
                break
        if holds:
            return kind
    return np.int64(-1)
