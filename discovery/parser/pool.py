"""The table of numbers that is a program, as it grows: each part is known by its offset."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def wrapped(value: int) -> int:
    """Return the low 64 bits as a two's complement number."""
    low = value & (1 << 64) - 1
    return low - (1 << 64) if low >> 63 else low


class Pool:
    """Collects numbers; offsets stay valid as it grows."""

    def __init__(self, head: int) -> None:
        self.numbers: list[int] = [0] * head
        self._known: dict[bytes, int] = {}

    def add(self, values: Iterable[int]) -> int:
        """Append numbers of 64 bits; return the offset of the first."""
        added = list(values)  # first of all: making the values may itself add to the pool
        offset = len(self.numbers)
        self.numbers += added
        return offset

    def text(self, constant: bytes) -> int:
        """Return the offset of a byte string, one number a byte, stored once."""
        if constant not in self._known:
            self._known[constant] = self.add(constant)
        return self._known[constant]

    def array(self) -> NDArray[np.int64]:
        """Return all numbers, read-only."""
        numbers = np.array(self.numbers, np.int64)
        numbers.flags.writeable = False
        return numbers
