"""Are messages nothing but random bytes? Tests on equal bytes, by offset and inside each message, and on top bits."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView

PAIR_DEVIATIONS = 5.0
LOW_DEVIATIONS = 4.0


@njit(cache=True, nogil=True)
def _equal_pairs(data, starts, lengths, width):  # type: ignore[no-untyped-def]
    """Return pairs of equal bytes found, and pairs compared, over columns and over messages; bytes, those below 128."""
    columns = np.zeros((width, 256), np.int64)
    sizes = np.zeros(width, np.int64)
    found = compared = low = 0
    for row in range(len(starts)):
        inside = np.zeros(256, np.int64)
        for column in range(lengths[row]):
            value = data[starts[row] + column]
            found += columns[column, value] + inside[value]
            compared += sizes[column] + column
            columns[column, value] += 1
            sizes[column] += 1
            inside[value] += 1
            low += value < 128
    return found, compared, sizes.sum(), low


def looks_random(view: MessageView, lengths: NDArray[np.int64]) -> bool:
    """
    Return whether equal bytes and bytes below 128 are no more frequent than among uniformly random ones.

    The pairs of equal bytes have the mean compared / 256 under uniformity, which is nearly their variance as well, and
    half of the bytes are below 128 (binomial): random while both pass their means by less than the stated numbers of
    standard deviations.

    Args:
        lengths: int64, bytes of each message that count.
    """
    width = int(lengths.max(initial=0))
    found, compared, size, low = _equal_pairs(view.data, view.starts, lengths, width)
    expected = compared / 256
    pairs = found - expected < PAIR_DEVIATIONS * np.sqrt(expected + 1)
    return bool(pairs and low - size / 2 < LOW_DEVIATIONS * np.sqrt(size / 4))
