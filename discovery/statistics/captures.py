"""Messages by capture, for provenance."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .statistic import Arrays, require, take_array

CAPTURES = 4096


class CaptureCounts:
    """
    How many messages each capture gave: a bottom-k by capture hash with exact counts of those kept.

    Attributes:
        hashes: (n,) uint64, ascending, the first 64 bits of the captures' SHA-256; counts: (n,) int64.
    """

    name: ClassVar[str] = "captures"
    error_bound: ClassVar[str] = "0 for the captures kept; beyond 4096 captures those of higher hashes are left out"
    cap: ClassVar[str] = "4096 captures, 64 KB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self.hashes = np.zeros(0, np.uint64)
        self.counts = np.zeros(0, np.int64)

    def update(self, chunk: Chunk) -> None:
        """Count the captures of a chunk."""
        if len(chunk) and (chunk.capture == chunk.capture[0]).all():
            self._add(chunk.capture[:1], np.array([len(chunk)], np.int64))
        else:
            self._add(chunk.capture, np.ones(len(chunk), np.int64))

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        merged.hashes, merged.counts = self.hashes, self.counts
        merged._add(other.hashes, other.counts)
        return merged

    def _add(self, hashes: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        unique, inverse = np.unique(np.concatenate([self.hashes, hashes]), return_inverse=True)
        total = np.zeros(len(unique), np.int64)
        np.add.at(total, inverse, np.concatenate([self.counts, counts]))
        self.hashes, self.counts = unique[:CAPTURES], total[:CAPTURES]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return hashes and counts."""
        return {"hashes": self.hashes, "counts": self.counts}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the captures of these arrays; InputError where they are none."""
        made = cls(settings)
        made.hashes = take_array(arrays, "hashes", np.uint64, (None,)).copy()
        made.counts = take_array(arrays, "counts", np.int64, (len(made.hashes),)).copy()
        require(len(made.hashes) <= CAPTURES and bool((made.hashes[1:] > made.hashes[:-1]).all()), "capture hashes")
        require(not len(made.counts) or bool(made.counts.min() > 0), "capture counts")
        return made
