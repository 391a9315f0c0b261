"""Items that say their own length, one after the other to the end: TLV, LV, records, names, nested PDUs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from ..spec import Element, Repeat, Rest, ToEnd, Until
from .consensus import column_odds
from .fields import number, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures
from .items import ITEMS, Form, item_elements, items_of, recursive_group, trace_items, weighed
from .kernels import LABELS, NO_LEAD, STRING, scan
from .table import NO_SPANS, Bools, Ints, Spans, Table

FAR = 512  # offsets beyond SEARCHED, where a boundary is not ruled out
POINTER = 0xC0  # a first byte from here on points to a name, below it counts the bytes of a label
LONGEST = 63  # bytes of a label
BLANK = 0x20  # what is below it is a control character


def _tag_length_value() -> list[Form]:
    forms = []
    for width, little in ((1, 0), (2, 0), (2, 1), (4, 0), (4, 1), (3, 0)):
        for at in (0, 1, 2, 3, 4, 6, 8) if width < 3 else (0, 1, 2, 4, 8):
            forms += [Form(at=at, width=width, little=little, bias=bias) for bias in sorted({0, at, at + width})]
    return forms


def _forms() -> list[Form]:
    """Return the forms that are searched; a length covers the value, the whole item, or what is behind the tag."""
    padded = product(((1, 1), (1, 2), (2, 2)), (True, False))
    scaled = product(((1, 1), (2, 1), (2, 2), (3, 1)), (True, False))
    return [
        *_tag_length_value(),
        *(Form(at=at, width=2, bias=0) for at in (10, 12, 14, 16, 18)),
        *(Form(at=at, width=width, bias=0 if whole else at + width, align=4) for (at, width), whole in padded),
        *(Form(at=at, width=width, bias=0 if whole else at + width, scale=4) for (at, width), whole in scaled),
        *(Form(at=1, scale=8, bias=0), Form(at=1, scale=2, bias=2), Form(at=0, scale=2, bias=1)),
        *(Form(at=1, bias=bias, marker=marker) for bias, marker in product((0, 2), (0, 255))),
        *(Form(lead=LABELS, at=at, width=2, bias=at + 2) for at in (0, 2, 4, 6, 8)),
        *(Form(lead=LABELS, at=0, width=0, bias=size) for size in (0, 1, 2, 4, 6, 8)),
        *(Form(lead=STRING, at=0, width=0, bias=size) for size in (0, 1, 2, 4)),
    ]


FORMS = _forms()
_ROWS = np.stack([form.row for form in FORMS])


@dataclass(frozen=True)
class Chain:
    """Items of one form from ``offset`` to the end of every region."""

    offset: int
    bits: float
    form: Form
    detector: str = "chain"
    spans: Spans = NO_SPANS

    @property
    def first(self) -> tuple[int, int, bool, int] | None:
        """Of the first item the length, as ``Counted.chained`` says it; None where it counts more than the value."""
        form = self.form
        if form.lead != NO_LEAD or not form.width or form.bias != form.head:
            return None
        return self.offset + form.at, form.width, bool(form.little) and form.width > 1, form.scale

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the items end on its last byte."""
        counts, _ = trace_items(table.between(table.start + self.offset, table.end), self.form, 1)
        return (counts >= 0) & (table.sizes >= self.offset)

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return a repeat of items, and the end marker with its padding where the form has one."""
        name = builder.names.next("items")
        group = recursive_group(builder, table, self.form, depth) if self.form.marker < 0 else ""
        if group:
            return [Repeat(name=name, stop=ToEnd(), group=group)]
        elements = self.repeat(builder, table, depth)
        if self.form.lead != NO_LEAD and bool((trace_items(table, self.form, 1)[0] == 1).all()):
            return elements
        if self.form.marker < 0:
            return [Repeat(name=name, stop=ToEnd(), elements=elements)]
        marker = number(builder.names.next("end"), 1, False, "constant")
        padding = plain(builder.names.next("padding"), Rest(), semantic="padding")
        end: list[Element] = [marker, padding]
        return [
            Repeat(name=name, stop=Until(bytes=bytes([self.form.marker])), elements=elements),
            Repeat(name=builder.names.next("tail"), stop=ToEnd(), elements=end, maximum=1),
        ]

    def repeat(self, builder: Builder, table: Table, depth: int) -> list[Element]:
        """Return the elements of one item."""
        counts, places = trace_items(table, self.form, ITEMS)
        return item_elements(builder, items_of(table, self.form, counts, places), self.form, depth)


def propose(table: Table, settings: DiscoverySettings) -> list[Chain]:
    """Return the chains that the regions support, best first."""
    odds = column_odds(table, FAR + 24)
    offsets = _offsets(odds, table.shortest())
    allowed = allowed_failures(len(table), settings)
    failures = np.zeros((len(offsets), len(FORMS)), np.int64)
    scan(table.data, table.start, table.end, offsets, _ROWS, allowed, failures)
    found = []
    for place, index in np.argwhere(failures <= allowed).tolist():
        offset = int(offsets[place])
        start = table.start + offset
        inside = start <= table.end
        form = FORMS[index]
        if form.lead == LABELS and not _named(table, offset):
            continue
        least = 2 if form.lead == NO_LEAD else 0
        bits, several = weighed(table.take(inside).between(start[inside], table.end[inside]), form, least)
        bits = round(bits * 256) / 256 - _cost(form)
        if bits >= ACCEPTED and several >= least:
            found.append(Chain(int(offset), bits + _agreement(odds, int(offset), form), form))
    return sorted(found, key=lambda chain: -chain.bits)[:8]


def _named(table: Table, offset: int) -> bool:
    """
    Return whether half of the regions have a name at ``offset``: a label of text, or a pointer back to one.

    A zero byte alone is no name. Names are for people: their labels hold no control characters (RFC 1035, RFC 6762),
    as numbers do.
    """
    places = table.start + offset
    there = places + 1 < len(table.data)
    places, origin = places[there], table.begin[there]
    first = table.data[places].astype(np.int64)
    steps = np.arange(1, LONGEST + 1)
    label = table.data[np.minimum(places[:, None] + steps, len(table.data) - 1)]
    text = (first > 0) & (first <= LONGEST) & ((label >= BLANK) | (steps > first[:, None])).all(axis=1)
    target = (first - POINTER << 8) + label[:, 0]
    back = (first >= POINTER) & (target < places - origin)
    return bool(2 * np.count_nonzero(text | back) >= max(len(places), 1))


def _offsets(odds: NDArray[np.float64], shortest: int) -> Ints:
    """Return the offsets that are searched: all of the first ones, behind them those that may be boundaries."""
    far = np.arange(SEARCHED + 1, min(shortest, FAR) + 1)
    near = np.arange(min(shortest, SEARCHED) + 1)
    return np.concatenate([near, far[(odds[far] > -2.5) | (far % 16 == 0)]]).astype(np.int64)


def _agreement(odds: NDArray[np.float64], offset: int, form: Form) -> float:
    """Return bits for boundaries where the first item has them, and none inside its length."""
    if form.lead != NO_LEAD:
        return float(odds[offset])
    edges = {offset, offset + form.at, offset + form.head}
    inside = range(offset + form.at + 1, offset + form.head)
    return 2.0 * float(sum(odds[sorted(edges)]) / len(edges) - sum(odds[list(inside)]) / max(len(inside), 1))


def _cost(form: Form) -> float:
    """Bits by which a form is less usual than tag, length, value."""
    odd = (form.align > 1) + (form.scale > 1) + (form.marker >= 0) + (form.lead != NO_LEAD) + (form.little > 0)
    return 0.5 * form.at + 1.0 * odd + (0.0 if form.bias == form.head else 0.5)
