"""Keyed values in the manner of protocol buffers: a varint of number and wire type, then a value of that type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..keyed import COUNTED, FIXED32, FIXED64, LONGEST, VARINT
from ..settings import DiscoverySettings
from ..spec import Case, Element, Field, FromLength, Repeat, SelfDelimiting, Switch, ToEnd
from .consensus import column_odds
from .fields import number, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures, laid_out
from .items import ITEMS, Form, trace_items, weighed
from .kernels import KEYED, keyed_parts, scan
from .table import NO_SPANS, Bools, Ints, Spans, Table

FORM = Form(lead=KEYED, width=0, bias=0)
KEYS = 64  # of one message that have fields of their own, the most frequent
FEWEST = 4  # values of a key, from which it has a field of its own
NESTING = 8  # messages inside each other that are laid out
NESTED = 6.0  # bits by which a value inside keyed values is a message: fewer, as its neighbours already are
GOING_ON = 16  # different bytes, in one place of a varint, that count for it: all of them say that more follow
SEVERAL = 2  # regions with more than one value, without which there is no sequence
WIRES = 7  # mask of a key's wire type
VARINT_WIDTH = SelfDelimiting(form="leb128")


@dataclass(frozen=True)
class Protobuf:
    """Keyed values from ``offset`` to the end of every region."""

    offset: int
    bits: float
    detector: str = "protobuf"
    spans: Spans = NO_SPANS

    def fits(self, table: Table) -> Bools:
        """Return for each region whether keyed values fill it from the offset to its end."""
        counts, _ = trace_items(table.between(table.start + self.offset, table.end), FORM, 1)
        return (counts >= 0) & (table.sizes >= self.offset)

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return a repeat of keyed values."""
        return [_message(builder, table, depth, "")]


def propose(table: Table, settings: DiscoverySettings) -> list[Protobuf]:
    """Return the offsets from which keyed values fill the regions, best first."""
    offsets = np.arange(min(table.shortest(), SEARCHED) + 1, dtype=np.int64)
    allowed = allowed_failures(len(table), settings)
    failures = np.zeros((len(offsets), 1), np.int64)
    scan(table.data, table.start, table.end, offsets, FORM.row[None, :], allowed, failures)
    passed = np.flatnonzero(failures[:, 0] <= allowed).tolist()
    odds = column_odds(table, len(offsets)) if passed else np.zeros(0)
    found = []
    for offset in passed:
        start = table.start + offset
        inside = start <= table.end
        bits, several = _evidence(table.take(inside).between(start[inside], table.end[inside]))
        if bits >= ACCEPTED and several >= SEVERAL:
            found.append(Protobuf(offset, bits + 2.0 * float(odds[offset])))
    return sorted(found, key=lambda hypothesis: -hypothesis.bits)[:4]


def _evidence(table: Table, level: int = 0) -> tuple[float, int]:
    """Return the bits by which keyed values and the messages in them are no chance, and the regions with several."""
    bits, several = weighed(table, FORM, 0)
    values = _Values.of(table)
    for key in _usual(values.keys) if level < NESTING else ():
        if key & WIRES == VARINT:
            bits += _varint_bits(values.value.take(values.keys == key))
        content = values.content.take((values.keys == key) & (values.content.sizes > 0))
        if key & WIRES == COUNTED and _is_message(content):
            inside, more = _evidence(content, level + 1)
            bits, several = bits + inside, max(several, more)
    return round(bits * 256) / 256, several


def _varint_bits(numbers: Table) -> float:
    """Return a bit for each different byte of varints that is not their last, and says that more follow."""
    octets, exists = numbers.window(LONGEST)
    before = np.arange(1, LONGEST + 1) < numbers.sizes[:, None]
    different = [len(np.unique(column[known])) for column, known in zip(octets.T, (exists & before).T, strict=True)]
    return float(sum(min(count, GOING_ON) - 1 for count in different if count))


