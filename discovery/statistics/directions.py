"""Directions of messages, and the first and last time seen."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .statistic import Arrays, require, take_array


class Directions:
    """
    Messages by direction, and the span of time.

    Attributes:
        counts: (3,) int64: unknown, client to server, server to client.
        span: (2,) float64: earliest and latest time in seconds; (+inf, -inf) where no message has a time.
    """

    name: ClassVar[str] = "directions"
    error_bound: ClassVar[str] = "0: exact"
    cap: ClassVar[str] = "40 bytes"

    def __init__(self, settings: DiscoverySettings) -> None:
        self.counts = np.zeros(3, np.int64)
        self.span = np.array([np.inf, -np.inf])

    def update(self, chunk: Chunk) -> None:
        """Count the directions of a chunk."""
        self.counts += np.bincount(chunk.direction, minlength=3)
        known = chunk.ts[chunk.ts < np.inf]
        if len(known):
            self.span = np.array([min(self.span[0], known.min()), max(self.span[1], known.max())])

    def merge(self, other: Self) -> Self:
        """Return the sum of both, over the span of both."""
        merged = object.__new__(type(self))
        merged.counts = self.counts + other.counts
        merged.span = np.array([min(self.span[0], other.span[0]), max(self.span[1], other.span[1])])
        return merged

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return counts and span."""
        return {"counts": self.counts, "span": self.span}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the directions of these arrays; InputError where they are none."""
        made = cls(settings)
        made.counts = take_array(arrays, "counts", np.int64, (3,)).copy()
        made.span = take_array(arrays, "span", np.float64, (2,)).copy()
        require(bool(made.counts.min() >= 0) and not np.isnan(made.span).any(), "directions")
        return made
