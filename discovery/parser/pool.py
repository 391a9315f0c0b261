"""Constants of a program: numbers and bytes, each list stored once and known by its offset."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def wrapped(value: int) -> int:
    """Return the low 64 bits as a two's complement number."""
    low = value & (1 << 64) - 1
    return low - (1 << 64) if low >> 63 else low


class Pool:
    """Collects the constants; offsets stay valid as it grows."""

    def __init__(self, head: int) -> None:
        self.numbers: list[int] = [0] * head
        self._text = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, values: Iterable[int]) -> int:
        """Append numbers of 64 bits; return the offset of the first."""
        offset = len(self.numbers)
        self.numbers.extend(values)
        return offset

    def text(self, constant: bytes) -> int:
        """Return the offset of a byte string, stored once."""
        if constant not in self._known:
            self._known[constant] = len(self._text)
            self._text += constant
        return self._known[constant]

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the numbers and the bytes."""
        return np.array(self.numbers, np.int64), np.frombuffer(bytes(self._text) or b"\0", np.uint8)