def _usual(keys: Ints) -> list[int]:
    """Return the keys that have fields of their own, in ascending order."""
    known, counts = np.unique(keys, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:KEYS]
    return sorted(known[order[counts[order] >= FEWEST]].tolist())


def _message(builder: Builder, table: Table, depth: int, path: str) -> Repeat:
    """Return the repeat of the keyed values that fill these regions; ``path``: the numbers that lead to them."""
    values = _Values.of(table)
    builder.mark(values.whole)
    builder.mark(values.value)
    tag = Field(name=builder.names.next("tag"), width=VARINT_WIDTH, encoding="leb128", semantic="type", constraints=[])
    repeat = builder.names.next("values")
    cases = []
    for key in _usual(values.keys):
        chosen = values.content.take(values.keys == key)
        cases.append(Case(values=[key], elements=_value(builder, key, chosen, depth, path)))
    others = [Case(values=[wire], elements=_other(builder, wire)) for wire in (VARINT, FIXED64, COUNTED, FIXED32)]
    default: list[Element] = [Switch(name=builder.names.next("by_wire_type"), field=tag.name, mask=WIRES, cases=others)]
    by_tag = Switch(name=builder.names.next("by_tag"), field=tag.name, cases=cases, default=default)
    return Repeat(name=repeat, stop=ToEnd(), elements=[tag, by_tag])


@dataclass(frozen=True)
class _Values:
    """The keyed values of all regions: their keys, whole, behind the key, and without the length that some have."""

    keys: Ints
    whole: Table
    value: Table
    content: Table

    @classmethod
    def of(cls, table: Table) -> _Values:
        counts, places = trace_items(table, FORM, ITEMS)
        kept = np.minimum(np.maximum(counts, 0), ITEMS)
        owner = np.repeat(np.arange(len(table)), kept)
        start = places[owner, np.arange(len(owner)) - np.repeat(np.cumsum(kept) - kept, kept)]
        owned = table.take(owner)
        # The last of a region ends it, but where it has more of them than are read.
        last = np.append(owner[1:] != owner[:-1], True)[: len(owner)]
        whole = owned.between(start, np.where(last, owned.end, np.append(start[1:], 0)[: len(owner)]))
        keys, values, contents = (np.zeros(len(whole), np.int64) for _ in range(3))
        keyed_parts(whole.data, whole.start, whole.end, keys, values, contents)
        return cls(keys, whole, whole.between(values, whole.end), whole.between(contents, whole.end))


def _value(builder: Builder, key: int, content: Table, depth: int, path: str) -> list[Element]:
    """Return the value of one key: a number, or a length and a message, a string or bytes."""
    place = f"{path}_{key >> 3}"
    if key & WIRES != COUNTED:
        return _other(builder, key & WIRES, f"field{place}")
    builder.mark(content)
    filled = content.take(content.sizes > 0)
    if len(place.split("_")) <= NESTING and _is_message(filled):
        return _counted(builder, f"message{place}", [_message(builder, filled, depth, place)])
    return _counted(builder, f"field{place}", laid_out(builder, content, depth))


def _is_message(content: Table) -> bool:
    """Return whether keyed values fill all of these regions, in more cases than chance explains."""
    if len(content) < FEWEST or bool((trace_items(content, FORM, 1)[0] < 1).any()):
        return False
    return weighed(content, FORM, 0)[0] >= NESTED


def _other(builder: Builder, wire: int, name: str = "value") -> list[Element]:
    """Return the value of a wire type, of which no more is known."""
    if wire == COUNTED:
        return _counted(builder, name, [])
    if wire == VARINT:
        return [plain(builder.names.next(name), VARINT_WIDTH, "leb128")]
    return [number(builder.names.next(name), 8 if wire == FIXED64 else 4, True, "unknown")]


def _counted(builder: Builder, name: str, inner: list[Element]) -> list[Element]:
    length = plain(builder.names.next("length"), VARINT_WIDTH, "leb128", "length")
    field = plain(builder.names.next(name), FromLength(field=length.name), semantic="payload")
    return [length, field.model_copy(update={"elements": inner})]
