"""Echoes: bytes that a response repeats from its request while they change from exchange to exchange."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..falsification import violation_lower_bound
from ..findings import Finding
from .columns import FRONT, Columns, numbers
from .flows import Pairs, exchanges, pair_evidence, types_of_flow_rows

_DETECTOR = "echo"
_FEWEST = 8
_WIDTHS = (8, 4, 2, 1)
_MISSING = 0.25  # responses whose request was not captured, or that answer another one


def find_echoes(columns: Columns) -> list[Finding]:
    """
    Return transaction identifiers: equal in request and response, mostly different in the next exchange.

    Bytes that never change are no part of them; a run of echoing bytes of 1, 2, 4 or 8 bytes is one identifier, any
    other run is left to the boundaries. The claim is one about most exchanges, since captures miss requests.
    """
    pairs = exchanges(columns)
    if len(pairs.later) < _FEWEST:
        return []
    front, lengths = columns.flow_front, columns.sample.flows.view.lengths
    shorter = np.minimum(lengths[pairs.earlier], lengths[pairs.later])
    places = min(FRONT, int(np.quantile(shorter, 0.1, method="lower")))
    before, after = front[pairs.earlier, :places], front[pairs.later, :places]
    repeats = (before == after).mean(axis=0) >= 1 - _MISSING
    varied = np.array([len(np.unique(after[:, c])) for c in range(places)])
    findings = []
    for start, width in _runs(repeats & (varied >= 4)):
        finding = _finding(columns, pairs, start, width)
        if finding is not None:
            findings.append(finding)
    return findings


def _runs(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, width) of each run of marked columns."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(start), int(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _finding(columns: Columns, pairs: Pairs, start: int, width: int) -> Finding | None:
    """Judge one run: many values, none of them text, and the held-out exchanges do not show more misses."""
    if width not in _WIDTHS:
        return None
    front = columns.flow_front
    before = numbers(front[pairs.earlier], start, width, False)
    after = numbers(front[pairs.later], start, width, False)
    distinct = len(np.unique(after))
    octets = front[pairs.later, start : start + width]
    if distinct < max(_FEWEST, len(after) // 4) or ((octets >= 32) & (octets < 127)).mean() > 0.8:
        return None  # a kind of request, or a name that it asks for
    statement = f"{width} bytes at {start} repeat those of the request; {distinct} values in {len(after)} exchanges"
    evidence = pair_evidence(columns, pairs, before == after, _DETECTOR, statement, _MISSING)
    held = evidence.held_out_trials
    missing = violation_lower_bound(held - evidence.held_out_support, held, columns.settings.confidence)
    if missing > _MISSING or evidence.support < (1 - _MISSING) * evidence.trials:
        return None
    types = types_of_flow_rows(columns, np.concatenate([pairs.earlier, pairs.later]))
    return Finding(types, start, width, "identifier", None, None, evidence)
