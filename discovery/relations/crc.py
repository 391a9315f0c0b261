"""CRCs of any generator, recovered by algebra: the generator from differences, then init and xorout from lengths."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..checksums import checksum_values, reflect
from ..crc_catalogue import CATALOGUE, catalogue_name
from ..spec import Checksum
from .additive import Proposal
from .gf2 import common_generator, multiply, power_of_x, quotient, solve
from .regions import Place, Region

PAIRS = 10
LONGEST = 768
_SLACK = 8
_SOLVING_ROWS = 64
_PAIRED_ROWS = 32
_CATALOGUE_ROWS = 6
_SIZES = 4
_OWN_BYTES = ("outside", "excluded", "zeroed")


class Differences(NamedTuple):
    """
    XOR of pairs of messages of equal length that differ late, shortest first.

    Attributes:
        covered: (k, m) uint8, differences of the covered bytes, right-aligned; lengths: int64, how many of each count.
        fields: (k, width) uint8, differences of the checksums.
        sizes: int64, bytes of the whole region of each pair.
        impossible: equal covered bytes carry different checksums.
    """

    covered: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    fields: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    impossible: bool

    def after(self, start: int) -> Differences:
        """Return the differences of the regions that start so many bytes later (none where one would vanish)."""
        if not start:
            return self
        covered = self.covered.copy()
        behind = self.sizes - start
        columns = np.arange(covered.shape[1], 0, -1)[None, :]
        covered[columns > behind[:, None]] = 0
        kept = covered.any(axis=1)
        return Differences(
            covered[kept], np.minimum(self.lengths, behind)[kept], self.fields[kept], self.sizes[kept], self.impossible
        )

    def ended_by_zeros(self, count: int) -> Differences:
        """Return the differences of the same regions with so many zeros behind them: fields that are zero at first."""
        covered = np.pad(self.covered, ((0, 0), (0, count)))
        return self._replace(covered=covered, lengths=self.lengths + count, sizes=self.sizes + count)


class Ordering(NamedTuple):
    """How bits and bytes are ordered: input bytes, result, and the bytes of the field."""

    refin: bool
    refout: bool
    little: bool


def orderings(width: int) -> list[Ordering]:
    """Return every ordering, the usual ones (both reflections alike) first."""
    all_orders = [Ordering(*order) for order in product((False, True), repeat=3) if width > 1 or not order[2]]
    return sorted(all_orders, key=lambda order: order.refin != order.refout)


def differences_of(view: MessageView, rows: NDArray[np.int64], place: Place, region: Region) -> Differences:
    """Return up to ``PAIRS`` different differences among the rows."""
    first, last = region.bounds(view, rows)
    size, own = last - first, view.starts[rows] + place.offsets(view, rows) - first
    room, mode = min(int(size.max(initial=1)), LONGEST), _OWN_BYTES.index(region.own_bytes)
    shortest, sizes = np.zeros((PAIRS, room + place.width), np.uint8), np.zeros(PAIRS, np.int64)
    count, impossible = _differences(view.data, first, size, own, place.width, mode, shortest, sizes)
    covered, fields = shortest[:count, :room], shortest[:count, room:]
    lengths = room - (covered != 0).argmax(axis=1)
    covered = covered[:, room - lengths.max(initial=0) :]
    return Differences(np.ascontiguousarray(covered), lengths, np.ascontiguousarray(fields), sizes[:count], impossible)


@njit(cache=True, nogil=True)
def _differences(data, first, size, own, width, mode, shortest, sizes):  # type: ignore[no-untyped-def]
    """
    Write the least of the differences between rows of equal size that are neighbours in the order of their bytes.

    A row of ``shortest`` is the covered bytes, right-aligned, then the field: so the order of rows is that of lengths,
    then of contents.
    """
    room = shortest.shape[1] - width
    counts = np.zeros(room + 1, np.int64)
    for length in size:
        if 0 < length <= room:
            counts[length] += 1
    rows = np.zeros((_PAIRED_ROWS, room + width), np.uint8)
    found, impossible = 0, False
    for _ in range(_SIZES):
        length = np.argmax(counts)
        if counts[length] < 2:
            break
        counts[length] = 0
        read, covered = _sorted(data, first, size, own, width, mode, length, rows)
        for k in range(read - 1):
            rows[k] ^= rows[k + 1]
        alike = 0  # rows of equal covered bytes and different fields: one may be damaged
        for row in rows[: read - 1]:
            if row[room - covered : room].any():
                found = _keep(row, covered, shortest, sizes, found)
            else:
                alike += row[room:].any()
        impossible = impossible or alike > 1
    return found, impossible


@njit(cache=True, nogil=True)
def _sorted(data, first, size, own, width, mode, length, rows):  # type: ignore[no-untyped-def]
    """Read the first rows of this length, without the field's own bytes or with zeros there; return (rows, bytes)."""
    read, covered, room = 0, length - width if mode == 1 else length, rows.shape[1] - width
    begin = room - covered
    row = np.zeros(room + width, np.uint8)
    for message in np.flatnonzero(size == length)[: len(rows)]:
        content, at = data[first[message] : first[message] + length], own[message]
        if mode == 0:
            row[begin:room] = content
        else:
            row[room - length + at + width : room] = content[at + width :]
            row[begin : begin + at] = content[:at]
        row[room:] = data[first[message] + at : first[message] + at + width]
        place = read
        while place and _less(row[begin:room], rows[place - 1, begin:room]):
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row
        read += 1
    rows[:read, :begin] = 0
    return read, covered


