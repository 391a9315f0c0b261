"""The inner loops: walks over chains of items, one message after the other, stopped when too many do not fit."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..keyed import COUNTED, LONGEST, LONGEST_KEY, behind_keyed, read_varint, varint_end

# The columns of a form, see items.Form.
LEAD, AT, WIDTH, LITTLE, SCALE, BIAS, ALIGN, MARKER = range(8)
NO_LEAD, LABELS, STRING, KEYED = range(4)
WEIGHED = 48
BER_DEPTH = 40  # elements inside each other; each takes three of the depth that parsers have


@njit(cache=True, nogil=True)
def skip_labels(data, position, end):  # type: ignore[no-untyped-def]
    """Return where a name of length-prefixed labels ends, -1 where it is none."""
    while position < end:
        size = data[position]
        if size == 0:
            return position + 1
        if size >= 192:
            return position + 2 if position + 2 <= end else -1
        if size > 63:
            return -1
        position += size + 1
    return -1


@njit(cache=True, nogil=True)
def keyed_parts(data, start, end, keys, values, contents):  # type: ignore[no-untyped-def]
    """Write the key of each keyed value, where the value starts, and where it starts behind a length that it has."""
    for row in range(len(start)):
        values[row] = varint_end(data, start[row], end[row], LONGEST_KEY)
        keys[row] = read_varint(data, start[row], values[row])
        contents[row] = values[row]
        if keys[row] & 7 == COUNTED:
            contents[row] = varint_end(data, values[row], end[row], LONGEST)


@njit(cache=True, nogil=True)
def _behind_lead(data, position, end, lead):  # type: ignore[no-untyped-def]
    """Return where the self-delimiting lead of an item ends, -1 where it is none."""
    if lead == LABELS:
        return skip_labels(data, position, end)
    if lead == STRING:
        while position < end and data[position] >= 32:
            position += 1
        return position + 1 if position < end and data[position] == 0 else -1
    return behind_keyed(data, position, end) if lead == KEYED else position


@njit(cache=True, nogil=True)
def read_number(data, at, width, little):  # type: ignore[no-untyped-def]
    """Return the unsigned number of ``width`` bytes at ``at``."""
    value = np.int64(0)
    for k in range(width):
        value = (value << 8) | np.int64(data[at + (width - 1 - k if little else k)])
    return value


@njit(cache=True, nogil=True)
def next_item(data, position, end, form):  # type: ignore[no-untyped-def]
    """Return where the item at ``position`` ends, -1 where it does not fit."""
    begin = _behind_lead(data, position, end, form[LEAD])
    at = begin + form[AT]
    head = at + form[WIDTH]
    if begin < 0 or head > end:
        return -1
    value = read_number(data, at, form[WIDTH], form[LITTLE])
    if value > 0xFFFFFF:
        return -1
    stop = begin + value * form[SCALE] + form[BIAS]
    if stop < head or stop > end:
        return -1
    if form[ALIGN] > 1:
        stop = min(position + (stop - position + form[ALIGN] - 1) // form[ALIGN] * form[ALIGN], end)
    return stop


@njit(cache=True, nogil=True)
def _is_padding(data, position, end):  # type: ignore[no-untyped-def]
    k = position + 1
    while k < end and data[k] == data[position]:
        k += 1
    return k >= end


@njit(cache=True, nogil=True)
def walk(data, position, end, form, places):  # type: ignore[no-untyped-def]
    """Return the number of items from ``position`` to ``end``, -1: no fit; ``places`` takes their starts."""
    items = 0
    while position < end:
        if form[MARKER] >= 0 and data[position] == form[MARKER]:
            return items if position + 1 == end or _is_padding(data, position + 1, end) else -1
        stop = next_item(data, position, end, form)
        if stop < 0:
            return -1
        if items < len(places):
            places[items] = position
        items += 1
        position = stop
    return items


@njit(cache=True, nogil=True)
def scan(data, start, end, offsets, forms, allowed, failures):  # type: ignore[no-untyped-def]
    """Count for each offset and form the regions that do not fit; counting stops behind ``allowed``."""
    places = np.zeros(0, np.int64)
    for o in range(len(offsets)):
        for f in range(len(forms)):
            count = 0
            for row in range(len(start)):
                position = start[row] + offsets[o]
                if position > end[row] or walk(data, position, end[row], forms[f], places) < 0:
                    count += 1
                if count > allowed:
                    break
            failures[o, f] = count


@njit(cache=True, nogil=True)
def trace(data, start, end, form, counts, places):  # type: ignore[no-untyped-def]
    """Write for each region the number of its items (-1: no fit) and the starts of the first ``places.shape[1]``."""
    for row in range(len(start)):
        counts[row] = walk(data, start[row], end[row], form, places[row])


@njit(cache=True, nogil=True)
def _division(data, start, end, form, own):  # type: ignore[no-untyped-def]
    """
    Return a number that tells divisions into items apart, and how many items are not empty.

    ``own`` takes the places, from the end, at which items that are not empty start.
    """
    own[:] = False
    mark, filled, position = end - start, 0, start
    while position < end:
        if form[MARKER] >= 0 and data[position] == form[MARKER]:
            break
        stop = next_item(data, position, end, form)
        if stop - position > form[AT] + form[WIDTH]:
            filled += 1
            if end - position < len(own):
                own[end - position] = True
        position = stop
        mark = mark * 1000003 + (position - start)
    return mark, filled


@njit(cache=True, nogil=True)
def _padding_start(data, start, end):  # type: ignore[no-untyped-def]
    """Return where the run of equal bytes at the end of a region starts."""
    position = end - 1
    while position > start and data[position - 1] == data[end - 1]:
        position -= 1
    return position


@njit(cache=True, nogil=True)
def _state(data, position, end, form, padded, reach):  # type: ignore[no-untyped-def]
    """Return 0 where a chain from here fails, 1 where it arrives, 2 where it meets an item that is not empty."""
    if form[MARKER] >= 0 and data[position] == form[MARKER]:
        return np.int64(position + 1 >= padded)
    stop = next_item(data, position, end, form)
    if stop <= position:
        return np.int64(0)
    state = reach[end - stop]
    return np.int64(1) if state == 2 and stop - position <= form[AT] + form[WIDTH] else state


@njit(cache=True, nogil=True)
def _chance(data, start, end, form, own, reach):  # type: ignore[no-untyped-def]
    """
    Return the share of places from which a chain would end on the last byte, apart from those that fall in step.

    A chain from a wrong place that meets an item that is not empty (``own``) says nothing; one that gets there or to
    the end by empty items shows how little it takes to arrive, as in a run of zeros.
    """
    padded = _padding_start(data, start, end)
    reach[0] = 1
    arrive, fail = 1.0, 1.0
    for back in range(1, min(end - start, len(reach) - 1) + 1):
        state = _state(data, end - back, end, form, padded, reach)
        reach[back] = 2 if own[back] else state
        if not own[back]:
            arrive += state == 1
            fail += state == 0
    return arrive / (arrive + fail)


@njit(cache=True, nogil=True)
def _is_new(mark, known):  # type: ignore[no-untyped-def]
    """Return whether a hash set (a power of two of slots, 0: free) lacked this mark, and add it."""
    slot = (mark ^ (mark >> 17)) & (len(known) - 1)
    while known[slot] != 0 and known[slot] != mark:
        slot = (slot + 1) & (len(known) - 1)
    new = known[slot] != mark
    known[slot] = mark
    return new


@njit(cache=True, nogil=True)
def weigh(data, start, end, form, least, known, chosen, own, reach):  # type: ignore[no-untyped-def]
    """
    Return (bits, regions that differ and have two or more items that are not empty).

    A region that fits counts -log2 of the chance that a chain that means nothing does; regions of the same division
    count once, one that does not fit costs 4 bits. Only the first ``WEIGHED`` divisions are weighed, none where fewer
    than ``least`` have several items.
    """
    bits, several, kinds = 0.0, 0, 0
    places = np.zeros(0, np.int64)
    known[:] = 0
    for row in range(len(start)):
        items = walk(data, start[row], end[row], form, places)
        if items < 0:
            bits -= 4.0
        if items <= 0:
            continue
        mark, filled = _division(data, start[row], end[row], form, own)
        if _is_new(mark, known):
            several += filled > 1
            chosen[kinds] = row
            kinds += 1
    weighed = min(kinds, WEIGHED) if several >= least else 0
    total = 0.0
    for k in range(weighed):
        row = chosen[k]
        _division(data, start[row], end[row], form, own)
        total -= np.log2(_chance(data, start[row], end[row], form, own, reach))
    return bits + total * kinds / max(weighed, 1), several


@njit(cache=True, nogil=True)
def _behind_tag(data, position, end):  # type: ignore[no-untyped-def]
    """Return where the identifier octets that start at ``position`` end."""
    if data[position] & 31 != 31:
        return position + 1
    position += 1
    while position < end and data[position] >= 128:
        position += 1
    return position + 1


@njit(cache=True, nogil=True)
def _ber_head(data, position, end, head):  # type: ignore[no-untyped-def]
    """Write where the length octets and the contents of a BER element start; return its end, or -1."""
    at = _behind_tag(data, position, end)
    if at >= end:
        return -1
    head[0] = at
    size = np.int64(data[at])
    octets = size & 127 if size >= 128 else 0
    at += 1
    if size == 128 or octets > 4 or at + octets > end:
        return -1
    if octets:
        size = read_number(data, at, octets, 0)
    head[1] = at + octets
    return head[1] + size if head[1] + size <= end else -1


@njit(cache=True, nogil=True)
def ber_walk(data, position, end, stack, head):  # type: ignore[no-untyped-def]
    """Return (elements, constructed elements) of a well-formed BER sequence, (-1, 0) where the bytes are none."""
    depth, elements, constructed = 0, 0, 0
    stack[0] = end
    while True:
        while position == stack[depth]:
            if depth == 0:
                return elements, constructed
            depth -= 1
        if data[position] == 0:
            return -1, 0
        stop = _ber_head(data, position, stack[depth], head)
        if stop < 0:
            return -1, 0
        elements += 1
        if data[position] & 32 and stop > head[1]:
            constructed += 1
            if depth + 1 == len(stack):
                return -1, 0
            depth += 1
            stack[depth] = stop
            position = head[1]
        else:
            position = stop


@njit(cache=True, nogil=True)
def ber_scan(data, start, end, offset, counts):  # type: ignore[no-untyped-def]
    """Write (elements, constructed) of the BER sequence ``offset`` bytes into each region; -1 where there is none."""
    stack, head = np.zeros(BER_DEPTH + 1, np.int64), np.zeros(2, np.int64)
    for row in range(len(start)):
        counts[row, 0], counts[row, 1] = -1, 0
        if start[row] + offset < end[row]:
            counts[row, 0], counts[row, 1] = ber_walk(data, start[row] + offset, end[row], stack, head)


@njit(cache=True, nogil=True)
def item_ends(data, start, end, form, stops):  # type: ignore[no-untyped-def]
    """Write where the item at the start of each region ends, -1 where it does not fit."""
    for row in range(len(start)):
        stops[row] = next_item(data, start[row], end[row], form)


@njit(cache=True, nogil=True)
def ber_starts(data, start, end, places):  # type: ignore[no-untyped-def]
    """Write where identifiers, lengths and contents of the elements of well-formed regions start; return how many."""
    head, count = np.zeros(2, np.int64), 0
    for row in range(len(start)):
        position = start[row]
        while position < end[row]:
            stop = _ber_head(data, position, end[row], head)
            if stop < 0:
                break
            places[count], places[count + 1], places[count + 2] = position, head[0], head[1]
            nested = data[position] & 32
            count += 2 if nested or stop == head[1] else 3
            position = head[1] if nested else stop
    return count


@njit(cache=True, nogil=True)
def ber_tags(data, start, end, counts):  # type: ignore[no-untyped-def]
    """Count the primitive elements of well-formed regions by their tag, where it has one octet and a value."""
    head = np.zeros(2, np.int64)
    for row in range(len(start)):
        position = start[row]
        while position < end[row]:
            stop = _ber_head(data, position, end[row], head)
            if stop < 0:
                break
            nested = data[position] & 32
            counts[data[position]] += not nested and data[position] & 31 != 31 and stop > head[1]
            position = head[1] if nested else stop


@njit(cache=True, nogil=True)
def varint_rests(data, start, end, offset, contents):  # type: ignore[no-untyped-def]
    """Write where the rest of each region starts that the varint at ``offset`` counts, -1 where none does so."""
    for row in range(len(start)):
        at = start[row] + offset
        stop = varint_end(data, at, end[row], LONGEST)
        contents[row] = stop if stop >= 0 and read_varint(data, at, stop) == end[row] - stop else -1


@njit(cache=True, nogil=True)
def count_without_rest(data, start, end, allowed, failures):  # type: ignore[no-untyped-def]
    """Count for each offset the regions without a varint there that counts the rest; it stops behind ``allowed``."""
    for offset in range(len(failures)):
        for row in range(len(start)):
            at = start[row] + offset
            stop = varint_end(data, at, end[row], LONGEST)
            failures[offset] += stop < 0 or read_varint(data, at, stop) != end[row] - stop
            if failures[offset] > allowed:
                break
