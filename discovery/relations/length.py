"""Lengths: numbers near the front that are an affine function of the message's length."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..findings import Finding
from ..spec import Length, Rival
from .claims import evidence_of, rival, stands, tolerated, types_that_hold
from .columns import FRONT, Columns, Group, numbers

_SHAPES = [(1, False), (2, False), (2, True), (3, False), (3, True), (4, False), (4, True)]
_PLACES = np.array([(o, w, e) for o in range(FRONT) for w, e in _SHAPES], np.int64)
_SCALES = np.array([1, 2, 4, 8], np.int64)
_CHANCE_BITS = 8.0  # an exact length of the message or of the rest
_CHANCE_BITS_HEADER = 14.0  # counted from a place in the front
_CHANCE_BITS_FREE = 18.0
_DETECTOR = "length"
_ALIGNED = {1: 1.0, 2: 0.0, 3: 1.2, 4: -0.2}  # see _strangeness, by bytes of the number
_ASKEW = {2: 0.6, 3: 1.2, 4: 2.0}


@dataclass(frozen=True)
class Affine:
    """``value * scale + bias`` is the length of the message, or of its content, for the number at ``start``."""

    start: int
    width: int
    little: bool
    scale: int
    bias: int
    content: bool = False

    def claim(self) -> str:
        """Return the relation in words."""
        order = "" if self.width == 1 else " little-endian" if self.little else " big-endian"
        scale = f" * {self.scale}" if self.scale != 1 else ""
        bias = f" {'+' if self.bias > 0 else '-'} {abs(self.bias)}" if self.bias else ""
        of = "content" if self.content else "message"
        return f"u{8 * self.width}{order} at {self.start}{scale}{bias} is the length of the {of}"

    def holds(self, columns: Columns) -> NDArray[np.bool_]:
        """Return in which rows it holds."""
        value = numbers(columns.front, self.start, self.width, self.little).astype(np.int64)
        fits = columns.lengths >= self.start + self.width
        equal: NDArray[np.bool_] = value * self.scale + self.bias == columns.lengths
        return fits & equal

    def constraint(self) -> Length:
        """Return the relation to the rest or to the message, whichever needs the smaller bias, or to the content."""
        if self.content:
            return Length(of="content", scale=self.scale, bias=self.bias)
        of_rest = self.bias - self.start - self.width
        if abs(of_rest) <= abs(self.bias):
            return Length(of="rest", scale=self.scale, bias=of_rest)
        return Length(of="message", scale=self.scale, bias=self.bias)


@njit(cache=True, nogil=True)
def _affine(front, lengths, rows, places, scales, limit):  # type: ignore[no-untyped-def]
    """Return (place, scale, bias) of each affine relation that at most ``limit`` of the rows violate."""
    found = np.zeros((256, 3), np.int64)
    count = 0
    for p in range(len(places)):
        offset, width, little = places[p]
        for s in range(len(scales)):
            tried = np.zeros(3, np.int64)
            for guess in range(min(3, len(rows))):
                bias = lengths[rows[guess]] - scales[s] * _read(front, rows[guess], offset, width, little)
                tried[guess] = bias
                if guess and (bias == tried[0] or (guess == 2 and bias == tried[1])):
                    continue
                fits = _fits(front, lengths, rows, offset, width, little, scales[s], bias, limit)
                if fits and count < len(found):
                    found[count, 0], found[count, 1], found[count, 2] = p, scales[s], bias
                    count += 1
                    break
    return found[:count]


@njit(cache=True, nogil=True)
def _fits(front, lengths, rows, offset, width, little, scale, bias, limit):  # type: ignore[no-untyped-def]
    """Return whether at most ``limit`` of the rows violate one affine relation."""
    violations = 0
    for row in rows:
        value = scale * _read(front, row, offset, width, little) + bias
        if value != lengths[row] or lengths[row] < offset + width:
            violations += 1
            if violations > limit:
                return False
    return violations <= limit


@njit(cache=True, nogil=True)
def _read(front, row, offset, width, little):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    for i in range(width):
        value = value * 256 + np.int64(front[row, offset + (width - 1 - i if little else i)])
    return value


def find_lengths(columns: Columns) -> list[Finding]:
    """Return the lengths that hold in all types together, then those of single types."""
    findings: list[Finding] = []
    for group in columns.groups:
        known = {(f.start + i, t) for f in findings for i in range(f.width) for t in f.types}
        for relation, rivals in _proposed(columns, group):
            touched = {(relation.start + i, t) for i in range(relation.width) for t in group.types}
            if touched & known:
                continue
            finding = _finding(columns, relation, rivals)
            if finding is not None:
                findings.append(finding)
                known |= touched
    return findings


def find_lengths_of_content(columns: Columns) -> list[Finding]:
    """Return the lengths that do not count the checksums of blocks, where blocks were found."""
    content = columns.lengths.astype(np.int64)
    for finding in (finding for finding in columns.kept if finding.block):
        left = np.where(columns.of_types(finding.types), columns.lengths - finding.start, 0)
        content -= finding.width * -(-np.maximum(left, 0) // (finding.block + finding.width))
    return find_lengths(replace(columns, content=content)) if (content < columns.lengths).any() else []


def _proposed(columns: Columns, group: Group) -> list[tuple[Affine, list[Rival]]]:
    """Return the relations of one group that chance does not explain, with the readings that lost to them."""
    rows = group.proposing
    if len(rows) < 4 or np.ptp(columns.lengths[rows]) == 0:
        return []
    limit = tolerated(len(rows), columns.settings)
    found = _affine(columns.front, columns.lengths, rows, _PLACES, _SCALES, limit)
    relations = [
        Affine(start, width, bool(little), int(scale), int(bias), columns.content is not None)
        for (start, width, little), (_, scale, bias) in zip(_PLACES[found[:, 0]].tolist(), found, strict=True)
    ]
    relations = [r for r in relations if not _padded(columns, r, rows) and _beyond_chance(columns, r, rows)]
    zero = (columns.front[rows] == 0).all(axis=0)
    # a reading that more messages obey is told apart from one that fewer do: 2 of 4 bytes agree until a carry
    violations = {r: int(np.count_nonzero(~r.holds(columns)[rows])) for r in relations}
    relations.sort(key=lambda r: (violations[r], _strangeness(r, zero), r.start))
    return _separated(columns, relations)


def _padded(columns: Columns, relation: Affine, rows: NDArray[np.int64]) -> bool:
    """Return whether a constant byte other than zero leads the number: then it belongs to something else."""
    places = range(relation.start, relation.start + relation.width)
    for place in reversed(places) if relation.little else places:
        counts = np.bincount(columns.front[rows, place], minlength=256)
        usual = int(np.argmax(counts))
        if counts[usual] <= len(rows) * (1 - 2 * columns.settings.epsilon):
            return False
        if usual:
            return True
    return False


def _separated(columns: Columns, relations: list[Affine]) -> list[tuple[Affine, list[Rival]]]:
    """Keep the first reading of any byte that is not refuted; the others become its rivals."""
    chosen: list[tuple[Affine, list[Rival]]] = []
    lost: list[Affine] = []
    for relation in relations:
        same = [r for r, _ in chosen if _overlap(r, relation)]
        if not same:
            chosen.append((relation, []))
        else:
            lost.append(relation)
    for relation in lost:
        for winner, rivals in chosen:
            if _overlap(winner, relation):
                rivals.append(rival(relation.claim(), "another reading of the same bytes"))
    return chosen


def _overlap(one: Affine, other: Affine) -> bool:
    return one.start < other.start + other.width and other.start < one.start + one.width


def _finding(columns: Columns, relation: Affine, rivals: list[Rival]) -> Finding | None:
    """Extend a relation to every type in which it holds, and let the held-out messages judge it."""
    holds = relation.holds(columns)
    types = types_that_hold(columns, holds, range(columns.n_types))
    if not types:
        return None
    evidence = evidence_of(columns, holds, types, _DETECTOR, relation.claim(), rivals)
    if not stands(evidence, columns.settings):
        return None
    order: str | None = None if relation.width == 1 else "little" if relation.little else "big"
    return Finding(types, relation.start, relation.width, "length", relation.constraint(), order, evidence)  # type: ignore[arg-type]


def _beyond_chance(columns: Columns, relation: Affine, rows: NDArray[np.int64]) -> bool:
    """
    Return whether as many different lengths as these would hardly fit by chance.

    Each distinct length beyond those that fix the free parameters is worth the logarithm of the range of lengths.
    Rows count only by their distinct lengths: a type's number and its fixed length rise and fall together.
    """
    holds = relation.holds(columns)[rows]
    lengths, counts = np.unique(columns.lengths[rows[holds]], return_counts=True)
    if len(lengths) < 2 or counts.sum() - counts.max() <= 3 * (~holds).sum():
        return False  # what differs from the usual length is no more than what contradicts
    span = min(max((int(lengths[-1]) - int(lengths[0])) // relation.scale + 1, 2), 256)
    exact = relation.scale == 1 and relation.bias in (0, relation.start + relation.width)
    bits = (len(lengths) - (0 if exact else 1)) * math.log2(span)
    if exact:
        return bits >= _CHANCE_BITS
    return bits >= (_CHANCE_BITS_HEADER if 0 < relation.bias <= FRONT else _CHANCE_BITS_FREE)


def _strangeness(relation: Affine, zero: NDArray[np.bool_]) -> float:
    """
    Return how unusual a reading is: the tie-breaker between readings that the messages cannot tell apart.

    They differ only in bytes that are always zero. Numbers of two and four bytes lie at multiples of their width more
    often than not, and a zero byte on the high side of a number mostly belongs to it.
    """
    start, width = relation.start, relation.width
    if relation.scale > 1 and width == 1:
        return 0.5
    base = (_ALIGNED if start % width == 0 else _ASKEW)[width]
    if width == 1:
        base += 0.8 * (_is_zero(zero, start + 1) or _is_zero(zero, start - 1))
    elif width == 2 and start % width:
        base += 0.3 * _is_zero(zero, start + width if relation.little else start - 1)
    return base + 0.25 * (relation.scale > 1) + 0.1 * relation.little


def _is_zero(zero: NDArray[np.bool_], place: int) -> bool:
    return place >= 0 and bool(zero[place])
