"""Strings in binary messages: ended by a zero or a line break, or counted in characters or bytes, also in UTF-16."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit

from ..settings import DiscoverySettings
from ..spec import Delimited, Element, Encoding, Field, FromLength, Width
from .consensus import column_odds
from .domain_names import names_at
from .fields import as_number, named_at, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures, read_numbers
from .runs import BIG, BYTES, LITTLE, runs_of
from .table import NO_SPANS, Bools, Ints, Spans, Table

CHARACTER_BITS = 1.4  # by which a byte of text is rarer than any byte
COUNTED = 8  # characters of a string that count, so that long strings do not drown what else is known
LENGTHS = 3  # different lengths of strings, fewer are columns
MEAN = 2.5  # characters, on average
PADDED = 128  # bytes behind a string that are read for padding
END_BITS = 4.0  # of a string that ends where it should
WIDTHS = ((1, False), (2, False), (2, True), (4, False), (4, True))
SHAPES = np.array(WIDTHS, np.int64)
_MARKS = {BYTES: (b"\0", b"\r\n", b"\n"), LITTLE: (b"\0\0\0",), BIG: (b"\0\0",)}
_ENCODINGS: dict[int, Encoding] = {BYTES: "ascii", LITTLE: "utf16", BIG: "utf16"}


@dataclass(frozen=True)
class Terminated:
    """A string at ``offset`` up to and with ``mark``; what follows is laid out further."""

    offset: int
    bits: float
    mark: bytes
    alphabet: int = BYTES
    detector: str = "terminated"
    spans: Spans = NO_SPANS

    def fits(self, table: Table) -> Bools:
        """Return for each region whether text and then the mark stand there."""
        return self.ends(table, self.offset) >= 0

    def ends(self, table: Table, offset: int, run: Ints | None = None) -> Ints:
        """Return where the mark behind the string ends, -1 where there is no such string; ``run``: its characters."""
        if run is None:
            run = runs_of(table.between(table.start + offset, table.end), 1)[self.alphabet, :, 0]
        stop = table.start + offset + run * (1 if self.alphabet == BYTES else 2)
        at = stop - 1 if self.alphabet == LITTLE else stop
        found = (at + len(self.mark) <= table.end) & (at >= table.start + offset)
        for place, byte in enumerate(self.mark):
            found &= table.data[np.where(found, at + place, 0)] == byte
        return np.where(found, at + len(self.mark), -1)

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the string and the layout of what follows it."""
        width = Delimited(delimiters=[self.mark], include=True)
        string = _string(builder, width, self.alphabet)
        return [string, *_behind(builder, table.between(self.ends(table, 0), table.end), depth)]


@dataclass(frozen=True)
class Counted:
    """
    A string at ``offset``, right behind the number of its units of ``scale`` bytes; what follows is laid out further.

    A zero at the end may be counted.
    """

    offset: int
    bits: float
    width: int
    little: bool
    scale: int
    alphabet: int = BYTES
    detector: str = "counted"

    @property
    def spans(self) -> Spans:
        """The number."""
        return frozenset({(self.offset - self.width, self.width)})

    @property
    def chained(self) -> tuple[int, int, bool, int]:
        """Where its length starts, bytes and byte order of it, and bytes of a unit: what a chain may begin with."""
        return self.offset - self.width, self.width, self.little, self.scale

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the string ends within it."""
        ends, exists = self._ends(table)
        return exists & (ends <= table.end)

    def _ends(self, table: Table) -> tuple[Ints, Bools]:
        values, exists = read_numbers(
            table.between(table.start + self.offset - self.width, table.end), self.width, self.little, 1
        )
        return table.start + self.offset + values[:, 0] * self.scale, exists[:, 0]

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the string and the layout of what follows it."""
        ends, _ = self._ends(table.between(table.start - self.offset, table.end))
        length = named_at(front, self.offset - self.width, self.width)
        front[:] = [as_number(e, self.little, "length") if e.name == length else e for e in front]
        string = _string(builder, FromLength(field=length, scale=self.scale), self.alphabet)
        return [string, *_behind(builder, table.between(ends, table.end), depth)]


def _string(builder: Builder, width: Width, alphabet: int) -> Field:
    return plain(builder.names.next("string"), width, _ENCODINGS[alphabet], "text").model_copy(
        update={"endianness": {LITTLE: "little", BIG: "big"}.get(alphabet)}
    )


