"""Items that say their own length, one after the other to the end: TLV, LV, records, names, nested PDUs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from ..spec import (
    Case,
    Delimited,
    Element,
    Field,
    Fixed,
    FromLength,
    Repeat,
    Rest,
    SelfDelimiting,
    Switch,
    ToEnd,
    Until,
)  # fmt: skip
from .consensus import column_odds
from .fields import as_number, divided, number, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures
from .kernels import BER_DEPTH, LABELS, NO_LEAD, STRING, item_ends, scan, trace, weigh
from .table import NO_SPANS, Bools, Ints, Spans, Table, joined

NESTED = 4  # values of a tag, from which they may hold items of their own
FAR = 512  # offsets beyond SEARCHED, where a boundary is not ruled out
ITEMS = 512  # items of one region whose places are read
POINTER = 0xC0  # a first byte from here on points to a name, below it counts the bytes of a label
LONGEST = 63  # bytes of a label
BLANK = 0x20  # what is below it is a control character
REACH = 192  # bytes of a region from which the chance of a fit is taken


@dataclass(frozen=True)
class Form:
    """
    The shape of an item: a self-delimiting lead, then a head that holds the length at ``at``, then the value.

    The item ends ``length * scale + bias`` bytes behind the lead, rounded up to ``align``. A region may end with
    ``marker`` (-1: none) and padding behind it.
    """

    lead: int = NO_LEAD
    at: int = 0
    width: int = 1
    little: int = 0
    scale: int = 1
    bias: int = 1
    align: int = 1
    marker: int = -1

    @property
    def head(self) -> int:
        """Bytes from the lead's end to the value."""
        return self.at + self.width

    @cached_property
    def row(self) -> NDArray[np.int64]:
        """Return the form as the kernels read it."""
        return np.array([getattr(self, field.name) for field in fields(self)], np.int64)


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

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the items end on its last byte."""
        counts, _ = _trace(table.between(table.start + self.offset, table.end), self.form, 1)
        return (counts >= 0) & (table.sizes >= self.offset)

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return a repeat of items, and the end marker with its padding where the form has one."""
        name = builder.names.next("items")
        group = _recursive(builder, table, self.form, depth) if self.form.marker < 0 else ""
        if group:
            return [Repeat(name=name, stop=ToEnd(), group=group)]
        elements = self.repeat(builder, table, depth)
        if self.form.lead != NO_LEAD and bool((_trace(table, self.form, 1)[0] == 1).all()):
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
        counts, places = _trace(table, self.form, ITEMS)
        return _item_elements(builder, _items(table, self.form, counts, places), self.form, depth)


def propose(table: Table, settings: DiscoverySettings) -> list[Chain]:
    """Return the chains that the regions support, best first."""
    odds = column_odds(table, FAR + 24)
    offsets = _offsets(odds, table.shortest())
    allowed = allowed_failures(len(table), settings)
    failures = np.zeros((len(offsets), len(FORMS)), np.int64)
    scan(table.data, table.start, table.end, offsets, _ROWS, allowed, failures)
    known, chosen = np.zeros(_slots(len(table)), np.int64), np.zeros(len(table), np.int64)
    own, reach = np.zeros(REACH + 1, np.bool_), np.zeros(REACH + 1, np.int64)
    found = []
    for place, index in np.argwhere(failures <= allowed).tolist():
        offset = int(offsets[place])
        start = table.start + offset
        inside = start <= table.end
        form = FORMS[index]
        if form.lead == LABELS and not _named(table, offset):
            continue
        least = 2 if form.lead == NO_LEAD else 0
        rows = (table.data, start[inside], table.end[inside], _ROWS[index])
        bits, several = weigh(*rows, least, known, chosen, own, reach)
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


def _slots(rows: int) -> int:
    slots = 64
    while slots < 2 * rows:
        slots *= 2
    return slots


def _trace(table: Table, form: Form, limit: int) -> tuple[Ints, Ints]:
    counts, places = np.zeros(len(table), np.int64), np.zeros((len(table), limit), np.int64)
    trace(table.data, table.start, np.maximum(table.end, table.start), form.row, counts, places)
    return counts, places


@dataclass(frozen=True)
class _Items:
    """The items of all regions: whole, behind the lead, and their values."""

    lead: Table
    body: Table
    value: Table


