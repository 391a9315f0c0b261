"""Where the fields of a layout start in the sampled messages, and how well that agrees with the segmenter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .table import Ints, Table

STEPS = 256
DOUBT = 1 / 16  # the segmenter is never believed beyond this
WEIGHED = 256  # regions that are compared


@dataclass(frozen=True)
class Agreement:
    """``bits``: mean log2-likelihood of a region's field starts; ``starts``: their mean number."""

    bits: float
    starts: float


class Starts:
    """
    The offsets (in the payload bytes of all messages) at which fields start that a layout under construction reads.

    Several layouts of the same regions are tried; each records its own starts, those of the chosen one are kept.
    """

    def __init__(self) -> None:
        self._places: list[Ints] = []

    def add(self, table: Table, offset: int = 0) -> None:
        """Note a field ``offset`` bytes into every region that is longer."""
        start = table.start + offset
        self._places.append(start[start < table.end])

    def add_places(self, places: Ints) -> None:
        """Note fields at these offsets of the data."""
        self._places.append(places)

    def extend(self, other: Starts) -> None:
        """Note all that another layout noted."""
        self._places += other._places

    def agreement(self, table: Table) -> Agreement:
        """
        Return how likely the noted starts inside the regions are under the segmenter's probabilities.

        A region's own start says nothing; bytes without a probability do not count.
        """
        table = table.take(slice(0, WEIGHED))
        if table.chances is None or not len(table):
            return Agreement(0.0, 0.0)
        first, last = int(table.begin.min()), int(table.end.max())
        marked = np.zeros(max(last - first, 0) + 1, np.bool_)
        places = np.concatenate(self._places) if self._places else np.zeros(0, np.int64)
        marked[places[(places >= first) & (places < last)] - first] = True
        bounds = np.stack([table.row, table.begin, table.start, table.end])
        total, noted = _likelihood(table.chances, bounds, marked, first, _YES, _NO)
        return Agreement(float(total) / STEPS / len(table), float(noted) / len(table))


def likely(table: Table) -> Ints:
    """Return the offsets in the data at which the segmenter expects a boundary inside the regions."""
    if table.chances is None or not len(table):
        return np.zeros(0, np.int64)
    width = int(min(table.sizes.max(), table.chances.shape[1]))
    chances, known = table.chance(width)
    owner, offset = np.nonzero(known & (chances >= 0.5))
    places: Ints = table.start[owner] + offset
    return places


def _log_chances() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    chance = DOUBT + (1 - 2 * DOUBT) * np.arange(STEPS + 1) / STEPS
    yes, no = np.log2(chance), np.log2(1 - chance)
    return np.rint(yes * STEPS).astype(np.int64), np.rint(no * STEPS).astype(np.int64)


_YES, _NO = _log_chances()


@njit(cache=True, nogil=True)
def _likelihood(chances, bounds, marked, first, yes, no):  # type: ignore[no-untyped-def]
    """Return the sum over bytes inside regions, in 1/256 bits (whole numbers: no order matters), and the starts."""
    total, noted = np.int64(0), np.int64(0)
    for k in range(bounds.shape[1]):
        row, begin = bounds[0, k], bounds[1, k]
        for place in range(bounds[2, k] + 1, min(bounds[3, k], begin + chances.shape[1])):
            step = np.int64(chances[row, place - begin] * 256 + 0.5)
            total += yes[step] if marked[place - first] else no[step]
            noted += marked[place - first]
    return total, noted
