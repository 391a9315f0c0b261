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
BLOCK = 1024  # rows counted together
SMALLEST, LARGEST = 9, 13  # log2 of the slots of an offset
_ODD = 2654435769  # 2**32 / golden ratio (Knuth 6.4)


@njit(cache=True, nogil=True)
def _slot(pair, shift):  # type: ignore[no-untyped-def]
    return ((np.int64(pair) * _ODD) & 0xFFFFFFFF) >> shift


@njit(cache=True, nogil=True)
def _collapse(keys, counts):  # type: ignore[no-untyped-def]
    old_keys, old_counts = keys.copy(), counts.copy()
    counts[:] = 0
    keys[:] = 0
    for slot in range(len(old_keys)):
        if old_counts[slot]:
            counts[_slot(old_keys[slot], 32 - LARGEST)] += old_counts[slot]


@njit(cache=True, nogil=True)
def _insert(offset, pair, weight, keys, counts, distinct, shift):  # type: ignore[no-untyped-def]
    slot = _slot(pair, shift)
    if distinct[offset] <= EXACT:
        while counts[offset, slot] and keys[offset, slot] != pair:
            slot = (slot + 1) & (keys.shape[1] - 1)
        if not counts[offset, slot]:
            keys[offset, slot] = pair
            distinct[offset] += 1
            if distinct[offset] > EXACT:
                counts[offset, slot] = weight
                _collapse(keys[offset], counts[offset])
                return
    counts[offset, slot] += weight


@njit(cache=True, nogil=True)
def _count_hashed(offset, data, starts, lengths, cells, shift):  # type: ignore[no-untyped-def]
    for row in range(len(starts)):
        if lengths[row] > offset + 1:
            at = starts[row] + offset
            cells[_slot(np.int64(data[at]) << 8 | np.int64(data[at + 1]), shift)] += 1


@njit(cache=True, nogil=True)
def _count_exact(offset, data, starts, lengths, keys, counts, distinct, shift):  # type: ignore[no-untyped-def]
    held, times = np.int64(0), 0  # a run of equal pairs is added at once: constant columns are common
    for row in range(len(starts)):
        if lengths[row] > offset + 1:
            at = starts[row] + offset
            pair = np.int64(data[at]) << 8 | np.int64(data[at + 1])
            if pair != held and times:
                _insert(offset, np.uint16(held), times, keys, counts, distinct, shift)
                times = 0
            held = pair
            times += 1
    if times:
        _insert(offset, np.uint16(held), times, keys, counts, distinct, shift)


@njit(cache=True, nogil=True)
def _count(data, starts, lengths, keys, counts, distinct, shift):  # type: ignore[no-untyped-def]
    # offset by offset over a block of rows: one table and the block's bytes stay in the cache
    for first in range(0, len(starts), BLOCK):
        block_starts, block_lengths = starts[first : first + BLOCK], lengths[first : first + BLOCK]
        for offset in range(min(block_lengths.max() - 1, OFFSETS)):
            if distinct[offset] > EXACT:
                _count_hashed(offset, data, block_starts, block_lengths, counts[offset], shift)
            else:
                _count_exact(offset, data, block_starts, block_lengths, keys, counts, distinct, shift)


@njit(cache=True, nogil=True)
def _insert_all(codes, weights, hashed, keys, counts, distinct, shift):  # type: ignore[no-untyped-def]
    for grown in range(OFFSETS):
        if hashed[grown] and distinct[grown] <= EXACT:
            distinct[grown] = EXACT + 1
            _collapse(keys[grown], counts[grown])
    for i in range(len(codes)):
        offset = np.int64(codes[i]) >> 16
        low = np.int64(codes[i]) & 0xFFFF
        if hashed[offset]:
            counts[offset, low] += weights[i]
        else:
            _insert(offset, np.uint16(low), weights[i], keys, counts, distinct, shift)


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
    cap: ClassVar[str] = "256 offsets of 8192 slots, 21 MB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self._distinct = np.zeros(OFFSETS, np.int64)
        self._make_slots(SMALLEST)

    def _make_slots(self, log2: int) -> None:
        self._log2 = log2
        self._keys = np.zeros((OFFSETS, 1 << log2), np.uint16)
        self._counts = np.zeros((OFFSETS, 1 << log2), np.int64)

    @property
    def hashed(self) -> NDArray[np.bool_]:
        """(256,) bool: offsets that are no longer exact."""
        return self._distinct > EXACT

    def at(self, offset: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Return the pairs of an offset (first byte in the high half; cells where ``hashed``) and their counts."""
        slots = np.flatnonzero(self._counts[offset])
        names = slots.astype(np.uint16) if self.hashed[offset] else self._keys[offset][slots]
        order = np.argsort(names)
        return names[order], self._counts[offset][slots][order]

    def update(self, chunk: Chunk) -> None:
        """Count the pairs of a chunk."""
        self._reserve(len(chunk))
        shift = 32 - self._log2
        _count(chunk.data, chunk.starts, chunk.lengths, self._keys, self._counts, self._distinct, shift)

    def _reserve(self, pairs: int) -> None:
        """Make room for so many more distinct pairs at every offset, at most half of the slots used."""
        wanted = 2 * min(int(self._distinct.max()) + pairs, EXACT)
        log2 = min(max(wanted - 1, 1).bit_length(), LARGEST)
        if log2 > self._log2:
            arrays = self.to_arrays()
            self._make_slots(log2)
            self._distinct[:] = 0
            self._add(arrays)

    def _add(self, arrays: Arrays) -> None:
        shift = 32 - self._log2
        hashed = arrays["hashed"].astype(np.bool_)
        _insert_all(arrays["codes"], arrays["counts"], hashed, self._keys, self._counts, self._distinct, shift)

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        merged._distinct = self._distinct.copy()
        merged._log2 = self._log2
        merged._keys, merged._counts = self._keys.copy(), self._counts.copy()
        merged._reserve(int(other._distinct.max()))
        merged._add(other.to_arrays())
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return ``codes`` (offset * 65536 + pair or cell, ascending), their counts, and the hashed offsets."""
        reach = int(np.flatnonzero(self._distinct)[-1]) + 1 if self._distinct.any() else 0
        offset, slot = np.nonzero(self._counts[:reach])
        low = np.where(self.hashed[offset], slot, self._keys[offset, slot])
        codes = (offset << 16 | low).astype(np.uint32)
        order = np.argsort(codes)
        counts = self._counts[offset, slot][order]
        return {"codes": codes[order], "counts": counts, "hashed": self.hashed.astype(np.uint8)}

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
        require(bool(((codes & 0xFFFF) < 1 << LARGEST)[hashed[offset]].all()), "pair cells")
        made = cls(settings)
        made._make_slots(LARGEST if hashed.any() else SMALLEST)
        made._reserve(int(held[~hashed].max(initial=0)))
        made._add({"codes": codes, "counts": counts, "hashed": hashed})
        return made
