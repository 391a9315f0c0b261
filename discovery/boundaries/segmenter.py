"""StatisticalSegmenter: boundaries from statistics of the columns of a type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..sample import Sample
from .claims import obey

MAX_OFFSETS = 512


class StatisticalSegmenter:
    """Finds boundaries where the entropy of a type's columns falls or a constant column ends."""

    name = "statistical"

    def boundary_probabilities(
        self, sample: Sample, type_of_row: NDArray[np.int32], findings: Sequence[Finding]
    ) -> NDArray[np.float32]:
        """Return (messages, offsets) float32 probabilities of a boundary before each byte, multiples of 1/256."""
        lengths = sample.view.lengths
        width = int(min(lengths.max(initial=0), MAX_OFFSETS))
        probabilities = np.zeros((len(sample.view), width), np.float32)
        front, exists = sample.view.front(width)
        for kind in np.unique(type_of_row):
            rows = np.flatnonzero(type_of_row == kind)
            probabilities[rows] = _columns(front[rows], exists[rows])[None, :]
        probabilities[~exists] = 0
        probabilities[:, :1] = 0
        obey(probabilities, lengths, type_of_row, findings)
        return probabilities


def _columns(front: NDArray[np.uint8], exists: NDArray[np.bool_]) -> NDArray[np.float32]:
    entropies = np.zeros(front.shape[1])
    for column in range(front.shape[1]):
        counts = np.unique(front[exists[:, column], column], return_counts=True)[1]
        shares = counts / max(1, counts.sum())
        entropies[column] = -(shares * np.log2(np.maximum(shares, 1e-9))).sum()
    step = np.diff(entropies, prepend=0.0)
    found = (step < -0.8) | ((step > 0.8) & (np.concatenate([[0.0], entropies[:-1]]) < 0.1))
    return np.where(found, 0.75, 0.25).astype(np.float32)


def default_segmenter() -> StatisticalSegmenter:
    """Return the segmenter that the package ships."""
    return StatisticalSegmenter()
