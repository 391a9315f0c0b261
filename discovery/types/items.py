"""Items that fill messages from a column on, tagged or counted: no column inside them is a key of the message."""

from __future__ import annotations

from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..keyed import LONGEST, LONGEST_KEY, behind_keyed
from .columns import FRONT, MISSING, Columns

MESSAGES = 256  # that are read
FILLED = 0.9  # of those that end in front, from which items count as found
MIN_LENGTHS = 3  # of the messages that items explain; fewer fit by chance
SEVERAL = 0.25  # of the messages, that must hold more than one item

TAILS = (0, 1, 2, 4)  # bytes of a trailer behind the items
# Bytes of the tag, of the length, its order; then whether it counts the whole item, and the trailer.
_SIZES = ((1, 1, 0), (1, 2, 0), (2, 1, 0), (2, 2, 0), (2, 2, 1))
FORMS = np.array([(*sizes, whole, tail) for sizes, whole, tail in product(_SIZES, (0, 1), TAILS)], np.int64)


def begins_items(columns: Columns, offset: int) -> bool:
    """Return whether tagged or counted items fill nearly all messages from this column on."""
    short = np.flatnonzero((columns.lengths <= FRONT) & (columns.lengths > offset))[:MESSAGES]
    values, lengths = np.ascontiguousarray(columns.values[:, short]), columns.lengths[short]
    if len(np.unique(lengths)) < MIN_LENGTHS:
        return False
    counts = np.zeros((len(FORMS), len(lengths)), np.int64)
    _count_items(values, lengths, offset, FORMS, counts)
    return any(_fill(row, lengths) for row in (*counts, _count_records(values[offset], lengths - offset - 1)))


def lies_in_keyed(columns: Columns, offset: int) -> bool:
    """
    Return whether values behind varint keys fill nearly all messages from before this column on.

    The first key and the first byte of its value may still tell the types.
    """
    read = np.flatnonzero(columns.lengths > offset)[:MESSAGES]
    values, lengths = np.ascontiguousarray(columns.values[:, read]), columns.lengths[read]
    counts = np.zeros((max(offset - 1, 0), len(lengths)), np.int64)
    _count_keyed(values, lengths, counts)
    return len(np.unique(lengths)) >= MIN_LENGTHS and any(_fill(row, lengths) for row in counts)


def _fill(items: NDArray[np.int64], lengths: NDArray[np.int64]) -> bool:
    filled = items > 0
    several = (items > 1).mean() >= SEVERAL and filled.mean() >= FILLED
    return bool(several) and len(np.unique(lengths[filled])) >= MIN_LENGTHS


def _count_records(counts: NDArray[np.int16], behind: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many records a column counts, where records of two bytes or more fill what is behind it, else 0."""
    best = np.zeros(len(behind), np.int64)
    known = (counts > 0) & (counts < MISSING)
    for tail in TAILS:
        sizes = (behind - tail)[known] / counts[known]
        whole = sizes[(sizes >= 2) & (sizes == np.floor(sizes))]
        if len(whole):
            found, times = np.unique(whole, return_counts=True)
            fits = known & (behind - tail == counts * found[times.argmax()])
            best = max(best, np.where(fits, counts, 0).astype(np.int64), key=np.count_nonzero)
    return best


@njit(cache=True, nogil=True)
def _count_items(values, lengths, offset, forms, counts):  # type: ignore[no-untyped-def]
    """Write how many items of each form fill each message; 0 where they do not end with it, or most are empty."""
    for f in range(len(forms)):
        tag, width, little, whole, tail = forms[f]
        for row in range(len(lengths)):
            at, end, items, empty = offset, lengths[row] - tail, 0, 0
            while at + tag + width <= end:
                size = np.int64(values[at + tag, row])
                if width == 2:
                    other = np.int64(values[at + tag + 1, row])
                    size = other << 8 | size if little else size << 8 | other
                step = max(size, tag + width) if whole else size + tag + width
                at += step
                items += 1
                empty += step == tag + width
            counts[f, row] = items if at == end and 2 * empty <= items else 0


@njit(cache=True, nogil=True)
def _count_keyed(values, lengths, counts):  # type: ignore[no-untyped-def]
    """Write how many keyed values fill each message, or what is read of it, from each column on; 0: they do not."""
    for offset in range(len(counts)):
        for row in range(len(lengths)):
            known = lengths[row] if lengths[row] <= len(values) else len(values) - LONGEST_KEY - LONGEST
            at, items = offset, 0
            while 0 <= at < known:
                at = behind_keyed(values[:, row], at, lengths[row])
                items += 1
            counts[offset, row] = items if at >= 0 else 0
