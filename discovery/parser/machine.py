"""
The machine: one compiled loop that reads messages along a program, whatever the specification.

A program is one table of numbers (see ``program``). The machine keeps an explicit stack of blocks, so recursion through
groups is bounded by a depth limit, and every step counts against a budget. Its whole state is one array: ``state``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .arrays import NESTED, UNCOUNTED
from .dispatch import BASE, LENGTH, ROW, TYPE_BLOCKS, search, type_of
from .limits import (
    BAD_COUNT,
    LEFT_OVER,
    MISSING,
    NO_FIT,
    OK,
    READS_NOTHING,
    TOO_DEEP,
    TOO_LONG,
    TOO_MANY,
    TOO_MUCH,
    UNKNOWN,
)
from .numbers import FITS, HIGH, NO_NUMBER, read_number
from .widths import CURSOR, END, F_END, FRAME, STAMP, STATE, VALUE, size_of

# Columns of an element: a field, a repeat or a switch. A layout is a block of elements, one after the other.
OP, P0, P1, P2, P3, RESERVE, BEGIN, STOP, SYMBOL, REGISTER, ENCODING, LITTLE, INNER, MAXIMUM = range(14)
COLUMNS = 14
FIXED, FROM_LENGTH, DELIMITED, RUN, SELF_DELIMITING, REST, REPEAT, SWITCH = range(8)
PLAIN = -1  # a fixed leaf that nothing depends on
TO_END, TIMES, UNTIL = range(3)

# Columns of a frame of the stack, after the end of its region: next element, last, the element that opened it, ...
F_PC, F_STOP, F_HOLDER, F_ITEM, F_WANTED, F_MARK, F_LEVEL = range(1, 8)
FRAME_COLUMNS = 8

# The head of the state, after what dispatch and widths need: leaves of all messages and of this one, bounds, the stack.
COUNT, LEAVES, MAX_LEAVES, MAX_STEPS, MAX_BYTES, LAST_FRAME, STACK, HOLDER = range(5, 13)
STATE_HEAD = 16

UNPARSED = -1
"""The symbol of bytes that could not be read."""
ROW_OUT, SYMBOL_OUT, START_OUT, LENGTH_OUT, ITEM_OUT, LEVEL_OUT = range(6)


@njit(**NESTED)
def _write(state, out, symbol, start, length, item, level):  # type: ignore[no-untyped-def]
    """Write a leaf or node if there is room; count it in any case."""
    at = state[COUNT]
    if at < out.shape[1]:
        out[ROW_OUT, at] = state[ROW]
        out[SYMBOL_OUT, at] = symbol
        out[START_OUT, at] = start
        out[LENGTH_OUT, at] = length
        out[ITEM_OUT, at] = item
        if out.shape[0] > LEVEL_OUT:
            out[LEVEL_OUT, at] = level
    state[COUNT] = at + 1


@njit(**NESTED)
def _leaf(state, out, symbol, size):  # type: ignore[no-untyped-def]
    """Write a leaf at the cursor and pass it, unless there are too many; return a status."""
    if state[LEAVES] >= state[MAX_LEAVES]:
        return TOO_MANY
    state[LEAVES] += 1
    frame, cursor = state[FRAME], state[CURSOR]
    _write(state, out, symbol, cursor, size, state[frame + F_ITEM], state[frame + F_LEVEL])
    state[CURSOR] = cursor + size
    return OK


@njit(**NESTED)
def _node(state, out, symbol, size, item, level):  # type: ignore[no-untyped-def]
    """Write an inner node where they are asked for."""
    if out.shape[0] > LEVEL_OUT:
        _write(state, out, symbol, state[CURSOR], size, item, level)


@njit(**NESTED)
def _push(state, begin, stop, end, holder, level):  # type: ignore[no-untyped-def]
    """Enter a block; return a status."""
    outer = state[FRAME]
    if outer >= state[LAST_FRAME]:
        return TOO_DEEP
    frame = outer + FRAME_COLUMNS
    state[frame + F_END] = end
    state[frame + F_PC] = begin
    state[frame + F_STOP] = stop
    state[frame + F_HOLDER] = holder
    state[frame + F_ITEM] = state[outer + F_ITEM]
    state[frame + F_LEVEL] = level
    state[FRAME] = frame
    return OK


@njit(**NESTED)
def _keep(program, state, data, element, register, size):  # type: ignore[no-untyped-def]
    """Keep the number that a field holds for the elements that depend on it."""
    at = state[BASE] + state[CURSOR]
    value, kind = read_number(data, at, size, program[element + ENCODING], program[element + LITTLE])
    if kind != NO_NUMBER:
        state[register + VALUE] = value
        state[register + END] = state[CURSOR] + size
        state[register + STATE] = kind
        state[register + STAMP] = state[ROW]


@njit(**NESTED)
def _field(program, state, data, out, element):  # type: ignore[no-untyped-def]
    """Read one field; return a status."""
    size = program[element + P0]
    if program[element + OP] > FIXED:
        size = size_of(program, state, data, element)
        if size < 0:
            return -size
    frame = state[FRAME]
    stop = state[CURSOR] + size
    if stop > state[frame + F_END]:
        return NO_FIT
    register = program[element + REGISTER]
    if register >= 0:
        _keep(program, state, data, element, register, size)
    if program[element + INNER] < 0:
        return _leaf(state, out, program[element + SYMBOL], size)
    level = state[frame + F_LEVEL]
    status = _push(state, program[element + BEGIN], program[element + STOP], stop, element, level + 1)
    if status == OK:
        _node(state, out, program[element + SYMBOL], size, state[frame + F_ITEM], level)
    return status


@njit(**NESTED)
def _marked(program, state, data, element):  # type: ignore[no-untyped-def]
    """Whether the bytes that end a repeat come next."""
    cursor, size, mark = state[CURSOR], program[element + P2], program[element + P1]
    if cursor + size > state[LENGTH]:
        return False
    at = state[BASE] + cursor
    for i in range(size):  # noqa: SIM110 - numba compiles no generator here
        if data[at + i] != program[mark + i]:
            return False
    return True


@njit(**NESTED)
def _another(program, state, data, element, items, wanted, limit):  # type: ignore[no-untyped-def]
    """Whether one more item of a repeat follows."""
    if items >= wanted:
        return False
    stop = program[element + P0]
    if stop == TIMES:
        return True
    if state[CURSOR] >= limit:
        return False
    return stop == TO_END or not _marked(program, state, data, element)


@njit(**NESTED)
def _wanted(program, state, element):  # type: ignore[no-untyped-def]
    """Return how many items of a repeat may follow, or a status, negative."""
    maximum = program[element + MAXIMUM]
    if program[element + P0] != TIMES:
        return maximum
    register = program[element + P1]
    if state[register + STAMP] != state[ROW]:
        return -MISSING
    value = state[register + VALUE]
    if state[register + STATE] != FITS or value > 1 << 45 or value < -(1 << 45):
        return -BAD_COUNT
    value += program[element + P2]
    return value if 0 <= value <= maximum else -BAD_COUNT


@njit(**NESTED)
def _repeat(program, state, data, out, element):  # type: ignore[no-untyped-def]
    """Enter a repeat, if an item follows; return a status."""
    wanted = _wanted(program, state, element)
    if wanted < 0:
        return -wanted
    frame, items = state[FRAME], np.int64(0)
    limit = state[frame + F_END] - program[element + RESERVE]
    if not _another(program, state, data, element, items, wanted, limit):
        return OK
    level = state[frame + F_LEVEL]
    status = _push(state, program[element + BEGIN], program[element + STOP], limit, element, level + 1)
    if status:
        return status
    inner = state[FRAME]
    state[inner + F_ITEM] = 0
    state[inner + F_WANTED] = wanted
    state[inner + F_MARK] = state[CURSOR]
    _node(state, out, program[element + SYMBOL], items, items, level)
    return OK


@njit(**NESTED)
def _next_item(program, state, data, out, element):  # type: ignore[no-untyped-def]
    """At the end of an item: begin the next or leave the repeat; return a status."""
    frame = state[FRAME]
    if state[CURSOR] == state[frame + F_MARK] and program[element + P0] != TIMES:
        return READS_NOTHING
    item = state[frame + F_ITEM] + 1
    if not _another(program, state, data, element, item, state[frame + F_WANTED], state[frame + F_END]):
        state[FRAME] = frame - FRAME_COLUMNS
        return OK
    state[frame + F_ITEM] = item
    state[frame + F_MARK] = state[CURSOR]
    state[frame + F_PC] = program[element + BEGIN]
    _node(state, out, program[element + SYMBOL], item - item, item, state[frame + F_LEVEL] - 1)
    return OK


@njit(**NESTED)
def _switch(program, state, element):  # type: ignore[no-untyped-def]
    """Enter the case that is chosen; return a status."""
    register, frame = program[element + P0], state[FRAME]
    if state[register + STAMP] != state[ROW]:
        return MISSING
    value, kind = state[register + VALUE], state[register + STATE]
    if program[element + P3]:
        value &= program[element + P1]
        kind = HIGH if value < 0 and kind != FITS else FITS
    # Two sorted lists: values of int64, then those of uint64 above. Of each: count, values, cases.
    table = program[element + P2]
    if kind == HIGH:
        table += 1 + 2 * program[table]
    place = search(program, table + 1, program[table], value) if kind <= HIGH else -1
    chosen = program[place + program[table]] if place >= 0 else element + BEGIN
    level = state[frame + F_LEVEL]
    return _push(state, program[chosen], program[chosen + 1], state[frame + F_END], element, level)


@njit(**NESTED)
def _leave(program, state, data, out, element):  # type: ignore[no-untyped-def]
    """At the end of a block that this element opened: return a status."""
    frame = state[FRAME]
    kind = program[element + OP]
    if kind == REPEAT:
        return _next_item(program, state, data, out, element)
    if kind != SWITCH:
        left = state[frame + F_END] - state[CURSOR]
        if left:
            status = _leaf(state, out, program[element + INNER], left)
            if status:
                return status
    state[FRAME] = frame - FRAME_COLUMNS
    return OK


@njit(**NESTED)
def _plain(program, state, out, frame):  # type: ignore[no-untyped-def]
    """Read plain leaves in a row as far as they fit; what does not fit is left for the next step to judge."""
    element, stop, cursor, at = state[frame + F_PC], state[frame + F_STOP], state[CURSOR], state[COUNT]
    row, item, end = state[ROW], state[frame + F_ITEM], state[frame + F_END]
    room = min(out.shape[1], at + state[MAX_LEAVES] - state[LEAVES])
    first = at
    while element < stop and program[element] == PLAIN and at < room:
        size = program[element + P0]
        if cursor + size > end:
            break
        out[ROW_OUT, at] = row
        out[SYMBOL_OUT, at] = program[element + SYMBOL]
        out[START_OUT, at] = cursor
        out[LENGTH_OUT, at] = size
        out[ITEM_OUT, at] = item
        if out.shape[0] > LEVEL_OUT:
            out[LEVEL_OUT, at] = state[frame + F_LEVEL]
        cursor += size
        element += COLUMNS
        at += 1
    state[frame + F_PC], state[CURSOR], state[COUNT] = element, cursor, at
    state[LEAVES] += at - first


@njit(**NESTED)
def _step(program, state, data, out, frame):  # type: ignore[no-untyped-def]
    """Read the next element of the innermost block, or leave it; return a status."""
    element = state[frame + F_PC]
    if element == state[frame + F_STOP]:
        element = state[frame + F_HOLDER]
        state[HOLDER] = element
        return _leave(program, state, data, out, element)
    state[frame + F_PC] = element + COLUMNS
    state[HOLDER] = element
    kind = program[element + OP]
    if kind < REPEAT:
        return _field(program, state, data, out, element)
    if kind == REPEAT:
        return _repeat(program, state, data, out, element)
    return _switch(program, state, element)


@njit(**NESTED)
def _read(program, state, data, out, block):  # type: ignore[no-untyped-def]
    """Read the current message along the layout of its type; return a status."""
    top, none = state[STACK], np.int64(0)
    state[FRAME] = top
    state[top + F_PC] = program[block]
    state[top + F_STOP] = program[block + 1]
    state[top + F_END] = state[LENGTH]
    state[top + F_ITEM] = state[top + F_LEVEL] = state[LEAVES] = none
    if program[block] == program[block + 1]:  # no layout: one leaf
        return _leaf(state, out, program[block + 2], state[LENGTH]) if state[LENGTH] else OK
    for _ in range(state[MAX_STEPS]):
        frame = state[FRAME]
        _plain(program, state, out, frame)
        if frame == top and state[top + F_PC] == state[top + F_STOP]:
            return OK if state[CURSOR] == state[LENGTH] else LEFT_OVER
        status = _step(program, state, data, out, frame)
        if status:
            return status
    return TOO_MUCH


@njit(**NESTED)
def _message(program, state, data, out):  # type: ignore[no-untyped-def]
    """Read the current message; return its type and a status."""
    state[HOLDER] = -1
    if state[LENGTH] > state[MAX_BYTES]:
        return np.int64(-1), TOO_LONG
    kind = type_of(program, state, data)
    if kind < 0:
        return kind, UNKNOWN
    return kind, _read(program, state, data, out, program[TYPE_BLOCKS] + 3 * kind)


@njit(cache=True, nogil=True, **UNCOUNTED)
def run(program, state, data, starts, lengths, row, out, verdicts):  # type: ignore[no-untyped-def]
    """
    Read messages from ``row`` on until the last, or until one for whose leaves there is no room.

    Args:
        program: int64; state: int64, see ``new_state``; ``state[COUNT]`` leaves are already written.
        data, starts, lengths: the messages.
        out: int32, (5 or 6, leaves): row, symbol, start, length, item and level of each; without a level no inner
            nodes are written.
        verdicts: int32, (4, messages): type, status, error offset, element (-1 where there is none).

    Returns:
        The next row.
    """
    none, unparsed = np.int64(0), np.int64(UNPARSED)
    while row < len(starts):
        before = state[COUNT]
        state[BASE], state[LENGTH], state[ROW], state[CURSOR] = starts[row], lengths[row], row, none
        kind, status = _message(program, state, data, out)
        cursor = state[CURSOR]
        if cursor < state[LENGTH]:
            _write(state, out, unparsed, cursor, state[LENGTH] - cursor, none, none)
        if state[COUNT] > out.shape[1]:
            state[COUNT] = before
            return row
        verdicts[0, row] = kind
        verdicts[1, row] = status
        verdicts[2, row] = cursor if status else -1
        verdicts[3, row] = state[HOLDER] if status else -1
        row += 1
    return row


def new_state(scratch: int, depth: int, leaves: int, steps: int, message_bytes: int) -> NDArray[np.int64]:
    """
    Return the state of a machine that has read nothing: the head, ``scratch`` cells for registers and memo, the stack.

    Args:
        depth, leaves, steps, message_bytes: see ``Limits``.
    """
    stack = STATE_HEAD + scratch
    state = np.full(stack + FRAME_COLUMNS * (depth + 1), -1, np.int64)
    state[COUNT], state[STACK], state[LAST_FRAME] = 0, stack, stack + FRAME_COLUMNS * depth
    state[MAX_LEAVES], state[MAX_STEPS], state[MAX_BYTES] = leaves, steps, message_bytes
    return state
