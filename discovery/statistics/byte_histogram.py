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
        front: (n, 256) int64, by offset from the front, of as many offsets as messages had; end: (64, 256) int64, row 0
            is the last byte.
    """

    name: ClassVar[str] = "bytes"
    error_bound: ClassVar[str] = "0: exact"
    cap: ClassVar[str] = "512 offsets from the front and 64 from the end, 1.2 MB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self.front = np.zeros((0, 256), np.int64)
        self.end = np.zeros((END, 256), np.int64)

    def at(self, offset: int) -> NDArray[np.int64]:
        """Return how often each value stands at an offset from the front."""
        return self.front[offset] if offset < len(self.front) else np.zeros(256, np.int64)

    def update(self, chunk: Chunk) -> None:
        """Count the bytes of a chunk."""
        self.front = _reaching(self.front, min(int(chunk.lengths.max(initial=0)), FRONT))
        _count(chunk.data, chunk.starts, chunk.lengths, self.front, self.end)

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        reach = max(len(self.front), len(other.front))
        merged.front = _reaching(self.front, reach) + _reaching(other.front, reach)
        merged.end = self.end + other.end
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return both histograms up to the last offset that occurs."""
        return {"front": trimmed(self.front), "end": trimmed(self.end)}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the histograms of these arrays; InputError where they are none."""
        made = object.__new__(cls)
        made.front = trimmed(take_counts(arrays, "front", (FRONT, 256))).copy()
        made.end = take_counts(arrays, "end", (END, 256))
        return made


def _reaching(front: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Return the rows with rows of zeros after them, so that there are ``reach`` at least."""
    if reach <= len(front):
        return front
    return np.concatenate([front, np.zeros((reach - len(front), 256), np.int64)])
