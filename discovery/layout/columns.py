"""What every column of some regions is like, read once for all fields: entropy, zeros, text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .table import Table


@dataclass(frozen=True)
class Columns:
    """
    Facts of the columns of some regions (one entry a column).

    Attributes:
        rows: int64, rows that have the column; zeros, printable: int64, rows in which it is 0, is printable ASCII.
        entropy: float64 bits, multiples of 1/256.
    """

    rows: NDArray[np.int64]
    zeros: NDArray[np.int64]
    printable: NDArray[np.int64]
    entropy: NDArray[np.float64]


def columns_of(table: Table, width: int, first: int = 0) -> Columns:
    """Return the facts of the first ``width`` columns of the regions; those before ``first`` are left at zero."""
    counts, entropy = np.zeros((3, width), np.int64), np.zeros(width)
    _read(table.data, table.start, table.end, first, counts, entropy)
    return Columns(counts[0], counts[1], counts[2], np.round(entropy * 256) / 256)


@njit(cache=True, nogil=True)
def _read(data, start, end, first, counts, entropy):  # type: ignore[no-untyped-def]
    histogram = np.zeros(256, np.int64)
    for column in range(first, len(entropy)):
        histogram[:] = 0
        for row in range(len(start)):
            if start[row] + column < end[row]:
                histogram[data[start[row] + column]] += 1
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
