"""
The machine: one compiled loop that reads messages along a program, whatever the specification.

A program is tables of numbers and constant bytes (see ``program``). The machine keeps an explicit stack of blocks, so
recursion through groups is bounded by a depth limit, and every step counts against a budget.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .dispatch import TYPE_BLOCKS, type_of
from .limits import (
    BAD_COUNT, LEFT_OVER, MISSING, NO_FIT, OK, READS_NOTHING, TOO_DEEP, TOO_LONG, TOO_MANY, TOO_MUCH, UNKNOWN,
)  # fmt: skip
from .numbers import FITS, HIGH, NO_NUMBER, read_number
from .widths import END, STAMP, STATE, VALUE, size_of

# Columns of the table of elements. A row is a field, a repeat or a switch; a layout is a block of rows.
OP, P0, P1, P2, P3, RESERVE, BEGIN, STOP, SYMBOL, REGISTER, ENCODING, LITTLE, INNER, MAXIMUM = range(14)
COLUMNS = 14
FIXED, FROM_LENGTH, DELIMITED, RUN, SELF_DELIMITING, REST, REPEAT, SWITCH = range(8)
TO_END, TIMES, UNTIL = range(3)

# Columns of the stack; the first row also counts the leaves of the message.
F_PC, F_STOP, F_END, F_HOLDER, F_ITEM, F_WANTED, F_MARK, F_LEVEL, F_LEAVES = range(9)
_FRAME = 9
_TOP = -1

# What may stand for the symbol of a leaf.
UNPARSED = -1


@njit(cache=True, nogil=True)
def _write(out, count, row, symbol, start, length, item, level):  # type: ignore[no-untyped-def]
    """Write a leaf or node if there is room; return the count in any case."""
    if count < len(out[0]):
        out[0][count], out[1][count], out[2][count] = row, symbol, start
        out[3][count], out[4][count] = length, item
        if len(out[5]):
            out[5][count] = level
    return count + 1


@njit(cache=True, nogil=True)
def _leaf(frame, top, limits, out, count, row, symbol, start, length):  # type: ignore[no-untyped-def]
    """Write a leaf unless there are too many; return the count and a status."""
    if top[F_LEAVES] >= limits[1]:
        return count, TOO_MANY
    top[F_LEAVES] += 1
    return _write(out, count, row, symbol, start, length, frame[F_ITEM], frame[F_LEVEL]), OK


@njit(cache=True, nogil=True)
def _push(stack, depth, limits, begin, stop, end, holder, level):  # type: ignore[no-untyped-def]
    """Enter a block; return the new depth, or -1 where it is too deep."""
    if depth >= limits[0]:
        return -1
    item = stack[depth, F_ITEM]
    depth += 1
    frame = stack[depth]
    frame[F_PC], frame[F_STOP], frame[F_END], frame[F_HOLDER] = begin, stop, end, holder
    frame[F_ITEM], frame[F_LEVEL] = item, level
    return depth


@njit(cache=True, nogil=True)
def _keep(element, registers, data, start, size, row):  # type: ignore[no-untyped-def]
    """Keep the number that a field holds for the elements that depend on it."""
    value, state = read_number(data, start, size, element[ENCODING], element[LITTLE])
    if state != NO_NUMBER:
        register = registers[element[REGISTER]]
        register[VALUE], register[STATE], register[STAMP] = value, state, row


@njit(cache=True, nogil=True)
def _field(program, limits, data, base, cursor, stack, depth, registers, row, out, count, pc):  # type: ignore[no-untyped-def]
    """Read one field; return the cursor, the depth, the count and a status."""
    element, frame = program[0][pc], stack[depth]
    size = element[P0]
    if element[OP] != FIXED:
        size = size_of(element, program[2], program[3], data, base, cursor, frame[F_END], registers, row)
        if size < 0:
            return cursor, depth, count, -size
    stop = cursor + size
    if stop > frame[F_END]:
        return cursor, depth, count, NO_FIT
    if element[REGISTER] >= 0:
        _keep(element, registers, data, base + cursor, size, row)
        registers[element[REGISTER], END] = stop
    if element[INNER] < 0:
        count, status = _leaf(frame, stack[0], limits, out, count, row, element[SYMBOL], cursor, size)
        return (cursor if status else stop), depth, count, status
    below = _push(stack, depth, limits, element[BEGIN], element[STOP], stop, pc, frame[F_LEVEL] + 1)
    if below < 0:
        return cursor, depth, count, TOO_DEEP
    if len(out[5]):
        count = _write(out, count, row, element[SYMBOL], cursor, size, frame[F_ITEM], frame[F_LEVEL])
    return cursor, below, count, OK


@njit(cache=True, nogil=True)
def _another(element, program, data, base, length, cursor, frame_items, wanted, limit):  # type: ignore[no-untyped-def]
    """Whether one more item of a repeat follows."""
    if frame_items >= wanted:
        return False
    if element[P0] == TIMES:
        return True
    if cursor >= limit:
        return False
    if element[P0] == TO_END or cursor + element[P2] > length:
        return True
    text = program[3]
    for i in range(element[P2]):
        if data[base + cursor + i] != text[element[P1] + i]:
            return True
    return False


@njit(cache=True, nogil=True)
def _wanted(element, registers, row):  # type: ignore[no-untyped-def]
    """Return how many items of a repeat may follow, or a status, negative."""
    if element[P0] != TIMES:
        return element[MAXIMUM]
    register = registers[element[P1]]
    if register[STAMP] != row:
        return -MISSING
    if register[STATE] != FITS or not -(1 << 40) < register[VALUE] < 1 << 40:
        return -BAD_COUNT
    count = register[VALUE] + element[P2]
    return count if 0 <= count <= element[MAXIMUM] else -BAD_COUNT


@njit(cache=True, nogil=True)
def _repeat(program, limits, data, base, length, cursor, stack, depth, registers, row, out, count, pc):  # type: ignore[no-untyped-def]
    """Enter a repeat, if an item follows; return the depth, the count and a status."""
    element, frame = program[0][pc], stack[depth]
    wanted = _wanted(element, registers, row)
    if wanted < 0:
        return depth, count, -wanted
    limit = frame[F_END] - element[RESERVE]
    if not _another(element, program, data, base, length, cursor, 0, wanted, limit):
        return depth, count, OK
    below = _push(stack, depth, limits, element[BEGIN], element[STOP], limit, pc, frame[F_LEVEL] + 1)
    if below < 0:
        return depth, count, TOO_DEEP
    inner = stack[below]
    inner[F_ITEM], inner[F_WANTED], inner[F_MARK] = 0, wanted, cursor
    if len(out[5]):
        count = _write(out, count, row, element[SYMBOL], cursor, 0, 0, frame[F_LEVEL])
    return below, count, OK


@njit(cache=True, nogil=True)
def _search(pool, begin, count, value):  # type: ignore[no-untyped-def]
    """Return the place of a value in a sorted part of the pool, or -1."""
    low, high = begin, begin + count
    while low < high:
        middle = (low + high) // 2
        if pool[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < begin + count and pool[low] == value else -1


@njit(cache=True, nogil=True)
def _switch(program, limits, stack, depth, registers, row, pc):  # type: ignore[no-untyped-def]
    """Enter the case that is chosen; return the depth and a status."""
    element, pool, frame = program[0][pc], program[2], stack[depth]
    register = registers[element[P0]]
    if register[STAMP] != row:
        return depth, MISSING
    value, state = register[VALUE], register[STATE]
    if element[P3]:
        value &= element[P1]
        state = HIGH if value < 0 and state != FITS else FITS
    # Two sorted lists: values of int64, then those of uint64 above. Of each: count, values, cases.
    table = element[P2]
    if state == HIGH:
        table += 1 + 2 * pool[table]
    place = _search(pool, table + 1, pool[table], value) if state <= HIGH else -1
    begin, stop = element[BEGIN], element[STOP]
    if place >= 0:
        case = pool[place + pool[table]]
        begin, stop = pool[case], pool[case + 1]
    below = _push(stack, depth, limits, begin, stop, frame[F_END], pc, frame[F_LEVEL])
    return (below, OK) if below >= 0 else (depth, TOO_DEEP)


@njit(cache=True, nogil=True)
def _next_item(program, limits, data, base, length, cursor, stack, depth, row, out, count):  # type: ignore[no-untyped-def]
    """At the end of an item: begin the next or leave the repeat; return the depth, the count and a status."""
    frame = stack[depth]
    element = program[0][frame[F_HOLDER]]
    if cursor == frame[F_MARK] and element[P0] != TIMES:
        return depth, count, READS_NOTHING
    frame[F_ITEM] += 1
    if not _another(element, program, data, base, length, cursor, frame[F_ITEM], frame[F_WANTED], frame[F_END]):
        return depth - 1, count, OK
    frame[F_MARK], frame[F_PC] = cursor, element[BEGIN]
    if len(out[5]):
        count = _write(out, count, row, element[SYMBOL], cursor, 0, frame[F_ITEM], frame[F_LEVEL] - 1)
    return depth, count, OK


@njit(cache=True, nogil=True)
def _leave(program, limits, data, base, length, cursor, stack, depth, row, out, count):  # type: ignore[no-untyped-def]
    """At the end of a block: return the cursor, the depth, the count and a status."""
    frame = stack[depth]
    element = program[0][frame[F_HOLDER]]
    if element[OP] == SWITCH:
        return cursor, depth - 1, count, OK
    if element[OP] == REPEAT:
        depth, count, status = _next_item(program, limits, data, base, length, cursor, stack, depth, row, out, count)
        return cursor, depth, count, status
    if cursor < frame[F_END]:
        size = frame[F_END] - cursor
        count, status = _leaf(frame, stack[0], limits, out, count, row, element[INNER], cursor, size)
        if status:
            return cursor, depth, count, status
    return frame[F_END], depth - 1, count, OK


@njit(cache=True, nogil=True)
def _compound(program, limits, data, base, length, cursor, stack, depth, registers, row, out, count, pc):  # type: ignore[no-untyped-def]
    """Read a repeat or a switch; return the depth, the count and a status."""
    if program[0][pc, OP] == REPEAT:
        return _repeat(program, limits, data, base, length, cursor, stack, depth, registers, row, out, count, pc)
    depth, status = _switch(program, limits, stack, depth, registers, row, pc)
    return depth, count, status


@njit(cache=True, nogil=True)
def _read(program, limits, data, base, length, kind, stack, registers, row, out, count):  # type: ignore[no-untyped-def]
    """Read one message of a known type; return the cursor, the count, the status and the element it arose at."""
    code, pool = program[0], program[2]
    blocks = pool[TYPE_BLOCKS] + 3 * kind
    top = stack[0]
    top[F_PC], top[F_STOP], top[F_END], top[F_HOLDER] = pool[blocks], pool[blocks + 1], length, _TOP
    top[F_ITEM], top[F_LEVEL], top[F_LEAVES] = 0, 0, 0
    if top[F_PC] == top[F_STOP]:
        if length:
            count = _write(out, count, row, pool[blocks + 2], 0, length, 0, 0)
        return length, count, OK, -1
    cursor, depth, status, steps, pc = 0, 0, OK, 0, 0
    while status == OK:
        frame = stack[depth]
        steps += 1
        pc = frame[F_PC]
        if steps > limits[2]:
            status = TOO_MUCH
        elif pc == frame[F_STOP]:
            if depth == 0:
                return cursor, count, OK if cursor == length else LEFT_OVER, -1
            pc = frame[F_HOLDER]
            cursor, depth, count, status = _leave(
                program, limits, data, base, length, cursor, stack, depth, row, out, count
            )
        elif code[pc, OP] < REPEAT:
            frame[F_PC] = pc + 1
            cursor, depth, count, status = _field(
                program, limits, data, base, cursor, stack, depth, registers, row, out, count, pc
            )
        else:
            frame[F_PC] = pc + 1
            depth, count, status = _compound(
                program, limits, data, base, length, cursor, stack, depth, registers, row, out, count, pc
            )
    return cursor, count, status, pc


@njit(cache=True, nogil=True)
def run(program, limits, data, starts, lengths, row, scratch, out, count, verdicts):  # type: ignore[no-untyped-def]
    """
    Read messages from ``row`` on until the last, or until one for whose leaves there is no room.

    Args:
        program: (elements, guards, pool, text); limits: see ``Limits.array``.
        data, starts, lengths: the messages.
        scratch: int64 (registers, memo) sizes.
        out: row, symbol, start, length, item, level of each leaf (int32); without a level no inner nodes are written.
        count: leaves already written.
        verdicts: type, status, error offset and element of each message (int32).

    Returns:
        The next row and the number of leaves.
    """
    stack = np.zeros((limits[0] + 1, _FRAME), np.int64)
    registers = np.full((scratch[0], 4), -1, np.int64)
    memo = np.full((scratch[1], 3), -1, np.int64)
    types, statuses, offsets, elements = verdicts
    while row < len(starts):
        before, base, length = count, starts[row], lengths[row]
        kind, cursor, element = -1, 0, -1
        if length > limits[3]:
            status = TOO_LONG
        else:
            kind = type_of(program, data, base, length, memo, row)
            status = UNKNOWN
        if kind >= 0:
            cursor, count, status, element = _read(
                program, limits, data, base, length, kind, stack, registers, row, out, count
            )
        if cursor < length:
            count = _write(out, count, row, UNPARSED, cursor, length - cursor, 0, 0)
        if count > len(out[0]):
            return row, before
        types[row], statuses[row], elements[row] = kind, status, element
        offsets[row] = cursor if status else -1
        row += 1
    return row, count
