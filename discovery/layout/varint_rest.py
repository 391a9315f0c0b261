"""A base-128 varint that counts the rest of the region: a length whose own width varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..settings import DiscoverySettings
from ..spec import Element, FromLength, SelfDelimiting
from .fields import plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures, laid_out
from .kernels import count_without_rest, varint_rests
from .table import NO_SPANS, Bools, Ints, Spans, Table

SIZE_BITS = 6.0  # of a size that each byte of its varint tells, against bytes that happen to be its number
LONGER = 2  # different sizes of 128 and more, without which a byte tells them all


@dataclass(frozen=True)
class VarintRest:
    """A varint at ``offset`` that counts what is behind it in the region."""

    offset: int
    bits: float
    detector: str = "varint_rest"
    spans: Spans = NO_SPANS

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the varint counts what is behind it."""
        return _contents(table, self.offset) >= 0

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the length and the rest, laid out further."""
        contents = _contents(table, 0)
        length = plain(builder.names.next("length"), SelfDelimiting(form="leb128"), "leb128", "length")
        rest = plain(builder.names.next("contents"), FromLength(field=length.name), semantic="payload")
        inner = laid_out(builder, table.between(contents, table.end), depth)
        return [length, rest.model_copy(update={"elements": inner})]


def propose(table: Table, settings: DiscoverySettings) -> list[VarintRest]:
    """Return the offsets at which a varint counts the rest, best first."""
    allowed = allowed_failures(len(table), settings)
    failures = np.zeros(max(min(table.shortest(), SEARCHED), 0), np.int64)
    count_without_rest(table.data, table.start, table.end, allowed, failures)
    found = []
    for offset in np.flatnonzero(failures <= allowed).tolist():
        contents = _contents(table, offset)
        fits = contents >= 0
        sizes = np.unique((table.end - contents)[fits])
        longer = int((sizes >= 128).sum())
        bits = SIZE_BITS * (len(sizes) + longer) - 4.0 * int((~fits).sum())
        if longer >= LONGER and bits >= ACCEPTED:
            found.append(VarintRest(offset, bits))
    return sorted(found, key=lambda hypothesis: -hypothesis.bits)[:4]


def _contents(table: Table, offset: int) -> Ints:
    contents = np.zeros(len(table), np.int64)
    varint_rests(table.data, table.start, table.end, offset, contents)
    return contents
