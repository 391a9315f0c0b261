"""Byte values by offset, from the front and from the end of the message."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .statistic import Arrays, take_counts, trimmed

FRONT, END = 512, 64


@njit(cache=True, nogil=True)
def _count(data, starts, lengths, front, end):  # type: ignore[no-untyped-def]
    for row in range(len(starts)):
        start, length = starts[row], lengths[row]
        for offset in range(min(length, len(front))):
            front[offset, data[start + offset]] += 1
        for back in range(min(length, len(end))):
            end[back, data[start + length - 1 - back]] += 1


class ByteHistogram:
    """
    How often each byte value stands at each offset.

    Attributes:
        front: (512, 256) int64, by offset from the front; end: (64, 256) int64, row 0 is the last byte.
    """

    name: ClassVar[str] = "bytes"
    error_bound: ClassVar[str] = "0: exact"
    cap: ClassVar[str] = "512 offsets from the front and 64 from the end, 1.2 MB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self.front = np.zeros((FRONT, 256), np.int64)
        self.end = np.zeros((END, 256), np.int64)

    def update(self, chunk: Chunk) -> None:
        """Count the bytes of a chunk."""
        _count(chunk.data, chunk.starts, chunk.lengths, self.front, self.end)

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        merged.front, merged.end = self.front + other.front, self.end + other.end
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return both histograms up to the last offset that occurs."""
        return {"front": trimmed(self.front), "end": trimmed(self.end)}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the histograms of these arrays; InputError where they are none."""
        made = object.__new__(cls)
        made.front = take_counts(arrays, "front", (FRONT, 256))
        made.end = take_counts(arrays, "end", (END, 256))
        return made
