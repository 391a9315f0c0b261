"""Parts that are counted one after the other, each in its own way, and end where their region ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ..settings import DiscoverySettings
from ..spec import Element, FromLength, Repeat, ToEnd
from .fields import as_number, named_at, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures, laid_out
from .table import NO_SPANS, Bools, Ints, Spans, Table

SHAPES = np.array([(1, 0), (2, 0), (2, 1), (4, 0), (4, 1)], np.int64)  # bytes of a length, and whether little-endian
GAPS = 4  # fewer bytes are between the end of a part and the next length
PARTS = 4  # at most
TAIL = 8  # bytes at most behind the last part
PART_BITS = 6.0  # at most, of one place from which a last part ends where it should
COST = 18.0  # bits: the choice among first lengths, gaps and shapes
PLACES = 3  # different places of the last length, besides the usual one
MOST = 64  # sequences that are weighed
VARIED = 3  # regions in which a part has another size than in the first one
FAILED, ENDED = -1, -2  # in place of where a part ends: the region is shorter; it has ended with the part before

Steps = tuple[tuple[int, int, int], ...]  # of each length: the bytes before it, its own, whether little-endian


@dataclass(frozen=True)
class CountedParts:
    """
    Parts from ``offset`` on, each behind its length, with a few bytes of fixed size before each further length.

    Regions may end with any part but the first. ``steps`` says where the lengths are, the first one right before
    ``offset``; ``tail`` bytes stand behind the last part.
    """

    offset: int
    bits: float
    steps: Steps
    tail: int
    detector: str = "counted_parts"

    @property
    def spans(self) -> Spans:
        """The first length."""
        width = self.steps[0][1]
        return frozenset({(self.offset - width, width)})

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the parts end so many bytes before its end, or with it."""
        last = self.walked(table.between(table.start + self.offset, table.end))[-1]
        fitting: Bools = (last == ENDED) | ((last >= 0) & (last + self.tail == table.end))
        return fitting

    def walked(self, table: Table) -> Ints:
        """Return where each part ends (parts, regions), ``FAILED`` or ``ENDED``; the first parts start the regions."""
        ends = np.zeros((len(self.steps), len(table)), np.int64)
        at = table.start - self.steps[0][1]
        for part, (gap, width, little) in enumerate(self.steps):
            _step(table.data, at, table.end, gap, width, little, part, ends[part])
            at = ends[part]
        return ends

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the parts, each laid out further where it has structure, with the bytes between and behind them."""
        width, little = self.steps[0][1:]
        name = named_at(front, self.offset - width, width)
        front[:] = [as_number(e, bool(little), "length") if e.name == name else e for e in front]
        return self._parts(builder, table, self.walked(table), name, depth)

    def _parts(self, builder: Builder, table: Table, ends: Ints, length: str, depth: int) -> list[Element]:
        """Return the part whose length has this name, and what follows it; ``ends`` is of this part and the next."""
        end = ends[0]
        body = table.between(table.start, end)
        builder.mark(body)
        inner = laid_out(builder, body, depth)
        value = plain(builder.names.next("value"), FromLength(field=length), semantic="payload")
        elements: list[Element] = [value.model_copy(update={"elements": inner})]
        rest = table.between(end, table.end)
        if len(ends) == 1:
            return [*elements, *builder.columns(rest, self.tail, NO_SPANS)]
        gap, width, little = self.steps[len(self.steps) - len(ends) + 1]
        going = ends[1] != ENDED
        rest = rest.take(going)
        between = builder.columns(rest, gap + width, frozenset({(gap, width)}))
        between[-1] = as_number(between[-1], bool(little), "length")
        name = between[-1].name
        behind = rest.between(rest.start + gap + width, rest.end)
        further = [*between, *self._parts(builder, behind, ends[1:, going], name, depth)]
        if bool(going.all()):
            return [*elements, *further]
        return [*elements, Repeat(name=builder.names.next("optional"), stop=ToEnd(), elements=further, maximum=1)]


def propose(table: Table, settings: DiscoverySettings) -> list[CountedParts]:
    """
    Return the sequences of two to four counted parts that end where the regions end, best first.

    What speaks for a sequence is that its last length stands at different places, and ends where it should from each:
    the usual place alone shows no more than a length of the rest.
    """
    span = min(table.shortest(), SEARCHED)
    found = np.zeros((MOST, 2 + PARTS), np.int64)
    allowed = allowed_failures(len(table), settings)
    count = _search(table.data, table.start, table.end, span, SHAPES, allowed, found)
    parts = []
    for tail, size, *choices in found[:count].tolist():
        places = [divmod(choice, len(SHAPES)) for choice in choices[:size]]
        first = places[0][0]
        steps = [(gap if part else 0, *SHAPES[shape].tolist()) for part, (gap, shape) in enumerate(places)]
        sequence = CountedParts(first + steps[0][1], 0.0, tuple(steps), tail)
        parts.append(CountedParts(sequence.offset, _evidence(sequence, table), sequence.steps, tail))
    return sorted((p for p in parts if p.bits >= ACCEPTED), key=lambda p: (-p.bits, len(p.steps), p.offset))[:2]


def _evidence(parts: CountedParts, table: Table) -> float:
    """Return the bits by which the last parts end where they should, from places other than the usual one."""
    fits = parts.fits(table)
    table = table.take(fits)
    ends = parts.walked(table.between(table.start + parts.offset, table.end))
    last = (ends >= 0).sum(axis=0) - 1
    before = ends[last - 1, np.arange(len(last))]
    places = (before - table.start) * PARTS + last
    values, counts = np.unique(places, return_counts=True)
    unusual = places != values[counts.argmax()]
    kinds = np.unique(np.stack([places, table.end - before])[:, unusual], axis=1)
    if len(np.unique(kinds[0])) < PLACES:
        return 0.0
    bits = np.minimum(np.log2(np.maximum(kinds[1], 1)), PART_BITS).sum()
    return round(float(bits) * 256) / 256 - COST - 4.0 * int((~fits).sum())


@njit(cache=True, nogil=True)
def _step(data, at, end, gap, width, little, part, ends):  # type: ignore[no-untyped-def]
    """Write where the part ends whose length stands ``gap`` bytes behind ``at``; parts from the third on may lack."""
    for row in range(len(at)):
        place = at[row] + gap
        ends[row] = FAILED
        if at[row] == ENDED or (part > 1 and at[row] == end[row]):
            ends[row] = ENDED
        elif at[row] >= 0 and place + width <= end[row]:
            value = np.int64(0)
            for k in range(width):
                value = value << 8 | np.int64(data[place + (width - 1 - k if little else k)])
            if place + width + value <= end[row]:
                ends[row] = place + width + value


@njit(cache=True, nogil=True)
def _is_sound(at, ends, allowed):  # type: ignore[no-untyped-def]
    """Return whether few regions are too short for a part, half of them have it, and it is not of one size."""
    failed, ended, others, size = 0, 0, 0, np.int64(-1)
    for row in range(len(ends)):
        failed += ends[row] == FAILED
        ended += ends[row] == ENDED
        if failed > allowed:
            return False
        if ends[row] >= 0:
            if size < 0:
                size = ends[row] - at[row]
            others += ends[row] - at[row] != size
    return others >= VARIED and 2 * ended < len(ends)


@njit(cache=True, nogil=True)
def _tail(ends, end, allowed):  # type: ignore[no-untyped-def]
    """Return how many bytes all regions have behind a part, -1 where that differs."""
    tail, others, ended = np.int64(-1), 0, 0
    for row in range(len(ends)):
        ended += ends[row] == ENDED
        if ends[row] >= 0 and tail < 0:
            tail = end[row] - ends[row]
        others += ends[row] == FAILED or (ends[row] >= 0 and end[row] - ends[row] != tail)
        if others > allowed:
            return np.int64(-1)
    return np.int64(-1) if tail and ended else tail


@njit(cache=True, nogil=True)
def _search(data, start, end, span, shapes, allowed, found):  # type: ignore[no-untyped-def]
    """Write tail, number of parts, and of each part gap * shapes + shape, the first gap from the start; return rows."""
    at = np.zeros((PARTS + 1, len(start)), np.int64)
    at[0] = start
    choice = np.full(PARTS, -1, np.int64)
    part, count = 0, 0
    while part >= 0:
        choice[part] += 1
        if choice[part] >= (GAPS if part else span) * len(shapes):
            choice[part] = -1
            part -= 1
            continue
        gap, shape = choice[part] // len(shapes), choice[part] % len(shapes)
        _step(data, at[part], end, gap, shapes[shape, 0], shapes[shape, 1], part, at[part + 1])
        if not _is_sound(at[part], at[part + 1], allowed):
            continue
        tail = _tail(at[part + 1], end, allowed)
        if tail >= 0:
            if part and tail <= TAIL and count < len(found):
                found[count, 0], found[count, 1] = tail, part + 1
                found[count, 2:] = choice
                count += 1
        elif part + 1 < PARTS:
            part += 1
    return count