def _behind(builder: Builder, table: Table, depth: int) -> list[Element]:
    """Return the layout of what follows strings, at the same depth: they do not nest."""
    return builder.region(table, max(depth, 1)) if int(table.sizes.max()) else []


def propose(table: Table, settings: DiscoverySettings) -> list[Terminated | Counted]:
    """Return the strings at the first offset at which the regions support any, best first; others follow behind it."""
    span = min(table.shortest(), SEARCHED)
    if span < 1:
        return []
    runs = runs_of(table, span)
    starts = [_starts(runs[alphabet], alphabet) for alphabet in (BYTES, LITTLE, BIG)]
    starts[BIG] -= {offset - 1 for offset in starts[LITTLE]}  # a zero before characters that lead one
    odds = column_odds(table, span) if any(starts) else np.zeros(span)
    allowed = allowed_failures(len(table), settings)
    found: list[Terminated | Counted] = []
    for offset, alphabet in sorted((offset, alphabet) for alphabet, at in enumerate(starts) for offset in at):
        if found and offset > found[0].offset:
            break
        seen = _Seen(table, offset, runs[alphabet][:, offset], alphabet, allowed, 4.0 * float(odds[offset]))
        found += [*_counted(seen), *_terminated(seen)]
    return sorted(found, key=lambda string: -string.bits)


def _starts(runs: Ints, alphabet: int) -> set[int]:
    """Return the offsets at which text starts in many regions, and is not under way in nearly all of them."""
    step = 1 if alphabet == BYTES else 2
    under_way = np.zeros(runs.shape[1], np.bool_)
    under_way[step:] = (runs[:, :-step] > runs[:, step:]).mean(axis=0) > 0.9
    return set(np.flatnonzero((runs.mean(axis=0) >= MEAN) & ~under_way).tolist())


