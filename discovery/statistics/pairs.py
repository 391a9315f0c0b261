"""Adjacent bytes: how often each pair of values stands at each offset."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .statistic import Arrays, require, take_array

OFFSETS = 256
EXACT = 4096  # distinct pairs that an offset holds exactly
CELLS_LOG2 = 13
CELLS = 1 << CELLS_LOG2  # of an offset that has more
_TILE = 64  # rows whose bytes are turned into columns together
_SORTED = 1024  # so many distinct pairs are sorted; of more, the table of all pairs is read
_ODD = 2654435769  # 2**32 / golden ratio (Knuth 6.4)


@njit(cache=True, nogil=True)
def _cell(pair):  # type: ignore[no-untyped-def]
    return ((np.int64(pair) * _ODD) & 0xFFFFFFFF) >> (32 - CELLS_LOG2)


@njit(cache=True, nogil=True)
def _columns(data, starts, lengths, order, reach):  # type: ignore[no-untyped-def]
    """Return the bytes by offset, of the rows in this order, so that each offset's lie side by side."""
    columns = np.empty((reach, len(order)), np.uint8)
    for first in range(0, len(order), _TILE):
        last = min(first + _TILE, len(order))
        for offset in range(reach):
            if lengths[order[first]] <= offset:
                break  # the longest come first
            for i in range(first, last):
                row = order[i]
                if lengths[row] <= offset:
                    break
                columns[offset, i] = data[starts[row] + offset]
    return columns


@njit(cache=True, nogil=True)
def _distinct(first, second, table, found):  # type: ignore[no-untyped-def]
    """Count pairs in ``table``, put the distinct ones into ``found`` in ascending order, and return how many."""
    size = 0
    for i in range(len(first)):
        seen = np.int64(first[i]) << 8 | np.int64(second[i])
        if not table[seen]:
            found[size] = seen
            size += 1
        table[seen] += 1
    if size <= _SORTED:
        found[:size].sort()
        return size
    used = np.zeros(256, np.bool_)
    for i in range(size):
        used[found[i] >> 8] = True
    size = 0
    for high in range(256):
        if used[high]:
            for pair in range(high << 8, (high + 1) << 8):
                if table[pair]:
                    found[size] = pair
                    size += 1
    return size


@njit(cache=True, nogil=True)
def _count(columns, rows, place, cells, codes, counts, wide):  # type: ignore[no-untyped-def]
    """
    Count the pairs of columns: of hashed offsets into their cells, of others as (code, count), ascending.

    Offsets that have more than ``EXACT`` here alone are marked in ``wide`` and left out. Returns how many codes.
    """
    table, found = np.zeros(1 << 16, np.int32), np.empty(columns.shape[1], np.uint16)
    total = 0
    for offset in range(len(rows)):
        first, second = columns[offset, : rows[offset]], columns[offset + 1, : rows[offset]]
        if place[offset] >= 0:
            own = cells[place[offset]]
            for i in range(len(first)):
                own[_cell(np.int64(first[i]) << 8 | np.int64(second[i]))] += 1
            continue
        size = _distinct(first, second, table, found)
        wide[offset] = size > EXACT
        for i in range(size):
            if size <= EXACT:
                codes[total] = offset << 16 | np.int64(found[i])
                counts[total] = table[found[i]]
                total += 1
            table[found[i]] = 0
    return total


@njit(cache=True, nogil=True)
def _join(codes, counts, more, weights):  # type: ignore[no-untyped-def]
    """Return the sum of two lists of ascending codes with their counts."""
    joined, sums = np.empty(len(codes) + len(more), np.uint32), np.empty(len(codes) + len(more), np.int64)
    here, there, size = 0, 0, 0
    while here < len(codes) and there < len(more):
        mine, theirs = codes[here], more[there]
        joined[size] = min(mine, theirs)
        sums[size] = 0
        if mine <= theirs:
            sums[size] += counts[here]
            here += 1
        if theirs <= mine:
            sums[size] += weights[there]
            there += 1
        size += 1
    for i in range(here, len(codes)):
        joined[size], sums[size] = codes[i], counts[i]
        size += 1
    for i in range(there, len(more)):
        joined[size], sums[size] = more[i], weights[i]
        size += 1
    return joined[:size].copy(), sums[:size].copy()


@njit(cache=True, nogil=True)
def _spill(codes, counts, place, cells):  # type: ignore[no-untyped-def]
    for i in range(len(codes)):
        cells[place[codes[i] >> 16], _cell(codes[i] & 0xFFFF)] += counts[i]