@njit(cache=True, nogil=True)
def _keep(row, covered, shortest, sizes, found):  # type: ignore[no-untyped-def]
    """Insert a difference into the least ones, unless it is there; return how many there are."""
    place = found
    while place and _less(row, shortest[place - 1]):
        place -= 1
    if place == len(shortest) or (place and not _less(shortest[place - 1], row)):
        return found
    found = min(found + 1, len(shortest))
    for k in range(found - 1, place, -1):
        shortest[k], sizes[k] = shortest[k - 1], sizes[k - 1]
    shortest[place], sizes[place] = row, covered
    return found


@njit(cache=True, nogil=True)
def _less(one, other):  # type: ignore[no-untyped-def]
    for k in range(len(one)):
        if one[k] != other[k]:
            return one[k] < other[k]
    return False


def generators(found: Differences, width: int, usual: bool = False) -> Iterator[tuple[Ordering, int]]:
    """
    Yield (ordering, generator with its leading term) for which every difference is a multiple of the generator.

    ``usual``: only orderings that reflect both or nothing.
    """
    least = 5 if width == 1 else 4
    if found.impossible or len(found.lengths) < least:
        return
    halves = _halves(found, least)
    for ordering in orderings(width):
        if usual and ordering.refin != ordering.refout:
            continue
        common = _common(halves, ordering)
        yield from ((ordering, g) for g in _factors(common, 8 * width) if g != (1 << (8 * width)) | 1)


def _halves(found: Differences, least: int) -> list[tuple[NDArray[Any], ...]]:
    """Return (covered, lengths, fields) of every other difference, twice, or of all where half would be too few."""
    halves = (slice(None),) if len(found.lengths) < 2 * least else (slice(0, None, 2), slice(1, None, 2))
    return [tuple(np.ascontiguousarray(part[half]) for part in found[:3]) for half in halves]


def _common(halves: list[tuple[NDArray[Any], ...]], ordering: Ordering) -> int:
    """Return the common divisor of the first half that has one, else 0: a damaged message spoils only its half."""
    for covered, lengths, fields in halves:
        degree, value = common_generator(covered, fields, lengths, *ordering, _SLACK)
        if degree >= 0:
            return int(value)
    return 0


def _factors(polynomial: int, degree: int) -> Iterator[int]:
    """Yield the factors of this degree with a constant term (of the polynomial 0: none)."""
    if not polynomial:
        return
    left = polynomial.bit_length() - 1 - degree
    for cofactor in range((1 << left) | 1, 2 << left, 2):
        factor = quotient(polynomial, cofactor)
        if factor is not None and factor & 1:
            yield factor


def parameters_of(
    view: MessageView, rows: NDArray[np.int64], place: Place, region: Region, ordering: Ordering, generator: int
) -> Iterator[Proposal]:
    """Yield the checksums of this generator whose init and xorout fit the messages."""
    poly = generator ^ (1 << (8 * place.width))
    bare = region.constraint("crc", poly=poly, refin=ordering.refin, refout=ordering.refout)
    rows = rows[:_SOLVING_ROWS]
    values = checksum_values(view, rows, bare, place.offsets(view, rows), place.width)
    rest = values ^ place.values(view, rows, ordering.little)
    yield from completed(bare, place.width, ordering, _covered_lengths(view, rows, place, region), rest)


