"""Are messages nothing but random bytes? A test on equal bytes, at one offset of messages and inside each message."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView

DEVIATIONS = 5.0


@njit(cache=True, nogil=True)
def _equal_pairs(data, starts, lengths, width):  # type: ignore[no-untyped-def]
    """Return pairs of equal bytes found, and pairs compared, over columns and over messages."""
    columns = np.zeros((width, 256), np.int64)
    sizes = np.zeros(width, np.int64)
    found = compared = 0
    for row in range(len(starts)):
        inside = np.zeros(256, np.int64)
        for column in range(lengths[row]):
            value = data[starts[row] + column]
            found += columns[column, value] + inside[value]
            compared += sizes[column] + column
            columns[column, value] += 1
            sizes[column] += 1
            inside[value] += 1
    return found, compared


def looks_random(view: MessageView, lengths: NDArray[np.int64]) -> bool:
    """
    Return whether equal bytes are no more frequent than among uniformly random ones.

    The pairs of equal bytes are compared with their mean under uniformity, compared / 256, which is nearly their
    variance as well: random while they pass it by less than ``DEVIATIONS`` standard deviations (and one pair).

    Args:
        lengths: int64, bytes of each message that count.
    """
    width = int(lengths.max(initial=0))
    found, compared = _equal_pairs(view.data, view.starts, lengths, width)
    expected = compared / 256
    return bool(found - expected < DEVIATIONS * np.sqrt(expected + 1))
