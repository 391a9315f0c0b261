"""Timestamps of clocks that are not set: they run as the capture's clock does, a fixed time beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..falsification import violation_lower_bound
from ..findings import Finding
from ..spec import quantise
from .claims import evidence_of
from .columns import Columns, Group, numbers
from .timestamp import EARLIEST, LATEST, WRONG_CLOCKS, Form, no_clock, passing, seconds_of

_DETECTOR = "timestamp"
_FORMS = frozenset({"ntp", "filetime", "unix_ns", "unix_us", "unix_ms", "unix_s", "ntp_s"})
_PACE = 2.0  # seconds by which a clock may stray from its flow's usual distance to the capture's
_MOVES = 8  # different seconds, in flows, without which nothing is seen to run
_FEWEST = 4  # messages of a flow that show how far its clock is off


def find_wrong_clocks(columns: Columns) -> list[Finding]:
    """Return times of plausible years that keep their distance from the capture's clock in each flow."""
    view = columns.sample.view
    if no_clock(view.ts).any() or not view.flow.any():
        return []
    findings: list[Finding] = []
    for group in columns.groups:
        for start, form, little in passing(columns, group, np.zeros(len(view.ts))):
            if form.name in _FORMS and not any(_overlaps(f, start, form, group) for f in findings):
                found = _finding(columns, group, start, form, little)
                findings += [found] if found is not None else []
    return findings


def _overlaps(finding: Finding, start: int, form: Form, group: Group) -> bool:
    return finding.claims(start, form.width) and bool(set(finding.types) & set(group.types))


def _finding(columns: Columns, group: Group, start: int, form: Form, little: bool) -> Finding | None:
    view, types = columns.sample.view, group.types
    rows = np.flatnonzero(columns.of_types(types) & (view.lengths >= start + form.width))
    seconds = seconds_of(numbers(columns.front[rows], start, form.width, little), form)
    paced = _paced(seconds, view.ts[rows], view.flow[rows], columns.sample.held_out[rows])
    if len(np.unique(np.floor(seconds[paced]))) < _MOVES:
        return None
    holds = np.zeros(len(view.ts), np.bool_)
    holds[rows] = paced
    statement = f"{form.name} at {start}, {'little' if little else 'big'}-endian, as far from the clock in all its flow"
    evidence = evidence_of(columns, holds, types, _DETECTOR, statement)
    held = evidence.held_out_trials
    wrong = violation_lower_bound(held - evidence.held_out_support, held, columns.settings.confidence)
    if evidence.support < (1 - WRONG_CLOCKS) * evidence.trials or wrong > WRONG_CLOCKS:
        return None
    evidence = evidence.model_copy(update={"epsilon": quantise(WRONG_CLOCKS)})
    return Finding(types, start, form.width, "timestamp", None, "little" if little else "big", evidence)


def _paced(
    seconds: NDArray[np.float64], ts: NDArray[np.float64], flow: NDArray[np.uint64], held: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return where a time keeps the usual distance that those of its flow which propose have from the capture's."""
    paced = np.zeros(len(seconds), np.bool_)
    plausible = (seconds >= EARLIEST) & (seconds <= LATEST)
    for one in np.unique(flow[flow > 0]).tolist():
        mine = np.flatnonzero((flow == one) & plausible)
        apart = seconds[mine] - ts[mine]
        known = apart[~held[mine]]
        if len(known) >= _FEWEST and np.ptp(np.floor(seconds[mine])) >= 1:
            paced[mine] = np.abs(apart - np.median(known)) <= _PACE
    return paced
