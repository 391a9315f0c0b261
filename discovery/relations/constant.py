"""Constants at the front of every message: hints, since a run of constant bytes need not be one field."""

from __future__ import annotations

import numpy as np

from ..findings import Finding
from ..spec import Constant, Semantic
from .claims import evidence_of, stands, types_that_hold
from .columns import FRONT, Columns

_DETECTOR = "constant"
_FEWEST = 8


def find_constants(columns: Columns) -> list[Finding]:
    """Return the runs of bytes that are the same in all messages; one at the front, if not zero, is the magic."""
    if not columns.groups or len(columns.groups[0].proposing) < _FEWEST:
        return []
    rows = columns.groups[0].proposing
    places = min(FRONT, int(np.quantile(columns.lengths[rows], 0.02, method="lower")))
    usual = np.median(columns.front[rows, :places], axis=0).astype(np.uint8)
    same = (columns.front[:, :places] == usual) & (columns.lengths[:, None] > np.arange(places))
    constant = same[rows].mean(axis=0) > 1 - columns.settings.epsilon
    edges = np.flatnonzero(np.diff(np.concatenate([[False], constant, [False]]).astype(np.int8)))
    findings = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        holds = same[:, start:end].all(axis=1)
        value = usual[start:end].tobytes()
        types = types_that_hold(columns, holds, range(columns.n_types))
        evidence = evidence_of(columns, holds, types, _DETECTOR, f"bytes {value.hex()} at {start}")
        if types and stands(evidence, columns.settings):
            semantic: Semantic = "magic" if start == 0 and any(value) else "constant"
            constraint = Constant(value=value)
            findings.append(Finding(types, int(start), len(value), semantic, constraint, None, evidence, hard=False))
    return findings
