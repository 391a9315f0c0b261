"""What every column of a window of bytes is like, read once for all fields: entropy, zeros, text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .table import Bools, Bytes


@dataclass(frozen=True)
class Columns:
    """
    Facts of the columns of a window (one entry a column).

    Attributes:
        rows: int64, rows that have the column; zeros, printable: int64, rows in which it is 0, is printable ASCII.
        entropy: float64 bits, multiples of 1/256.
    """

    rows: NDArray[np.int64]
    zeros: NDArray[np.int64]
    printable: NDArray[np.int64]
    entropy: NDArray[np.float64]


def columns_of(window: Bytes, exists: Bools) -> Columns:
    """Return the facts of the columns of a window (n, width), reading the bytes that exist."""
    width = window.shape[1]
    counts, entropy = np.zeros((3, width), np.int64), np.zeros(width)
    _read(np.ascontiguousarray(window), np.ascontiguousarray(exists), counts, entropy)
    return Columns(counts[0], counts[1], counts[2], np.round(entropy * 256) / 256)


@njit(cache=True, nogil=True)
def _read(window, exists, counts, entropy):  # type: ignore[no-untyped-def]
    histogram = np.zeros(256, np.int64)
    for column in range(window.shape[1]):
        histogram[:] = 0
        for row in range(window.shape[0]):
            if exists[row, column]:
                histogram[window[row, column]] += 1
        total = histogram.sum()
        counts[0, column] = total
        counts[1, column] = histogram[0]
        counts[2, column] = histogram[32:127].sum()
        if total:
            bits = 0.0
            for count in histogram:
                if count:
                    bits -= count * np.log2(count / total)
            entropy[column] = bits / total