def _items(table: Table, form: Form, counts: Ints, places: Ints) -> _Items:
    kept = np.minimum(np.maximum(counts, 0), places.shape[1])
    owner = np.repeat(np.arange(len(table)), kept)
    start = places[owner, np.arange(len(owner)) - np.repeat(np.cumsum(kept) - kept, kept)]
    last = np.append(owner[1:] != owner[:-1], True)
    owned = table.take(owner)
    whole = owned.between(start, np.where(last, owned.end, np.append(start[1:], 0)))
    body_start = _behind_lead(whole, form)
    values = np.zeros(len(owner), np.int64)
    for place in range(form.width):
        step = place if not form.little else form.width - 1 - place
        values = (values << 8) | whole.data[body_start + form.at + step]
    stop = body_start + values * form.scale + form.bias
    head = body_start + form.head
    return _Items(whole, whole.between(body_start, stop), whole.between(head, stop))


def _behind_lead(items: Table, form: Form) -> Ints:
    if form.lead == NO_LEAD:
        return items.start
    bare = np.array([form.lead, 0, 0, 0, 0, 0, 1, -1], np.int64)
    return lead_ends(items, bare)


def lead_ends(items: Table, bare: NDArray[np.int64]) -> Ints:
    """Return where the self-delimiting lead of each item ends."""
    stops = np.zeros(len(items), np.int64)
    item_ends(items.data, items.start, items.end, bare, stops)
    return stops


@dataclass(frozen=True)
class _Nested:
    """Tags of ``size`` bytes whose values are items of the same form, laid out by ``group``."""

    size: int
    tags: frozenset[bytes] = frozenset()
    group: str = ""


_FLAT = _Nested(0)


def _recursive(builder: Builder, table: Table, form: Form, depth: int) -> str:
    """Return the group that lays out items which hold items of their own form, an empty string where none do."""
    if form.lead != NO_LEAD or not form.at or not form.width:
        return ""
    nested = _Nested(form.at if form.at <= 2 else 1)
    items = _inside(table, form, nested)
    while True:
        tags = _tags_of(items, nested.size)
        held = frozenset(t for t in np.unique(tags).tolist() if _hold_items(items.value.take(tags == t), form))
        if held <= nested.tags:
            break
        nested = replace(nested, tags=nested.tags | held)
        items = _inside(table, form, nested)
    if not nested.tags:
        return ""
    nested = replace(nested, group=builder.scope("nested"))
    made = _item_elements(builder, items, form, depth, nested)
    return builder.group(nested.group, lambda _: made)


def _inside(table: Table, form: Form, nested: _Nested) -> _Items:
    """Return the items of all regions, with those that the values of nested tags hold."""
    levels: list[_Items] = []
    while len(table) and len(levels) < BER_DEPTH:
        counts, places = _trace(table, form, ITEMS)
        level = _items(table, form, counts, places)
        levels.append(level)
        table = level.value.take(np.isin(_tags_of(level, nested.size), list(nested.tags)) & (level.value.sizes > 0))
    return _Items(*(joined([getattr(level, part) for level in levels]) for part in ("lead", "body", "value")))


def _tags_of(items: _Items, size: int) -> NDArray[np.bytes_]:
    """Return the first bytes of the items, each with a byte behind it that keeps zeros."""
    window, _ = items.lead.window(size)
    kept = np.concatenate([window, np.ones((len(window), 1), np.uint8)], axis=1)
    return np.ascontiguousarray(kept).view(f"S{size + 1}")[:, 0]


def _hold_items(values: Table, form: Form) -> bool:
    """Return whether values are items of this form to their ends, in more cases than chance explains."""
    values = values.take(values.sizes > 0)
    if len(values) < NESTED or bool((_trace(values, form, 1)[0] < 1).any()):
        return False
    known, chosen = np.zeros(_slots(len(values)), np.int64), np.zeros(len(values), np.int64)
    own, reach = np.zeros(REACH + 1, np.bool_), np.zeros(REACH + 1, np.int64)
    bits, _ = weigh(values.data, values.start, values.end, form.row, 0, known, chosen, own, reach)
    return float(bits) >= ACCEPTED


