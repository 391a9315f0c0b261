"""Sequence numbers and clock ticks: numbers that mostly rise in a flow, by steps that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..falsification import violation_lower_bound
from ..findings import Finding
from ..spec import Constraint, Semantic, Timestamp, quantise
from .columns import FRONT, Columns, numbers
from .flows import Pairs, _step, consecutive, flow_groups, in_runs, pair_evidence

_SHAPES = [(1, False), *((w, e) for w in (2, 3, 4, 6, 8) for e in (False, True))]
_WIDTHS = np.array([w for w, _ in _SHAPES], np.int64)
_ORDERS = np.array([e for _, e in _SHAPES], np.bool_)
# The largest rise of a number of so many bytes: of random ones one in 32, 16 or 256 is no larger.
_LARGEST = np.array(
    [{1: 8, 2: 1 << 12, 3: 1 << 16, 4: 1 << 24, 6: 1 << 40, 8: 1 << 56}[w] for w, _ in _SHAPES], np.uint64
)
_FEWEST = 24  # pairs: a number whose low bytes are random rises in half of them
_OTHERS = 0.1  # pairs that do not rise: messages sent again, out of order, or of another sender
_STEADY = 0.75  # of the steps of a clock
_SLACK = 0.25
_WIDER = {1: (4, 2, 1), 2: (4, 2), 4: (4,), 8: (8,)}  # what zeros may make of a number
_MEANING: dict[bool, tuple[Semantic, Constraint | None]] = {
    False: ("counter", None), True: ("timestamp", Timestamp(form="uptime")),
}  # fmt: skip
_FEW = 4
_TICKS = 8.0  # steps of a clock are larger than those of messages that are counted


@dataclass(frozen=True)
class _Rising:
    """A number that rises between the pairs."""

    start: int
    width: int
    little: bool

    @property
    def low(self) -> int:
        """Offset of the least significant byte."""
        return self.start if self.little else self.start + self.width - 1

    @property
    def high(self) -> int:
        """Offset of the most significant byte."""
        return self.start + self.width - 1 if self.little else self.start

    def resized(self, width: int) -> _Rising:
        """Return the number of so many bytes with the same lowest one."""
        return _Rising(self.low if self.little else self.low - width + 1, width, self.little)

    def overlaps(self, other: _Rising) -> bool:
        """Return whether they share a byte."""
        return self.start < other.start + other.width and other.start < self.start + self.width


def find_rising(columns: Columns) -> list[Finding]:
    """
    Return numbers that rise in 90 of 100 pairs of neighbours of a flow and direction, of all types or of one.

    A number whose steps are in proportion to the time between its messages is an uptime (clock ticks), any other a
    sequence number. The claim is one about most pairs: it has no constraint that a message could break.
    """
    findings: list[Finding] = []
    for types, rows in flow_groups(columns):
        pairs = consecutive(columns, rows, True)
        for rising in _proposed(columns, pairs):
            taken = columns.claimed(rising.start, rising.width, types)
            near = any(
                f.start < rising.start + rising.width and rising.start < f.start + f.width and set(f.types) & set(types)
                for f in findings
            )
            if not taken and not near:
                findings += _finding(columns, types, rising, pairs)
    return findings


def _proposed(columns: Columns, pairs: Pairs) -> list[_Rising]:
    """Return the numbers that rise between the proposing pairs; of readings that share bytes the widest."""
    view = columns.sample.flows.view
    earlier, later = pairs.earlier[~pairs.held], pairs.later[~pairs.held]
    if len(later) < _FEWEST or in_runs(earlier, later) < _FEWEST // 2:
        return []
    front, limit = columns.flow_front, int(len(later) * _OTHERS)
    places = min(FRONT, int(np.quantile(view.lengths[later], 0.1, method="lower")))
    marked = _rises(front, view.lengths, earlier, later, places, _WIDTHS, _ORDERS, _LARGEST, limit)
    found = [_Rising(int(start), *_SHAPES[shape]) for start, shape in np.argwhere(marked)]
    varied = [r for r in _bounded(front, earlier, later, found, _order(columns)) if _varied(columns, r, later)]
    return [rising for rising in _apart(varied) if _is_closed(columns, rising, earlier, later)]


def _bounded(
    front: NDArray[np.uint8],
    earlier: NDArray[np.int64],
    later: NDArray[np.int64],
    found: list[_Rising],
    little: bool | None,
) -> list[_Rising]:
    """Return the numbers with their lowest and highest bytes, those in the usual byte order first, then the widest."""
    whole = [rising for rising in found if not any(_shorter(other, rising) for other in found)]
    proven = {cut for rising in whole for cut in _proven(front, earlier, later, rising, little)}
    return sorted(proven, key=lambda r: (r.little != bool(little), -r.width, r.start))


def _apart(ordered: list[_Rising]) -> list[_Rising]:
    """Return those of two bytes and more that share none with one before them."""
    kept: list[_Rising] = []
    for rising in ordered:
        if rising.width > 1 and not any(rising.overlaps(other) for other in kept):
            kept.append(rising)
    return kept


def _is_closed(columns: Columns, rising: _Rising, earlier: NDArray[np.int64], later: NDArray[np.int64]) -> bool:
    """
    Return whether the number ends with its highest byte.

    It is zero, or the next byte is seen to stay when it wraps around, or changes at other times, or takes few values in
    all messages: one that differs between flows and stays within each may be higher still.
    """
    front, place = columns.flow_front, rising.high + (1 if rising.little else -1)
    before, after = (numbers(front[rows], rising.start, rising.width, rising.little) for rows in (earlier, later))
    moved, wrapped = front[earlier, place] != front[later, place], after < before
    if place < 0 or not front[later, rising.high].any():
        return True
    if wrapped.sum() >= 2:
        return bool(2 * (moved & wrapped).sum() < wrapped.sum())
    return bool(moved.mean() > 0.01 or len(_values(columns.front, np.arange(len(columns.front)), place)) <= _FEW)


def _shorter(one: _Rising, other: _Rising) -> bool:
    """
    Return whether one number is the other without its lowest bytes; three bytes may be four at a multiple of four.

    What rises without its lowest byte does not need that byte.
    """
    same = (one.little == other.little or one.width == 1) and one.high == other.high and one.width < other.width
    return same and not (one.width == 3 and other.width == 4 and other.start % 4 == 0)


def _varied(columns: Columns, rising: _Rising, later: NDArray[np.int64]) -> bool:
    """Return whether it takes values enough that it does not just begin anew in each flow."""
    values = numbers(columns.flow_front[later], rising.start, rising.width, rising.little)
    return len(np.unique(values)) >= min(max(12, len(later) // 3), 128)


def _proven(
    front: NDArray[np.uint8], earlier: NDArray[np.int64], later: NDArray[np.int64], rising: _Rising, little: bool | None
) -> list[_Rising]:
    """
    Return the number with the high bytes that belong to it, nothing where its width stays open.

    A byte belongs to the bytes below it where it changes with nearly all steps, or just when they wrap around; above
    those, bytes that are always zero make up a number of 2 or 4 bytes at a multiple of 2, if read in the byte order of
    the other numbers (``little``). Three bytes are the low ones of four.
    """
    before, after = (
        numbers(front[rows], rising.start, rising.width, rising.little).astype(np.uint64) for rows in (earlier, later)
    )
    rises = (after > before) | (after < before // np.uint64(16))  # the others say nothing of carries
    before, after = before[rises], after[rises]
    if 2 * ((before ^ after) & np.uint64(255) > 0).sum() <= len(before):
        return []
    proven = 1
    while proven < rising.width and _carries(before, after, proven):
        proven += 1
    return _natural(front, later, rising, proven, rising.little == bool(little))


def _natural(
    front: NDArray[np.uint8], later: NDArray[np.int64], rising: _Rising, proven: int, usual: bool
) -> list[_Rising]:
    """Return the number of 2, 4 or 8 bytes around the proven ones; with zeros only in the ``usual`` byte order."""
    narrow = next(w for w in (1, 2, 4, 8) if w >= proven)
    for width in _WIDER[narrow] if usual else (narrow,):
        number = rising.resized(width)
        if _fits(number, narrow) and (proven == 3 or not _above(front, later, number, proven).any()):
            return [number]
    return []


def _fits(rising: _Rising, narrow: int) -> bool:
    """Return whether a number lies in the front, at a multiple of 2 where it is wider than needed."""
    inside = rising.start >= 0 and rising.start + rising.width <= FRONT
    return inside and (rising.width == narrow or rising.start % 2 == 0)


def _above(front: NDArray[np.uint8], rows: NDArray[np.int64], rising: _Rising, proven: int) -> NDArray[np.uint8]:
    """Return the bytes of a number above the proven ones."""
    end = rising.start + rising.width
    first, last = (rising.start + proven, end) if rising.little else (rising.start, end - proven)
    return front[rows, first:last]


def _carries(before: NDArray[np.uint64], after: NDArray[np.uint64], index: int) -> bool:
    """Return whether the byte of this index, from the lowest, counts how often the bytes below it wrap around."""
    below = np.uint64((1 << (8 * index)) - 1)
    shift = np.uint64(8 * index)
    changed = ((before >> shift) ^ (after >> shift)) & np.uint64(255) > 0
    wrapped = (after & below) < (before & below)
    if changed.mean() >= 1 - _OTHERS:
        return True
    large = float(np.median(after - before)) * 16 > float(below)  # steps that change the byte without a wrap, too
    all_of = wrapped if large else changed | wrapped
    return bool((changed & wrapped).sum() >= max(1.0, (1 - 2 * _OTHERS) * all_of.sum()))


def _values(front: NDArray[np.uint8], rows: NDArray[np.int64], place: int) -> list[int]:
    """Return the values of one byte, none before the message."""
    return [int(value) for value in np.unique(front[rows, place])] if place >= 0 else []


def _order(columns: Columns) -> bool | None:
    """Return whether the numbers that are known are little-endian, None where none shows it."""
    orders = [f.endianness for f in columns.kept if f.hard and f.endianness and f.width > 1]
    little = orders.count("little")
    return None if 2 * little == len(orders) else 2 * little > len(orders)


def _finding(columns: Columns, types: tuple[int, ...], rising: _Rising, pairs: Pairs) -> list[Finding]:
    """Judge one number by the held-out pairs."""
    view = columns.sample.flows.view
    full = np.uint64((1 << (8 * rising.width)) - 1)
    before, after = (
        numbers(columns.flow_front[rows], rising.start, rising.width, rising.little)
        for rows in (pairs.earlier, pairs.later)
    )
    rise = (after - before) & full
    largest = _LARGEST[_SHAPES.index((rising.width, rising.little))]
    reach = np.minimum(view.lengths[pairs.earlier], view.lengths[pairs.later]) >= rising.start + rising.width
    holds = reach & (rise > 0) & (rise <= largest)
    clock = rising.width >= 4 and _is_clock(rise, view.ts[pairs.later] - view.ts[pairs.earlier], pairs, view.flow)
    statement = f"u{8 * rising.width} at {rising.start} rises {'with time ' if clock else ''}in its flow and direction"
    evidence = pair_evidence(columns, pairs, holds, "uptime" if clock else "sequence", statement, _OTHERS)
    held = evidence.held_out_trials
    if violation_lower_bound(held - evidence.held_out_support, held, columns.settings.confidence) > _OTHERS:
        return []
    semantic, constraint = _MEANING[clock]
    order: Literal["big", "little"] = "little" if rising.little else "big"
    return [Finding(types, rising.start, rising.width, semantic, constraint, order, evidence)]


def _is_clock(rise: NDArray[np.uint64], seconds: NDArray[np.float64], pairs: Pairs, flow: NDArray[np.uint64]) -> bool:
    """Return whether most steps are the flow's usual rate times the seconds between, and these differ."""
    known = ~np.isnan(seconds) & (seconds > 1e-6) & (rise > 0)
    rates = np.where(known, rise.astype(np.float64) / np.where(known, seconds, 1.0), 0.0)
    steady = np.zeros(len(rise), np.bool_)
    lanes = flow[pairs.later]
    for lane in np.unique(lanes[known]):
        members = known & (lanes == lane)
        usual = float(np.median(rates[members]))
        expected = usual * seconds[members]
        steady[members] = np.abs(rise[members] - expected) <= _SLACK * np.maximum(rise[members], expected)
    if known.sum() < _FEWEST or float(np.median(rise[known])) < _TICKS:
        return False
    varied = quantise(float(np.std(seconds[known])) / max(float(np.mean(seconds[known])), 1e-9)) > _SLACK
    return bool(varied and steady.sum() >= _STEADY * known.sum() and known.mean() >= 0.5)


@njit(cache=True, nogil=True)
def _rises(front, lengths, earlier, later, places, widths, orders, largest, limit):  # type: ignore[no-untyped-def]
    """Return bool (places, shapes): whether all pairs but at most ``limit`` rise by a small step."""
    marked = np.zeros((places, len(widths)), np.bool_)
    for offset in range(places):
        for shape in range(len(widths)):
            marked[offset, shape] = _all_rise(
                front, lengths, earlier, later, offset, widths[shape], orders[shape], largest[shape], limit
            )
    return marked


@njit(cache=True, nogil=True)
def _all_rise(front, lengths, earlier, later, offset, width, little, largest, limit):  # type: ignore[no-untyped-def]
    violations = 0
    for pair in range(len(earlier)):
        shorter = min(lengths[earlier[pair]], lengths[later[pair]])
        step = _step(front, earlier[pair], later[pair], offset, width, little)
        if shorter < offset + width or step == 0 or step > largest:
            violations += 1
            if violations > limit:
                return False
    return True