@dataclass(frozen=True)
class _Seen:
    """Text of ``run`` characters at ``offset``, and ``odds`` bits for a boundary there."""

    table: Table
    offset: int
    run: Ints
    alphabet: int
    allowed: int
    odds: float
    _read: dict[tuple[int, bool], Ints] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Bytes of a character."""
        return 1 if self.alphabet == BYTES else 2

    def bits(self, sizes: Ints, ending: float, chosen: Bools) -> float:
        """Return the bits by which strings of these bytes are rarer than others, and end rarer than anywhere."""
        start = self.table.start + self.offset
        window, _ = self.table.between(start, np.minimum(start + sizes, self.table.end)).window(4 * COUNTED)
        _, first = np.unique(window[chosen], axis=0, return_index=True)
        characters = np.minimum(sizes[chosen][first] // self.step, COUNTED).sum()
        text = CHARACTER_BITS * float(characters) * (1 if self.alphabet == BYTES else 3)
        kinds = len(np.unique(sizes[chosen]))
        return round((text + self.odds + ending * kinds) * 256) / 256 if kinds >= LENGTHS else 0.0

    @cached_property
    def counts(self) -> Ints:
        """
        Of each of ``WIDTHS`` (5, 5): how often the number right before the text may tell its length.

        In bytes, in units of two bytes: the text is as long, longer, or a character shorter; then how often the number
        is the bytes of the text, one more, two more. Zeros where there is no room for a number.
        """
        counts = np.zeros((len(WIDTHS), 5), np.int64)
        text = self.table.start + self.offset
        _count_told(self.table.data, text, self.table.end, self.run, self.step, SHAPES, counts)
        counts[[self.offset < width for width, _ in WIDTHS]] = 0
        return counts

    def numbers(self, width: int, little: bool) -> Ints:
        """Return the number right before the text."""
        if (width, little) not in self._read:
            before = self.table.between(self.table.start + self.offset - width, self.table.end)
            self._read[width, little] = read_numbers(before, width, little, 1)[0][:, 0]
        return self._read[width, little]


def _terminated(seen: _Seen) -> list[Terminated]:
    found: list[Terminated] = []
    for mark in _MARKS[seen.alphabet]:
        string = Terminated(seen.offset, 0.0, mark, seen.alphabet)
        ends = string.ends(seen.table, seen.offset, seen.run)
        fits = ends >= 0
        if int((~fits).sum()) > seen.allowed or _is_told(seen) or _is_padded(seen.table, ends, fits):
            continue
        bits = seen.bits(seen.run * seen.step, END_BITS, fits)
        if bits >= ACCEPTED:
            found.append(Terminated(seen.offset, bits, mark, seen.alphabet))
    return found


def _is_told(seen: _Seen) -> bool:
    """Return whether a number before a string says how long it is."""
    return bool((seen.counts[:, 2:] / len(seen.run) > 0.9).any())


@njit(cache=True, nogil=True)
def _count_told(data, text, end, run, step, shapes, counts):  # type: ignore[no-untyped-def]
    for row in range(len(text)):
        size = run[row] * step
        for shape in range(len(shapes)):
            width = shapes[shape, 0]
            number = np.int64(0)
            for place in range(width):
                at = text[row] - 1 - place if shapes[shape, 1] else text[row] - width + place
                number = number << 8 | (np.int64(data[at]) if 0 <= at < end[row] else 0)
            for scale in (1, 2):
                left = size - number * scale
                counts[shape, scale - 1] += left >= 0 or left == -step
            for bias in range(3):
                counts[shape, 2 + bias] += number == size + bias


def _is_padded(table: Table, ends: Ints, fits: Bools) -> bool:
    """Return whether zeros fill what is left behind strings up to a column that no string passes."""
    behind = table.between(ends, table.end).take(fits)
    window, exists = behind.window(PADDED)
    zeros = ((window == 0) & exists).cumprod(axis=1).sum(axis=1)
    stop = behind.start - table.start[fits]
    return bool(np.quantile(stop + zeros, 0.05, method="lower") >= np.quantile(stop, 0.95, method="higher"))


def _counted(seen: _Seen) -> list[Counted]:
    found: list[Counted] = []
    may = seen.counts[:, :2] / len(seen.run) > 0.9
    for shape, column in np.argwhere(may[:, : seen.step]).tolist():
        width, little = WIDTHS[shape]
        numbers, scale = seen.numbers(width, little), column + 1
        string = Counted(seen.offset, 0.0, width, little, scale, seen.alphabet)
        told = _told(seen, string, numbers * scale)
        if told.mean() <= 0.9 or int((~string.fits(seen.table)).sum()) > seen.allowed:
            continue
        bits = seen.bits(np.minimum(numbers * scale, seen.run * seen.step), 2 * END_BITS, told)
        if bits >= ACCEPTED and not _are_labels(seen, string, numbers * scale):
            found.append(Counted(seen.offset, bits + width, width, little, scale, seen.alphabet))
    return found


def _told(seen: _Seen, string: Counted, sizes: Ints) -> Bools:
    """
    Return where text is as long as told, with or without a zero behind it.

    Text may happen to go on, where the byte behind it is one of text: in a few regions, or in all if what follows is
    the length of a further string.
    """
    left = seen.run * seen.step - sizes
    exact = _exact(left, seen.step)
    if exact.mean() > 0.5 or (float((left >= -seen.step).mean()) > 0.9 and _again(seen, string, sizes)):
        return exact | (left > 0)
    return exact


def _exact(left: Ints, step: int) -> Bools:
    exact: Bools = (left == 0) | (left == -step)
    return exact


def _again(seen: _Seen, string: Counted, sizes: Ints) -> bool:
    """Return whether a number and a string follow in the same way."""
    behind = seen.table.between(seen.table.start + seen.offset + sizes, seen.table.end)
    behind = behind.take(behind.sizes > string.width)
    if 2 * len(behind) < len(seen.table):
        return False
    numbers, _ = read_numbers(behind, string.width, string.little, 1)
    runs = runs_of(behind.after(string.width), 1)[seen.alphabet, :, 0] * seen.step
    return float(_exact(runs - numbers[:, 0] * string.scale, seen.step).mean()) > 0.5


def _are_labels(seen: _Seen, string: Counted, sizes: Ints) -> bool:
    """
    Return whether a string and its length are the first label of names (RFC 1035).

    Where no name has several, the zero behind it is either the end of the name or the start of a further length, or a
    boundary is likelier behind the zero than before it.
    """
    if string.little or seen.alphabet != BYTES:
        return False
    ends, labels = names_at(seen.table, seen.offset - 1)
    if float((ends >= 0).mean()) <= 0.9 or float((labels > 1).mean()) > 0.02:
        return float((ends >= 0).mean()) > 0.9
    if any(_again(seen, Counted(0, 0.0, width, False, 1), sizes) for width in (2, 4)):
        return False
    before, after = column_odds(seen.table.between(ends - 1, seen.table.end).take(ends >= 0), 2)
    return bool(after > before)
