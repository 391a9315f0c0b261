"""Which type a message is: guards as a table that compiled code reads; agrees with ``types.matching``."""

from __future__ import annotations

import numpy as np
from numba import njit

# The head of the pool: where its parts lie. A program's dispatch first picks a bucket of candidate types by the value
# at one place that most types share, then tries the guards of each; what several guards read is read once a message.
PLACE, PLACE_WIDTH, PLACE_MASK, TABLE, BUCKETS, TYPE_GUARDS, TYPE_BLOCKS = range(7)
HEAD = 7

# Columns of the table of guards.
G_KIND, G_SLOT, G_A, G_B, G_MASK, G_VALUES, G_COUNT, G_FOLD = range(8)
GUARD_COLUMNS = 8
G_VALUE, G_LENGTH, G_TOKEN, G_TEXT = range(4)


@njit(cache=True, nogil=True)
def _integer(data, base, length, offset, width):  # type: ignore[no-untyped-def]
    """Return a big-endian number (64 bits) and 1, or 0 and 0 where the message does not hold it."""
    at = offset if offset >= 0 else length + offset
    if at < 0 or at + width > length:
        return np.int64(0), 0
    value = np.int64(0)
    for i in range(width):
        value = (value << 8) | np.int64(data[base + at + i])
    return value, 1


@njit(cache=True, nogil=True)
def _token(data, base, length, index, text, separators):  # type: ignore[no-untyped-def]
    """Return where the token of this index starts and its size, 0 where there is none."""
    at, begin = 0, 0
    for _ in range(index + 1):
        while at < length and text[separators + data[base + at]]:
            at += 1
        begin = at
        while at < length and not text[separators + data[base + at]]:
            at += 1
    return begin, at - begin


@njit(cache=True, nogil=True)
def _is_text(data, base, length, width):  # type: ignore[no-untyped-def]
    """Whether the first bytes are printable ASCII, tab, CR or LF."""
    for i in range(min(width, length)):
        byte = data[base + i]
        if not (32 <= byte < 127 or byte == 9 or byte == 10 or byte == 13):
            return False
    return True


@njit(cache=True, nogil=True)
def _listed(pool, begin, count, value):  # type: ignore[no-untyped-def]
    """Whether a sorted part of the pool holds a value."""
    low, high = begin, begin + count
    while low < high:
        middle = (low + high) // 2
        if pool[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < begin + count and pool[low] == value


@njit(cache=True, nogil=True)
def _same_token(data, at, size, text, begin, fold):  # type: ignore[no-untyped-def]
    """Whether a token is this constant, ASCII letters in upper case where they are folded."""
    for i in range(size):
        byte = data[at + i]
        if fold and 97 <= byte <= 122:
            byte -= 32
        if byte != text[begin + i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _token_listed(guard, pool, text, data, base, begin, size):  # type: ignore[no-untyped-def]
    """Whether a token is one of a guard's constants."""
    if size == 0:
        return False
    for k in range(guard[G_VALUES], guard[G_VALUES] + 2 * guard[G_COUNT], 2):
        if pool[k + 1] == size and _same_token(data, base + begin, size, text, pool[k], guard[G_FOLD]):
            return True
    return False


@njit(cache=True, nogil=True)
def _recall(guard, text, data, base, length, memo, row):  # type: ignore[no-untyped-def]
    """Return what a guard reads, read once a message for all guards that share it."""
    slot = memo[guard[G_SLOT]]
    if slot[0] != row:
        if guard[G_KIND] == G_VALUE:
            slot[1], slot[2] = _integer(data, base, length, guard[G_A], guard[G_B])
        else:
            slot[1], slot[2] = _token(data, base, length, guard[G_A], text, guard[G_B])
        slot[0] = row
    return slot[1], slot[2]


@njit(cache=True, nogil=True)
def _holds(guard, pool, text, data, base, length, memo, row):  # type: ignore[no-untyped-def]
    """Whether a guard holds."""
    kind = guard[G_KIND]
    if kind == G_LENGTH:
        return guard[G_A] <= length and (guard[G_B] < 0 or length <= guard[G_B])
    if kind == G_TEXT:
        return _is_text(data, base, length, guard[G_A])
    first, second = _recall(guard, text, data, base, length, memo, row)
    if kind == G_VALUE:
        return second == 1 and _listed(pool, guard[G_VALUES], guard[G_COUNT], first & guard[G_MASK])
    return _token_listed(guard, pool, text, data, base, first, second)


@njit(cache=True, nogil=True)
def _bucket(pool, data, base, length):  # type: ignore[no-untyped-def]
    """Return the bucket of candidate types."""
    width = pool[PLACE_WIDTH]
    if width == 0:
        return pool[pool[TABLE]]
    value, found = _integer(data, base, length, pool[PLACE], width)
    # The last entry of the table is for messages too short to hold the value.
    return pool[pool[TABLE] + (value & pool[PLACE_MASK] if found else 1 << (8 * width))]


@njit(cache=True, nogil=True)
def type_of(program, data, base, length, memo, row):  # type: ignore[no-untyped-def]
    """Return the index of the first type whose guards all hold, or -1."""
    guards, pool, text = program[1], program[2], program[3]
    bucket = pool[BUCKETS] + _bucket(pool, data, base, length)
    for place in range(pool[bucket], pool[bucket + 1]):
        kind = pool[place]
        span = pool[TYPE_GUARDS] + kind
        holds = True
        for guard in range(pool[span], pool[span + 1]):
            if not _holds(guards[guard], pool, text, data, base, length, memo, row):
                holds = False
                break
        if holds:
            return kind
    return -1