def completed(
    bare: Checksum, width: int, ordering: Ordering, lengths: NDArray[np.int64], rest: NDArray[np.uint64]
) -> Iterator[Proposal]:
    """
    Yield the checksums with an init and xorout that make up for what is left of each region, the usual ones first.

    The register after a message of n bytes is that of init 0 plus ``init * x**8n``; so each length gives the sum of
    that term and xorout, and two lengths give linear equations for init.

    Args:
        bare: the CRC with init and xorout of 0.
        width: bytes of the field.
        lengths: int64, bytes of each region; rest: uint64, the bare checksum of each, XOR with what its field says.
    """
    bits = 8 * width
    generator = bare.poly | 1 << bits
    terms = _terms(lengths, rest, bits, ordering.refout)
    if terms is None:
        return
    for init in _inits(terms, bits, generator, ordering):
        sums = {_plus_init(init, length, generator) ^ term for length, term in terms.items()}
        if len(sums) != 1:
            continue
        last = sums.pop()
        xorout = reflect(last, bits) if ordering.refout else last
        name = catalogue_name(bits, bare.poly, init, ordering.refin, ordering.refout, xorout)
        constraint = bare.model_copy(update={"init": init, "xorout": xorout, "name": name})
        yield Proposal(constraint, ordering.little, _strangeness(name, init, xorout, bits, ordering))


def _covered_lengths(view: MessageView, rows: NDArray[np.int64], place: Place, region: Region) -> NDArray[np.int64]:
    first, last = region.bounds(view, rows)
    return last - first - (place.width if region.own_bytes == "excluded" else 0)


def _terms(lengths: NDArray[np.int64], rest: NDArray[np.uint64], bits: int, refout: bool) -> dict[int, int] | None:
    """Return for each length what init and xorout add, None where the messages of a length mostly disagree."""
    terms: dict[int, int] = {}
    agreeing = 0
    for length in np.unique(lengths):
        values, counts = np.unique(rest[lengths == length], return_counts=True)
        best = int(np.argmax(counts))
        agreeing += int(counts[best])
        if counts[best] * 2 > counts.sum() and len(terms) < 8:
            value = int(values[best])
            terms[int(length)] = reflect(value, bits) if refout else value
    return terms if terms and agreeing * 10 >= 9 * len(rest) else None


def _plus_init(init: int, length: int, generator: int) -> int:
    return multiply(power_of_x(8 * length, generator), init, generator)


def _inits(terms: dict[int, int], bits: int, generator: int, ordering: Ordering) -> list[int]:
    """Return the values of init to try: those in use for this generator, the usual ones, then the solved one."""
    full = (1 << bits) - 1
    poly = generator ^ (1 << bits)
    used = [c.init for c in CATALOGUE if (c.width, c.poly, c.refin) == (bits, poly, ordering.refin)]
    tried = [*used, 0, full]
    if len(terms) > 1:
        (base, base_term), *others = sorted(terms.items())
        start = power_of_x(8 * base, generator)
        factors = [power_of_x(8 * length, generator) ^ start for length, _ in others]
        columns = [
            sum(multiply(factor, 1 << bit, generator) << (bits * k) for k, factor in enumerate(factors))
            for bit in range(bits)
        ]
        solved = solve(columns, [term ^ base_term for _, term in others], bits)
        if solved is not None:
            tried.append(solved)
    return list(dict.fromkeys(tried))


def _strangeness(name: str, init: int, xorout: int, bits: int, ordering: Ordering) -> int:
    """Return how unusual the parameters are: 0 for the catalogue's."""
    usual = (0, (1 << bits) - 1)
    return 0 if name else 1 + (init not in usual) + 2 * (xorout not in usual) + 4 * (ordering.refin != ordering.refout)


def from_catalogue(view: MessageView, rows: NDArray[np.int64], place: Place, region: Region) -> Iterator[Proposal]:
    """Yield the catalogue's algorithms that fit a few messages: the way where no two messages have the same length."""
    rows = rows[:_CATALOGUE_ROWS]
    own = place.offsets(view, rows)
    fields = {little: place.values(view, rows, little) for little in ((False, True) if place.width > 1 else (False,))}
    for entry in CATALOGUE:
        if entry.width != 8 * place.width:
            continue
        parameters = {name: getattr(entry, name) for name in ("poly", "init", "refin", "refout", "xorout", "name")}
        constraint = region.constraint("crc", **parameters)
        values = checksum_values(view, rows, constraint, own, place.width)
        for little, field in fields.items():
            if (values == field).sum() >= len(rows) - 1:
                yield Proposal(constraint, little, 0)
