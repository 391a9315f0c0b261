"""Boundaries that findings prove: certain at both ends of a run of bytes, none inside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding


def obey(
    probabilities: NDArray[np.float32],
    lengths: NDArray[np.int64],
    type_of_row: NDArray[np.int32],
    findings: Sequence[Finding],
) -> None:
    """
    Write the hard findings into ``probabilities`` ((messages, offsets) float32, in place), inside before ends.

    A run that does not fit a message says nothing about that message; offset 0 and the message's end stay 0.
    """
    hard = [finding for finding in findings if finding.hard]
    for value, ends in ((0.0, False), (1.0, True)):
        for finding in hard:
            rows = np.flatnonzero(np.isin(type_of_row, finding.types))
            for first, width in _runs(finding, probabilities.shape[1]):
                starts = np.where(first >= 0, first, lengths[rows] + first)
                fits = (starts >= 0) & (starts + width <= lengths[rows])
                for step in (0, width) if ends else range(1, width):
                    at = starts[fits] + step
                    inside = (at > 0) & (at < lengths[rows[fits]]) & (at < probabilities.shape[1])
                    probabilities[rows[fits][inside], at[inside]] = value


def _runs(finding: Finding, width: int) -> list[tuple[int, int]]:
    """Return (start, width) of the runs of bytes that it claims below an offset."""
    if not finding.block:
        return [(finding.start, finding.width)]
    places = range(finding.start + finding.block, width, finding.block + finding.width)
    last = -finding.width  # the last block is shorter
    return [(finding.start, 0), *((at, finding.width) for at in places), (last, finding.width)]
