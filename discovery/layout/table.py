"""The cursor table: where each region starts and ends, whatever variable fields lie before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Spans = frozenset[tuple[int, int]]  # (start, width) of runs of bytes that are one field each
NO_SPANS: Spans = frozenset()


@dataclass(frozen=True)
class Table:
    """
    Regions of messages: region ``i`` is ``data[start[i] : end[i]]`` of message ``row[i]``, which is at ``begin[i]``.

    Attributes:
        data: uint8, all payload bytes.
        chances: (messages, offsets) float32, the segmenter's probability of a boundary before each byte, or None.
        row: int64, index into ``chances``; a message can own several regions (the items of a repeat).
        begin, start, end: int64, offsets into ``data``.
        held: bool, regions of messages kept back from proposing.
    """

    data: Bytes
    chances: NDArray[np.float32] | None
    row: Ints
    begin: Ints
    start: Ints
    end: Ints
    held: Bools

    def __len__(self) -> int:
        return len(self.row)

    @property
    def sizes(self) -> Ints:
        """Bytes of each region."""
        return self.end - self.start

    def take(self, rows: Ints | Bools | slice) -> Table:
        """Return the chosen regions."""
        return Table(
            self.data, self.chances, self.row[rows], self.begin[rows], self.start[rows], self.end[rows], self.held[rows]
        )

    def proposing(self, limit: int | None = None) -> Table:
        """Return the first ``limit`` regions that may propose."""
        return self.take(np.flatnonzero(~self.held)[:limit])

    def between(self, start: Ints, end: Ints) -> Table:
        """Return the same regions with other bounds."""
        return Table(self.data, self.chances, self.row, self.begin, start, end, self.held)

    def after(self, size: int | Ints) -> Table:
        """Return what is left of each region behind its first ``size`` bytes; regions that are shorter are left out."""
        table = self.between(self.start + size, self.end)
        return table.take(table.start <= table.end)

    def window(self, width: int) -> tuple[Bytes, Bools]:
        """Return the first ``width`` bytes of each region (n, width) and the mask of bytes that exist."""
        found = np.zeros((len(self), width), np.uint8)
        _window(self.data, self.start, self.end, found)
        return found, np.arange(width) < self.sizes[:, None]

    def shortest(self, share: float = 0.05) -> int:
        """Return the size that all but ``share`` of the regions have, or more."""
        index = int(share * (len(self) - 1))
        return int(np.partition(self.sizes, index)[index])

    def chance(self, width: int) -> tuple[NDArray[np.float32], Bools]:
        """Return the probability of a boundary before each of the first ``width`` bytes, and where it is known."""
        return self._chances(self.start - self.begin, np.arange(width, dtype=np.int64), self.sizes)

    def _chances(self, origin: Ints, offsets: Ints, sizes: Ints) -> tuple[NDArray[np.float32], Bools]:
        return self._look_up(origin[:, None] + offsets, offsets < sizes[:, None])

    def _look_up(self, place: Ints, exists: Bools) -> tuple[NDArray[np.float32], Bools]:
        if self.chances is None:
            return np.zeros(place.shape, np.float32), np.zeros(place.shape, np.bool_)
        known = exists & (place < self.chances.shape[1])
        found = self.chances[self.row[:, None], np.where(known, place, 0)]
        found[~known] = 0
        return found, known


@njit(cache=True, nogil=True)
def _window(data, start, end, found):  # type: ignore[no-untyped-def]
    for row in range(len(start)):
        for place in range(min(end[row] - start[row], found.shape[1])):
            found[row, place] = data[start[row] + place]


def joined(tables: list[Table]) -> Table:
    """Return the regions of several tables over the same messages, in the order of the messages."""
    columns = ("row", "begin", "start", "end", "held")
    whole = replace(tables[0], **{name: np.concatenate([getattr(table, name) for table in tables]) for name in columns})
    return whole.take(np.argsort(whole.row, kind="stable"))
