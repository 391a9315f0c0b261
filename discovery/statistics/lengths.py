"""Message lengths: exact up to a cap, then by powers of two."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .statistic import Arrays, require, take_array, take_counts, trimmed

EXACT = 4096
BUCKETS = 52  # the last one holds lengths of 2**63 bytes and less


class Lengths:
    """
    The distribution of lengths.

    Attributes:
        exact: (4097,) int64, messages of each length up to 4096.
        buckets: (52,) int64, bucket i holds the lengths in (2**(12 + i), 2**(13 + i)].
        totals: (3,) int64: payload bytes in all, the longest message, messages longer than ``max_message_bytes``
            (of which the samples hold the first part).
    """

    name: ClassVar[str] = "lengths"
    error_bound: ClassVar[str] = (
        "0 up to 4096 bytes, then a factor of 2; bytes in all, longest and cut messages are exact"
    )
    cap: ClassVar[str] = "4097 lengths and 52 buckets, 33 KB"

    def __init__(self, settings: DiscoverySettings) -> None:
        self._limit = settings.max_message_bytes
        self.exact = np.zeros(EXACT + 1, np.int64)
        self.buckets = np.zeros(BUCKETS, np.int64)
        self.totals = np.zeros(3, np.int64)

    def update(self, chunk: Chunk) -> None:
        """Count the lengths of a chunk."""
        lengths = chunk.lengths
        long = lengths[lengths > EXACT]
        self.exact += np.bincount(lengths[lengths <= EXACT], minlength=EXACT + 1)
        if len(long):
            exponent = np.frexp((long - 1).astype(np.float64))[1]  # lengths are below 2**53: exact in float64
            self.buckets += np.bincount(exponent - 13, minlength=BUCKETS)
        if len(lengths):
            self.totals[0] += lengths.sum()
            self.totals[2] += np.count_nonzero(lengths > self._limit)
            self.totals[1] = max(self.totals[1], lengths.max())

    def merge(self, other: Self) -> Self:
        """Return the sum of both."""
        merged = object.__new__(type(self))
        merged._limit = self._limit
        merged.exact, merged.buckets = self.exact + other.exact, self.buckets + other.buckets
        merged.totals = self.totals + other.totals
        merged.totals[1] = max(self.totals[1], other.totals[1])
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the counts up to the last length that occurs, and the totals."""
        return {"exact": trimmed(self.exact), "buckets": trimmed(self.buckets), "totals": self.totals}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the lengths of these arrays; InputError where they are none."""
        made = cls(settings)
        made.exact = take_counts(arrays, "exact", (EXACT + 1,))
        made.buckets = take_counts(arrays, "buckets", (BUCKETS,))
        made.totals = take_array(arrays, "totals", np.int64, (3,)).copy()
        require(bool(made.totals.min() >= 0), "negative totals of lengths")
        return made

    @property
    def messages(self) -> int:
        """Messages in all."""
        return int(self.exact.sum() + self.buckets.sum())
