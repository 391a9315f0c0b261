"""Bits by offset: how often each is set, and how often it differs from the same bit of the byte before it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .statistic import Arrays, take_counts, trimmed

OFFSETS = 512
# bit b of a byte, in byte lane b of a 64-bit number: eight counters are added at once, emptied before a lane overflows
_LANES = np.array([sum(((v >> b) & 1) << (8 * b) for b in range(8)) for v in range(256)], np.uint64)


@njit(cache=True, nogil=True)
def _empty_lanes(lanes, counts):  # type: ignore[no-untyped-def]
    for offset in range(len(lanes)):
        lane = lanes[offset]
        for bit in range(8):
            counts[offset, bit] += np.int64((lane >> np.uint64(8 * bit)) & np.uint64(255))
        lanes[offset] = np.uint64(0)


@njit(cache=True, nogil=True)
def _count(data, starts, lengths, ones, changes):  # type: ignore[no-untyped-def]
    reach = 0
    for row in range(len(starts)):
        reach = max(reach, min(lengths[row], len(ones)))
    ones_lanes = np.zeros(reach, np.uint64)
    change_lanes = np.zeros(reach, np.uint64)
    for row in range(len(starts)):
        start = starts[row]
        before = data[start] if lengths[row] else np.uint8(0)
        for offset in range(min(lengths[row], reach)):
            value = data[start + offset]
            ones_lanes[offset] += _LANES[value]
            change_lanes[offset] += _LANES[value ^ before]
            before = value
        if row % 255 == 254:
            _empty_lanes(ones_lanes, ones)
            _empty_lanes(change_lanes, changes)
    _empty_lanes(ones_lanes, ones)
    _empty_lanes(change_lanes, changes)


class BitCounts:
    """
    Set and changed bits.

    Attributes:
        ones: (512, 8) int64, messages whose bit (0 is the lowest) is set at that offset.
        changes: (512, 8) int64, messages whose bit differs from that of the byte before (offset 0 never differs).
    """

    name: ClassVar[str] = "bits"
    error_bound: ClassVar[str] = "0: exact"
    cap: ClassVar[str] = "512 offsets from the front, 64 KB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self.ones = np.zeros((OFFSETS, 8), np.int64)
        self.changes = np.zeros((OFFSETS, 8), np.int64)

    def update(self, chunk: Chunk) -> None:
        """Count the bits of a chunk."""
        _count(chunk.data, chunk.starts, chunk.lengths, self.ones, self.changes)

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        merged.ones, merged.changes = self.ones + other.ones, self.changes + other.changes
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return both counts up to the last offset with a set or changed bit."""
        return {"ones": trimmed(self.ones), "changes": trimmed(self.changes)}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the counts of these arrays; InputError where they are none."""
        made = object.__new__(cls)
        made.ones = take_counts(arrays, "ones", (OFFSETS, 8))
        made.changes = take_counts(arrays, "changes", (OFFSETS, 8))
        return made
