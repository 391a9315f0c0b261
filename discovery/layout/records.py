"""Items of one fixed size to the end of the region, with or without a field that counts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..settings import DiscoverySettings
from ..spec import Element, Repeat, Times, ToEnd
from .columns import columns_of
from .consensus import column_chance
from .fields import number
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures, read_numbers
from .prefixed import SHAPES, entropy_of
from .table import NO_SPANS, Bools, Ints, Spans, Table

MIN_SIZE, MAX_SIZE = 2, 256
WORD, WORD_BITS, MOST_WORD_BITS = 4, 32.0, 48.0


@dataclass(frozen=True)
class Records:
    """
    Items of ``size`` bytes from ``offset + before`` to the end of every region.

    Where ``width`` is not 0, a number at ``offset`` is the number of items minus ``bias``, and the items start
    ``before`` bytes behind the start of that number.
    """

    offset: int
    bits: float
    size: int
    width: int = 0
    little: bool = False
    before: int = 0
    bias: int = 0
    detector: str = "records"
    spans: Spans = NO_SPANS

    def fits(self, table: Table) -> Bools:
        """Return for each region whether whole items fill it, as many as are counted."""
        left = table.sizes - self.offset - self.before
        fits: Bools = (left >= 0) & (left % self.size == 0)
        if self.width:
            counted = table.between(table.start + self.offset, table.end)
            values, exists = read_numbers(counted, self.width, self.little, 1)
            fits &= exists[:, 0] & ((values[:, 0] + self.bias) * self.size == left)
        return fits

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the count, what stands before the items, and the repeat."""
        elements: list[Element] = []
        stop: Times | ToEnd = ToEnd()
        if self.width:
            builder.mark(table.after(self.width))
            count = number(builder.names.next("count"), self.width, self.little, "count")
            elements = [count, *builder.columns(table.after(self.width), self.before - self.width, NO_SPANS)]
            stop = Times(field=count.name, bias=self.bias)
        items = self.items(table.after(self.before))
        name = builder.names.next("records")
        return [*elements, Repeat(name=name, stop=stop, elements=builder.columns(items, self.size, NO_SPANS))]

    def items(self, table: Table) -> Table:
        """Return the table of the items of regions that hold nothing else."""
        counts = table.sizes // self.size
        owner = np.repeat(np.arange(len(table)), counts)
        index = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        start = table.start[owner] + index * self.size
        return table.take(owner).between(start, start + self.size)


def propose(table: Table, settings: DiscoverySettings) -> list[Records]:
    """Return counted records and records to the end that the regions support, best first."""
    found = _counted(table, settings) + _uncounted(table)
    return sorted(found, key=lambda records: (-records.bits, records.offset))[:4]


def _counted(table: Table, settings: DiscoverySettings) -> list[Records]:
    sizes = table.sizes
    shortest = table.shortest()
    allowed = allowed_failures(len(table), settings)
    found = []
    for width, little in SHAPES:
        span = min(shortest - width + 1, SEARCHED)
        if span <= 0:
            continue
        values, _ = read_numbers(table, width, little, span)
        other = int(np.argmax(sizes != sizes[0]))
        step, change = values[other] - values[0], int(sizes[other] - sizes[0])
        share = np.where(step != 0, change // np.where(step != 0, step, 1), 0)
        likely = (share >= MIN_SIZE) & (share <= MAX_SIZE) & (share * step == change)
        for offset in np.flatnonzero(likely).tolist():
            found += _solve(table, values[:, offset], offset, width, little, allowed)
    return found


def _solve(table: Table, value: Ints, offset: int, width: int, little: bool, allowed: int) -> list[Records]:
    """Return the records whose size and start two regions give and the others confirm."""
    sizes = table.sizes
    other = int(np.argmax(value != value[0]))
    step, change = int(value[other] - value[0]), int(sizes[other] - sizes[0])
    if change % step or not MIN_SIZE <= change // step <= MAX_SIZE:
        return []
    size = change // step
    fixed = int(sizes[0] - value[0] * size)
    if int((sizes - value * size != fixed).sum()) > allowed or fixed < 0:
        return []
    before = fixed - offset
    kinds = 2.0 ** entropy_of(value)  # as many as if all were equally frequent
    if kinds < 2.0 or before < width or before > 16 + width:
        return []
    bits = round(8.0 * kinds * 256) / 256
    hypothesis = Records(offset, bits, size, width, little, before)
    return [hypothesis] if bits + _agreement(table, hypothesis) >= ACCEPTED else []


def _uncounted(table: Table) -> list[Records]:
    kinds = np.unique(table.sizes)
    if len(kinds) < 3:
        return []
    size = int(np.gcd.reduce(np.diff(kinds)))
    if not 3 <= size <= MAX_SIZE:
        return []
    found = []
    for offset in range(int(kinds[0]) % size, min(int(kinds[0]), SEARCHED) + 1, size):
        hypothesis = Records(offset, 0.0, size)
        agreed = _agreement(table, hypothesis)
        bits = (len(kinds) - 1) * float(np.log2(size)) + agreed
        if bits >= ACCEPTED and agreed > 0:
            found.append(Records(offset, bits + _words(table, hypothesis), size))
    return found[:3]


def _agreement(table: Table, records: Records) -> float:
    """
    Return bits for what items of this size and start share: boundaries before them, columns of different entropy.

    Ciphertext in blocks has whole items too, but its columns are all alike.
    """
    inner = table.after(records.offset + records.before)
    inner = inner.take(inner.sizes % records.size == 0)
    items = records.items(inner)
    if len(items) < 4:
        return 0.0
    items = items.take(slice(0, 1024))
    entropies = columns_of(items, records.size).entropy
    ceiling = min(8.0, float(np.log2(len(items))))
    structured = float(entropies.min()) < 0.6 * ceiling
    later = items.take(items.start > items.begin)
    chance = float(column_chance(later, 1)[0]) if later.chances is not None else 0.5
    return (8.0 if structured else -16.0) + 16.0 * (chance - 0.4)


def _words(table: Table, records: Records) -> float:
    """
    Return bits for numbers in words of four bytes, as XDR (RFC 4506) writes everything.

    The first byte of a word is zero far more often than the last: by what factor the odds differ.
    """
    if records.size != WORD:
        return 0.0
    facts = columns_of(records.items(table.after(records.offset)).take(slice(0, 1024)), WORD)
    zeros = (facts.zeros[[0, WORD - 1]] + 1.0) / (facts.rows[[0, WORD - 1]] + 2.0)
    odds = zeros / (1 - zeros)
    factor = float(odds[0] / odds[1])
    return (
        min(round(WORD_BITS * float(np.log2(factor)) * 256) / 256, MOST_WORD_BITS)
        if factor >= 2 and zeros[0] >= 0.25
        else 0.0
    )