class PairCounts:
    """
    Counts of (byte, next byte) at each of the first 256 offsets.

    Each offset counts exactly while it has at most 4096 distinct pairs. One that has more counts in 8192 cells by a
    hash of the pair; whether it does depends on the set of pairs alone, so that order and split do not matter.
    """

    name: ClassVar[str] = "pairs"
    error_bound: ClassVar[str] = (
        "0 at offsets with at most 4096 distinct pairs; elsewhere a reading is never below the truth, and above it by "
        "the other pairs of its cell: of n messages about n / 8192"
    )
    cap: ClassVar[str] = "256 offsets of 4096 pairs of 12 bytes or 8192 cells of 8, 17 MB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self._codes, self._counts = np.zeros(0, np.uint32), np.zeros(0, np.int64)
        self._place = np.full(OFFSETS, -1, np.int64)  # of an offset's cells, where it is hashed
        self._cells = np.zeros((0, CELLS), np.int64)

    @property
    def hashed(self) -> NDArray[np.bool_]:
        """(256,) bool: offsets that are no longer exact."""
        return self._place >= 0

    def at(self, offset: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Return the pairs of an offset (first byte in the high half; cells where ``hashed``) and their counts."""
        if self._place[offset] >= 0:
            counts = self._cells[self._place[offset]]
            cells = np.flatnonzero(counts)
            return cells.astype(np.uint16), counts[cells]
        first, last = np.searchsorted(self._codes, np.array([offset << 16, (offset + 1) << 16]))
        return self._codes[first:last].astype(np.uint16), self._counts[first:last]

    def update(self, chunk: Chunk) -> None:
        """Count the pairs of a chunk."""
        lengths = np.minimum(chunk.lengths, OFFSETS + 1)
        reach = int(lengths.max(initial=0))
        if reach < 2:
            return
        order = np.argsort(-lengths, kind="stable")
        rows = np.searchsorted(-lengths[order], -np.arange(1, reach))  # those that have a byte after that offset
        columns = _columns(chunk.data, chunk.starts, lengths, order, reach)
        most = int(np.minimum(rows, EXACT)[self._place[: reach - 1] < 0].sum())
        codes, counts, wide = np.empty(most, np.uint32), np.empty(most, np.int64), np.zeros(OFFSETS, np.bool_)
        size = _count(columns, rows, self._place, self._cells, codes, counts, wide)
        self._take_in(codes[:size], counts[:size], wide)
        if wide.any():
            again = np.where(wide[: reach - 1], rows, 0)
            _count(columns, again, self._place, self._cells, codes[:0], counts[:0], wide)

    def _take_in(self, codes: NDArray[np.uint32], counts: NDArray[np.int64], hashed: NDArray[np.bool_]) -> None:
        """Add ascending codes of exact offsets; those in ``hashed``, or that have too many, count in cells then on."""
        self._codes, self._counts = _join(self._codes, self._counts, codes, counts)
        full = np.bincount(self._codes >> 16, minlength=OFFSETS) > EXACT
        self._hash((full | hashed) & ~self.hashed)

    def _hash(self, offsets: NDArray[np.bool_]) -> None:
        """Count offsets in cells from now on, what they hold exactly too."""
        if not offsets.any():
            return
        here = len(self._cells)
        self._cells = np.concatenate([self._cells, np.zeros((int(offsets.sum()), CELLS), np.int64)])
        self._place[offsets] = np.arange(here, len(self._cells))
        spilled = offsets[self._codes >> 16]
        _spill(self._codes[spilled], self._counts[spilled], self._place, self._cells)
        self._codes, self._counts = self._codes[~spilled], self._counts[~spilled]

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        merged._codes, merged._counts = self._codes, self._counts
        merged._place, merged._cells = self._place.copy(), self._cells.copy()
        merged._hash(other.hashed & ~self.hashed)
        shared = np.flatnonzero(other.hashed)
        merged._cells[merged._place[shared]] += other._cells[other._place[shared]]
        into_cells = merged.hashed[other._codes >> 16]
        _spill(other._codes[into_cells], other._counts[into_cells], merged._place, merged._cells)
        exact = ~into_cells
        merged._take_in(other._codes[exact], other._counts[exact], np.zeros(OFFSETS, np.bool_))
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return ``codes`` (offset * 65536 + pair or cell, ascending), their counts, and the hashed offsets."""
        ends = np.searchsorted(self._codes, np.arange(1, OFFSETS + 1) << 16)
        codes, counts, at = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)], 0
        for offset in np.flatnonzero(self.hashed):
            cells, held = self.at(int(offset))
            codes += [self._codes[at : ends[offset]], np.uint32(offset << 16) | cells.astype(np.uint32)]
            counts += [self._counts[at : ends[offset]], held]
            at = int(ends[offset])
        return {
            "codes": np.concatenate([*codes, self._codes[at:]]),
            "counts": np.concatenate([*counts, self._counts[at:]]),
            "hashed": self.hashed.astype(np.uint8),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the pairs of these arrays; InputError where they are none."""
        codes = take_array(arrays, "codes", np.uint32, (None,))
        counts = take_array(arrays, "counts", np.int64, (len(codes),))
        hashed = take_array(arrays, "hashed", np.uint8, (OFFSETS,)).astype(np.bool_)
        require(bool((codes[1:] > codes[:-1]).all()) and (not len(counts) or bool(counts.min() > 0)), "pair counts")
        offset = (codes >> 16).astype(np.int64)
        require(not len(codes) or int(offset[-1]) < OFFSETS, "pair offsets")
        held = np.bincount(offset, minlength=OFFSETS)
        require(bool((held[~hashed] <= EXACT).all()), "more pairs than are counted exactly")
        require(bool(((codes & 0xFFFF) < CELLS)[hashed[offset]].all()), "pair cells")
        made = cls(settings)
        made._hash(hashed)
        cells = hashed[offset]
        made._cells[made._place[offset[cells]], codes[cells] & 0xFFFF] = counts[cells]
        made._codes, made._counts = codes[~cells], counts[~cells]
        return made
