"""Tag, length, value after X.690 (BER), nested where the tag says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..settings import DiscoverySettings
from ..spec import Case, Element, Field, FromLength, Repeat, SelfDelimiting, Switch, ToEnd, walk
from .fields import plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures
from .kernels import ber_scan, ber_starts, ber_tags
from .table import NO_SPANS, Bools, Ints, Spans, Table

CONSTRUCTED = 0x20
GROUP = "ber"
ELEMENTS = 8  # of a tag, from which it has a value of its own
NAMES = {
    0x01: "boolean", 0x02: "integer", 0x03: "bits", 0x04: "octets", 0x05: "null", 0x06: "oid", 0x0A: "enumerated",
    0x0C: "utf8_string", 0x13: "printable_string", 0x16: "ia5_string", 0x17: "utc_time", 0x18: "generalized_time",
    0x1A: "visible_string",
}  # fmt: skip


@dataclass(frozen=True)
class Ber:
    """BER elements from ``offset`` to the end of every region."""

    offset: int
    bits: float
    detector: str = "ber"
    spans: Spans = NO_SPANS

    def fits(self, table: Table) -> Bools:
        """Return for each region whether it holds well-formed BER from the offset to its end."""
        return _counts(table, self.offset)[:, 0] > 0

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return a repeat of the recursive group of BER elements."""
        builder.mark_places(_starts(table))
        group = builder.group(GROUP, partial(elements, _tags(table)))
        return [Repeat(name=builder.names.next("elements"), stop=ToEnd(), group=group)]


def elements(tags: set[int], before: list[Element]) -> list[Element]:
    """
    Return the group: tag, length, and a value that holds further elements where the tag is constructed.

    Args:
        tags: those whose values are fields of their own, so that text is not mixed with numbers.
        before: the group as it was, whose tags stay.
    """
    # little: the first octet, which holds the constructed bit, is the low byte of a tag of any length
    form = SelfDelimiting(form="ber_tag")
    tag = Field(name="tag", width=form, encoding="uint", endianness="little", semantic="type")
    length = Field(name="length", width=SelfDelimiting(form="ber_length"), encoding="ber_length", semantic="length")
    inner = Repeat(name="parts", stop=ToEnd(), group=GROUP)
    nested = Field(name="contents", width=FromLength(field="length"), semantic="payload", elements=[inner])
    known = sorted(tags | _known(before))
    kinds = [Case(values=[each], elements=[_value(NAMES.get(each, f"value_{each:02x}"))]) for each in known]
    primitive: list[Element] = [Switch(name="kind", field="tag", cases=kinds, default=[_value("value")])]
    cases = [Case(values=[CONSTRUCTED], elements=[nested])]
    return [tag, length, Switch(name="form", field="tag", mask=CONSTRUCTED, cases=cases, default=primitive)]


def _value(name: str) -> Field:
    return plain(name, FromLength(field="length"), semantic="payload")


def _known(group: list[Element]) -> set[int]:
    """Return the tags that have values of their own."""
    switches = [element for element in walk(group) if isinstance(element, Switch) and element.mask == -1]
    return {value for switch in switches for case in switch.cases for value in case.values}


def _tags(table: Table) -> set[int]:
    """Return the tags of one octet that enough primitive elements have."""
    counts = np.zeros(256, np.int64)
    ber_tags(table.data, table.start, table.end, counts)
    return set(np.flatnonzero(counts >= ELEMENTS).tolist())


def propose(table: Table, settings: DiscoverySettings) -> list[Ber]:
    """Return the offsets from which the regions are BER, best first."""
    span = min(table.shortest(), SEARCHED)
    allowed = allowed_failures(len(table), settings)
    few = table.take(np.arange(len(table)) < allowed + 4)
    found = []
    for offset in range(span):
        if len(few) < len(table) and int((_counts(few, offset)[:, 0] < 0).sum()) > allowed:
            continue
        counts = _counts(table, offset)
        fits = counts[:, 0] > 0
        if int((~fits).sum()) <= allowed:
            sizes = table.sizes[fits] - offset
            kinds = np.unique(sizes * 1_000_003 + counts[fits, 0] * 1009 + counts[fits, 1], return_index=True)[1]
            items, nested = counts[fits][kinds].T
            bits = np.minimum(np.log2(np.maximum(sizes[kinds] / items, 1)), 6) + 2.0 * nested
            total = round(float(bits.sum()) * 256) / 256 - 4.0 * int((~fits).sum())
            if total >= ACCEPTED:
                found.append(Ber(offset, total))
    return sorted(found, key=lambda ber: -ber.bits)[:4]


def _counts(table: Table, offset: int) -> Ints:
    counts = np.zeros((len(table), 2), np.int64)
    ber_scan(table.data, table.start, table.end, offset, counts)
    return counts


def _starts(table: Table) -> Ints:
    """Return the offsets in the data of the parts of every element."""
    places = np.zeros(int(np.maximum(table.sizes, 0).sum()) + 3, np.int64)
    return places[: ber_starts(table.data, table.start, table.end, places)]
