"""Items that say their own length: their form, where they lie in regions, and their layout."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..spec import Case, Delimited, Element, Field, Fixed, FromLength, Repeat, SelfDelimiting, Switch, ToEnd
from .fields import as_number, number, plain
from .hypothesis import ACCEPTED, Builder, laid_out
from .kernels import BER_DEPTH, LABELS, NO_LEAD, STRING, item_ends, trace, weigh
from .table import NO_SPANS, Ints, Table, joined

NESTED = 4  # values of a tag, from which they may hold items of their own
ITEMS = 512  # items of one region whose places are read
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


def _slots(rows: int) -> int:
    slots = 64
    while slots < 2 * rows:
        slots *= 2
    return slots


def weighed(table: Table, form: Form, least: int) -> tuple[float, int]:
    """Return the bits by which items of a form are no chance, and the regions that hold several (``kernels.weigh``)."""
    known, chosen = np.zeros(_slots(len(table)), np.int64), np.zeros(len(table), np.int64)
    own, reach = np.zeros(REACH + 1, np.bool_), np.zeros(REACH + 1, np.int64)
    bits, several = weigh(table.data, table.start, table.end, form.row, least, known, chosen, own, reach)
    return float(bits), int(several)


def trace_items(table: Table, form: Form, limit: int) -> tuple[Ints, Ints]:
    """Return how many items fill each region, -1 where they do not, and where the first ``limit`` of them start."""
    counts, places = np.zeros(len(table), np.int64), np.zeros((len(table), limit), np.int64)
    trace(table.data, table.start, np.maximum(table.end, table.start), form.row, counts, places)
    return counts, places


@dataclass(frozen=True)
class Items:
    """The items of all regions: whole, behind the lead, and their values."""

    lead: Table
    body: Table
    value: Table


def items_of(table: Table, form: Form, counts: Ints, places: Ints) -> Items:
    """Return the items that were traced."""
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
    return Items(whole, whole.between(body_start, stop), whole.between(head, stop))


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


def recursive_group(builder: Builder, table: Table, form: Form, depth: int) -> str:
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
    made = item_elements(builder, items, form, depth, nested)
    return builder.group(nested.group, lambda _: made)


def _inside(table: Table, form: Form, nested: _Nested) -> Items:
    """Return the items of all regions, with those that the values of nested tags hold."""
    levels: list[Items] = []
    while len(table) and len(levels) < BER_DEPTH:
        counts, places = trace_items(table, form, ITEMS)
        level = items_of(table, form, counts, places)
        levels.append(level)
        table = level.value.take(np.isin(_tags_of(level, nested.size), list(nested.tags)) & (level.value.sizes > 0))
    return Items(*(joined([getattr(level, part) for level in levels]) for part in ("lead", "body", "value")))


def _tags_of(items: Items, size: int) -> NDArray[np.bytes_]:
    """Return the first bytes of the items, each with a byte behind it that keeps zeros."""
    window, _ = items.lead.window(size)
    kept = np.concatenate([window, np.ones((len(window), 1), np.uint8)], axis=1)
    return np.ascontiguousarray(kept).view(f"S{size + 1}")[:, 0]


def _hold_items(values: Table, form: Form) -> bool:
    """Return whether values are items of this form to their ends, in more cases than chance explains."""
    values = values.take(values.sizes > 0)
    if len(values) < NESTED or bool((trace_items(values, form, 1)[0] < 1).any()):
        return False
    return weighed(values, form, 0)[0] >= ACCEPTED


def item_elements(builder: Builder, items: Items, form: Form, depth: int, nested: _Nested = _FLAT) -> list[Element]:
    """Return the elements of one item."""
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


def _value_elements(builder: Builder, items: Items, tag: Element | None, depth: int, nested: _Nested) -> list[Element]:
    """Return the layout of the values: one for all, or one for each value of the tag that has a structure."""
    if not isinstance(tag, Field) or not isinstance(tag.width, Fixed) or tag.width.size > 4:
        return laid_out(builder, items.value, depth)
    tags = _numbers_of(items, tag.width.size, tag.endianness == "little")
    cases = _nested_cases(builder, items, tags, nested)
    for value in _usual(tags, {value for case in cases for value in case.values}):
        chosen = items.value.take(tags == value)
        inner = laid_out(builder, chosen, depth)
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


def _numbers_of(items: Items, size: int, little: bool) -> Ints:
    """Return the first bytes of the items as numbers."""
    window, _ = items.lead.window(size)
    tags = np.zeros(len(window), np.int64)
    for place in range(size - 1, -1, -1) if little else range(size):
        tags = (tags << 8) | window[:, place]
    return tags


def _nested_cases(builder: Builder, items: Items, tags: Ints, nested: _Nested) -> list[Case]:
    """Return the case of the tags whose values are items again, where there are any."""
    if not nested.tags:
        return []
    inside = np.isin(_tags_of(items, nested.size), list(nested.tags))
    parts = Repeat(name=builder.names.next("parts"), stop=ToEnd(), group=nested.group)
    return [Case(values=sorted(set(tags[inside].tolist())), elements=[parts])]