def _item_elements(
    builder: Builder, items: _Items, form: Form, depth: int, nested: _Nested = _FLAT
) -> list[Element]:
    elements: list[Element] = []
    builder.mark(items.lead)
    if form.lead == LABELS:
        elements.append(plain(builder.names.next("name"), SelfDelimiting(form="labels")))
    elif form.lead == STRING:
        elements.append(plain(builder.names.next("text"), Delimited(delimiters=[b"\0"], include=True), semantic="text"))
    elements += builder.columns(items.body, form.at, frozenset({(0, nested.size)}) if nested.size else NO_SPANS)
    if form.width == 0:
        return elements + builder.columns(items.body, form.bias, NO_SPANS)
    tag = None
    if elements and form.lead == NO_LEAD:
        little = isinstance(elements[0], Field) and elements[0].endianness == "little"
        tag = elements[0] = as_number(elements[0], little, "type")
    length = number(builder.names.next("length"), form.width, bool(form.little), "length")
    elements.append(length)
    builder.mark(items.body, form.at)
    builder.mark(items.value)
    if form.align > 1:
        builder.mark(items.lead.between(items.value.end, items.lead.end))
    width = FromLength(field=length.name, scale=form.scale, bias=form.bias - form.head)
    value = plain(builder.names.next("value"), width, semantic="payload")
    inner = _value_elements(builder, items, tag, depth, nested)
    elements.append(value.model_copy(update={"elements": inner}))
    if form.align > 1:
        elements.append(_padding(builder, length.name, form))
    return elements


def _padding(builder: Builder, length: str, form: Form) -> Element:
    """Return the switch that reads the bytes up to the next multiple of ``align``, by the low bits of the length."""
    cases = []
    for low in range(form.align):
        size = -(low * form.scale + form.bias) % form.align
        if size:
            padding = plain(builder.names.next("padding"), Fixed(size=size), semantic="padding")
            optional = Repeat(name=builder.names.next("pad"), stop=ToEnd(), elements=[padding], maximum=1)
            cases.append(Case(values=[low], elements=[optional]))
    return Switch(name=builder.names.next("align"), field=length, mask=form.align - 1, cases=cases)


def _value_elements(
    builder: Builder, items: _Items, tag: Element | None, depth: int, nested: _Nested
) -> list[Element]:
    """Return the layout of the values: one for all, or one for each value of the tag that has a structure."""
    if not isinstance(tag, Field) or not isinstance(tag.width, Fixed) or tag.width.size > 4:
        return divided(builder.region(items.value, depth + 1))
    tags = _numbers_of(items, tag.width.size, tag.endianness == "little")
    cases = _nested_cases(builder, items, tags, nested)
    for value in _usual(tags, {value for case in cases for value in case.values}):
        chosen = items.value.take(tags == value)
        inner = divided(builder.region(chosen.take(chosen.sizes > 0), depth + 1))
        if inner:
            cases.append(Case(values=[value], elements=inner))
    if not cases:
        return []
    cases.sort(key=lambda case: case.values)
    return [Switch(name=builder.names.next("by_" + tag.name), field=tag.name, cases=cases)]


def _usual(tags: Ints, known: set[int]) -> list[int]:
    """Return the tags that several items have, but the known ones, most frequent first."""
    values, frequency = np.unique(tags, return_counts=True)
    order = np.argsort(-frequency, kind="stable")[:16]
    return [tag for tag in values[order[frequency[order] >= 4]].tolist() if tag not in known]


def _numbers_of(items: _Items, size: int, little: bool) -> Ints:
    """Return the first bytes of the items as numbers."""
    window, _ = items.lead.window(size)
    tags = np.zeros(len(window), np.int64)
    for place in range(size - 1, -1, -1) if little else range(size):
        tags = (tags << 8) | window[:, place]
    return tags


def _nested_cases(builder: Builder, items: _Items, tags: Ints, nested: _Nested) -> list[Case]:
    """Return the case of the tags whose values are items again, where there are any."""
    if not nested.tags:
        return []
    inside = np.isin(_tags_of(items, nested.size), list(nested.tags))
    parts = Repeat(name=builder.names.next("parts"), stop=ToEnd(), group=nested.group)
    return [Case(values=sorted(set(tags[inside].tolist())), elements=[parts])]
