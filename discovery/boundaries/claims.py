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
            starts = np.where(finding.start >= 0, finding.start, lengths[rows] + finding.start)
            fits = (starts >= 0) & (starts + finding.width <= lengths[rows])
            rows, starts = rows[fits], starts[fits]
            for step in (0, finding.width) if ends else range(1, finding.width):
                at = starts + step
                inside = (at > 0) & (at < lengths[rows]) & (at < probabilities.shape[1])
                probabilities[rows[inside], at[inside]] = value
