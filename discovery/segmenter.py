"""The seam between inference and whatever finds boundaries: statistics today, networks next to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .findings import Finding
from .sample import Sample


class Segmenter(Protocol):
    """Gives every byte position of every message the probability that a field ends before it."""

    name: str

    def boundary_probabilities(
        self, sample: Sample, type_of_row: NDArray[np.int32], findings: Sequence[Finding]
    ) -> NDArray[np.float32]:
        """
        Return (messages, offsets) float32: [i, b] is the probability of a boundary before byte b of message i.

        Offsets run to min(longest message, 512). Values are multiples of 1/256; column 0 and positions at or past
        the end of a message are 0. Rows of one type may differ (a learned segmenter reads each message).
        """
        ...
