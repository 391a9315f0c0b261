"""A field whose length stands before it, found where the length makes what follows more predictable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from ..spec import Element, FromLength
from .consensus import column_odds
from .fields import PRINTABLE, as_number, named_at, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures, laid_out, read_numbers
from .table import Bools, Ints, Spans, Table

GAPS = 16  # bytes between a length and its field
COST = 14.0  # bits: the choice among widths, byte orders, offsets and gaps
SHAPES = ((1, False), (2, False), (2, True), (4, False), (4, True), (3, False))

Odds = NDArray[np.float64]


@dataclass(frozen=True)
class Prefixed:
    """
    A field at ``offset`` of as many bytes as the number ``gap + width`` bytes before it says; the rest follows.

    A length right before its field has no gap; the lengths of a header's parts stand together before the parts.
    """

    offset: int
    bits: float
    width: int
    little: bool
    gap: int = 0
    detector: str = "prefixed"

    @property
    def spans(self) -> Spans:
        """The length."""
        return frozenset({(self.offset - self.gap - self.width, self.width)})

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the field ends within it."""
        ends, exists = self._ends(table)
        return exists & (ends <= table.end)

    def _ends(self, table: Table) -> tuple[Ints, Bools]:
        start = table.start + self.offset
        lengths = table.between(start - self.gap - self.width, table.end)
        values, exists = read_numbers(lengths, self.width, self.little, 1)
        return start + values[:, 0], exists[:, 0]

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the field (laid out further where it has structure) and the layout of what follows."""
        ends, _ = self._ends(table.between(table.start - self.offset, table.end))
        length = named_at(front, self.offset - self.gap - self.width, self.width)
        front[:] = [
            as_number(element, self.little, "length") if element.name == length else element for element in front
        ]
        value = table.between(table.start, ends)
        field = plain(builder.names.next("value"), FromLength(field=length), semantic="payload")
        inner = laid_out(builder, value, depth)
        if inner:
            field = field.model_copy(update={"elements": inner})
        return [field, *builder.region(table.between(ends, table.end), depth + 1)]


def propose(table: Table, settings: DiscoverySettings) -> list[Prefixed]:
    """Return the length prefixes that make the rest of the regions more predictable or lead text, best first."""
    sizes = table.sizes
    shortest = table.shortest()
    allowed = allowed_failures(len(table), settings)
    found: list[Prefixed] = []
    odds = column_odds(table, min(shortest, SEARCHED) + GAPS + 8)
    for width, little in SHAPES:
        span = min(shortest - width + 1, SEARCHED)
        if span > 0:
            found += _shape(table, sizes, width, little, span, allowed, odds)
    return sorted(found, key=lambda prefix: (-prefix.bits, prefix.offset))[:4]


def _shape(table: Table, sizes: Ints, width: int, little: bool, span: int, allowed: int, odds: Odds) -> list[Prefixed]:
    values, _ = read_numbers(table, width, little, span)
    left = sizes[:, None] - np.arange(span) - width
    inside = (values <= left).sum(axis=0) >= len(table) - allowed
    varied = inside & (values != values[:1]).any(axis=0) & (values < left).any(axis=0)
    found: list[Prefixed] = []
    before = entropy_of(sizes)
    for offset in np.flatnonzero(varied).tolist():
        value, behind = values[:, offset], left[:, offset]
        if len(np.unique(value)) <= 2 or not _leaves_a_tail(table, value, behind, offset + width):
            continue
        gain = before - entropy_of(behind - value)
        pairs = len(np.unique(value * 1_000_003 + behind))
        bits = (gain * pairs if gain > 0.3 else 0.0) - COST - 0.2 * offset
        bits += float(odds[offset]) - _inside(odds, offset, width)
        if bits + COST >= ACCEPTED or gain > 0:
            found += _placed(table, value, behind, offset, width, little, bits, odds)
    return found


def _placed(
    table: Table,
    value: Ints,
    behind: Ints,
    offset: int,
    width: int,
    little: bool,
    bits: float,
    odds: Odds,
) -> list[Prefixed]:
    """Return the field that the length at ``offset`` covers, at the gap whose ends agree best with the boundaries."""
    best, best_bits = 0, -np.inf
    slack = int(np.quantile(behind - value, 0.05, method="lower"))
    for gap in range(min(GAPS, slack) + 1) if bits + COST >= ACCEPTED else (0,):
        start = offset + width + gap
        ends = table.between(table.start + start + value, table.end)
        agreed = float(odds[start]) + 2.0 * float(column_odds(ends.take(ends.sizes > 0), 1)[0])
        agreed += 3.0 if gap == 0 else 0.0
        if agreed > best_bits:
            best, best_bits = gap, agreed
    if not np.isfinite(best_bits):
        return []  # nothing follows any of the fields, so no boundary can agree
    bits += best_bits + (_text_bits(table, value, offset + width) if best == 0 else 0.0)
    bits = round(bits * 256) / 256
    return [Prefixed(offset + width + best, bits, width, little, best)] if bits + COST >= ACCEPTED else []


def _inside(odds: Odds, offset: int, width: int) -> float:
    return float(odds[offset + 1 : offset + width].mean()) if width > 1 else 0.0


def _leaves_a_tail(table: Table, value: Ints, behind: Ints, offset: int) -> bool:
    """
    Return whether there is something behind the field that a length covers.

    Where nine of ten regions have the same number of bytes left, the length may as well cover the whole rest and more
    than it; only a boundary where the field would end says otherwise.
    """
    left, counts = np.unique(behind - value, return_counts=True)
    if int(counts.max()) < 0.9 * len(value):
        return True
    ends = table.between(table.start + offset + value, table.end)
    return int(left[counts.argmax()]) > 0 and float(column_odds(ends.take(ends.sizes > 0), 1)[0]) > 1.0


def entropy_of(values: NDArray[np.int64]) -> float:
    """Return the entropy of a column of numbers in bits, to 1/256."""
    low, high = int(values.min()), int(values.max())
    if high - low < 1 << 12:
        counts = np.bincount(values - low)
        counts = counts[counts > 0]
    else:
        counts = np.unique(values, return_counts=True)[1]
    shares = counts / len(values)
    return round(float(-(shares * np.log2(shares)).sum()) * 256) / 256


def _text_bits(table: Table, value: Ints, offset: int) -> float:
    """
    Return the evidence that the bytes the length covers are text and end where the length says.

    A region counts where its value is text of 3 bytes or more and the byte behind it is not printable.
    """
    start = table.start + offset
    stop = np.minimum(start + value, table.end)
    chosen = np.flatnonzero((value >= 3) & (value < 256) & (stop < table.end))[:128]
    if len(chosen) * 2 < len(value) or not len(table.data):
        return 0.0
    width = int((stop - start)[chosen].max())
    body, exists = table.take(chosen).between(start[chosen], stop[chosen]).window(width)
    text = (PRINTABLE[body] | ~exists).all(axis=1)
    ended = text & ~PRINTABLE[table.data[stop[chosen]]]
    kinds = len(np.unique(value[chosen][ended]))
    return 4.0 * kinds if ended.mean() > 0.9 and kinds > 2 else 0.0
