"""Streams of examples: which numbers a worker takes, and the examples made where they are used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import LANES, digest, lanes
from .task import Source


@dataclass(frozen=True)
class Shard:
    """
    The part of a stream that one of ``size`` workers takes, from a step on.

    Step s is made of the examples s * batch to (s + 1) * batch, whatever the number of workers: worker r takes every
    size-th of them from the r-th on. So more or fewer workers, and a start in the middle, change nothing of what a step
    learns from.
    """

    rank: int
    size: int
    batch: int
    first: int
    steps: int

    def numbers(self) -> list[int]:
        """Return the numbers of the examples, in order."""
        starts = range(self.first * self.batch, self.steps * self.batch, self.batch)
        return [number for start in starts for number in range(start + self.rank, start + self.batch, self.size)]

    @property
    def each_step(self) -> int:
        """Examples of a step."""
        return len(range(self.rank, self.batch, self.size))


@dataclass(frozen=True)
class Made:
    """An example, the parts of its digest, and the processor seconds that another process took to make it."""

    example: Any
    digest: NDArray[np.int64]
    seconds: float


Stream = Callable[[Source, int, Shard], Iterator[Made]]
"""(source, seed, shard) to the examples of the shard."""


def inline(source: Source, seed: int, shard: Shard) -> Iterator[Made]:
    """Yield the examples of the shard, each made when it is asked for, in this process."""
    for number in shard.numbers():
        example = source.example(seed, number)
        yield Made(example, lanes(digest(example)), 0.0)


class Taken:
    """
    Takes examples from a stream, and counts.

    ``counts`` is float64: the sums of the digests (``LANES`` of them, modulo 2 ** 32), seconds waited, and processor
    seconds of other processes.
    """

    def __init__(self, stream: Iterator[Made]) -> None:
        self._stream = stream
        self.counts = np.zeros(LANES + 2)

    def take(self, number: int) -> list[Any]:
        """Return the next examples."""
        start = time.perf_counter()
        made = [next(self._stream) for _ in range(number)]
        self.counts[LANES] += time.perf_counter() - start
        for one in made:
            self.counts[:LANES] = (self.counts[:LANES] + one.digest) % (1 << 32)  # so that float64 stays exact
            self.counts[-1] += one.seconds
        return [one.example for one in made]
