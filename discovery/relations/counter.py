"""Counters: numbers that rise by one constant step from message to message of a flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..spec import Counter
from .claims import stands, tolerated
from .columns import FRONT, Columns, numbers
from .flows import Pairs, consecutive, flow_groups, in_runs, pair_evidence, steps_agree

_DETECTOR = "counter"
_SHAPES = [(1, False), (2, False), (2, True), (4, False), (4, True), (8, False), (8, True)]
_WIDTHS = np.array([w for w, _ in _SHAPES], np.int64)
_ORDERS = np.array([e for _, e in _SHAPES], np.bool_)
_FEWEST_PAIRS = 8
_FEWEST_RUNS = 6


@dataclass(frozen=True)
class _Rising:
    """A number that rises by ``step`` between the pairs."""

    types: tuple[int, ...]
    start: int
    width: int
    little: bool
    step: int
    per_direction: bool


def find_counters(columns: Columns) -> list[Finding]:
    """Return the counters of all messages (of both directions, or of each), then those of single types."""
    findings: list[Finding] = []
    for types, rows in flow_groups(columns):
        for per_direction in (True, False):
            pairs = consecutive(columns, rows, per_direction)
            if len(pairs.later) < _FEWEST_PAIRS:
                continue
            for rising in _proposed(columns, types, pairs, per_direction):
                taken = columns.claimed(rising.start, rising.width, rising.types)
                if not taken and not any(_overlap(rising, f) for f in findings):
                    findings += _finding(columns, rising, pairs)
    return findings


def _proposed(columns: Columns, types: tuple[int, ...], pairs: Pairs, per_direction: bool) -> list[_Rising]:
    """Return the numbers that rise between the proposing pairs, the widest first."""
    view = columns.sample.flows.view
    proposing = ~pairs.held
    earlier, later = pairs.earlier[proposing], pairs.later[proposing]
    if len(later) < _FEWEST_PAIRS or in_runs(earlier, later) < _FEWEST_RUNS:
        return []
    places = min(FRONT, int(view.lengths[later].min()))
    limit = tolerated(len(later), columns.settings)
    steps = steps_agree(columns.flow_front, view.lengths, earlier, later, places, _WIDTHS, _ORDERS, limit)
    rising = []
    for start, shape in np.argwhere(steps):
        width, little = _SHAPES[shape]
        step = int(steps[start, shape])
        step -= (1 << (8 * width)) if step >> (8 * width - 1) else 0
        candidate = _Rising(types, int(start), width, little, step, per_direction)
        if abs(step) < 1 << 16 and (width == 1 or step % 256 != 0):
            rising.append(candidate)
    return sorted(rising, key=lambda r: (-r.width, r.start))


def _proven(front: NDArray[np.uint8], earlier: NDArray[np.int64], later: NDArray[np.int64], rising: _Rising) -> bool:
    """
    Return whether it takes at least four values and does not just alternate, and its high half is part of it.

    The high half is where a carry was seen to reach it, or, of at most four bytes at a multiple of their number, where
    it is zero.
    """
    values = numbers(front[later], rising.start, rising.width, rising.little)
    modulus = 1 << (8 * rising.width)
    if len(np.unique(values)) < 4 or rising.step * 4 % modulus == 0:
        return False
    if rising.width == 1:
        return True
    before = numbers(front[earlier], rising.start, rising.width, rising.little)
    rose = ((values - before) & np.uint64(modulus - 1)) == np.uint64(rising.step % modulus)
    half = np.uint64(4 * rising.width)
    carried = bool(((before >> half) != (values >> half))[rose].any())
    zero = not (values >> half).any()
    return carried or (zero and rising.start % rising.width == 0 and rising.width <= 4)


def _overlap(rising: _Rising, finding: Finding) -> bool:
    near = rising.start < finding.start + finding.width and finding.start < rising.start + rising.width
    return near and bool(set(rising.types) & set(finding.types))


def _finding(columns: Columns, rising: _Rising, pairs: Pairs) -> list[Finding]:
    """Return the counter if its carries prove the width and no message refutes it."""
    front, lengths = columns.flow_front, columns.sample.flows.view.lengths
    if not _proven(front, pairs.earlier[~pairs.held], pairs.later[~pairs.held], rising):
        return []
    full = np.uint64((1 << (8 * rising.width)) - 1)
    before, after = (
        numbers(front[rows], rising.start, rising.width, rising.little) for rows in (pairs.earlier, pairs.later)
    )
    reach = rising.start + rising.width
    long_enough = (lengths[pairs.earlier] >= reach) & (lengths[pairs.later] >= reach)
    holds = (((after - before) & full) == np.uint64(rising.step % (1 << (8 * rising.width)))) & long_enough
    flow = "flow and direction" if rising.per_direction else "flow"
    statement = f"u{8 * rising.width} at {rising.start} rises by {rising.step} in its {flow}"
    evidence = pair_evidence(columns, pairs, holds, _DETECTOR, statement)
    if not stands(evidence, columns.settings):
        return []
    order: Literal["big", "little"] | None = None
    if rising.width > 1:
        order = "little" if rising.little else "big"
    constraint = Counter(step=rising.step, per_direction=rising.per_direction)
    return [Finding(rising.types, rising.start, rising.width, "counter", constraint, order, evidence)]
