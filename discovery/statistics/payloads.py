"""Payload bytes of sampled messages, held in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .statistic import Arrays, require, take_array


@njit(cache=True, nogil=True)
def _copy(data, starts, lengths, out, out_starts, rows, out_rows):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        start, to, length = starts[rows[i]], out_starts[out_rows[i]], lengths[rows[i]]
        out[to : to + length] = data[start : start + length]


class Payloads:
    """
    Byte strings, one after the other.

    Attributes:
        data: uint8, never written once made; starts, lengths: (n,) int64.
    """

    __slots__ = ("data", "lengths", "starts")

    def __init__(self, data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self.data, self.starts, self.lengths = data.view(), starts, lengths
        self.data.flags.writeable = False

    @classmethod
    def none(cls) -> Self:
        """Return no byte strings."""
        return cls(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def join(cls, parts: Sequence[Payloads]) -> Self:
        """Return the byte strings of several, one after the other."""
        before = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
        starts = [part.starts + shift for part, shift in zip(parts, before, strict=True)]
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.data for part in parts]), np.concatenate(starts), lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def pick(self, other: Payloads, rows: NDArray[np.int64]) -> Payloads:
        """Return the rows chosen from this and ``other`` (rows counted on past the end of this), packed anew."""
        lengths = np.concatenate([self.lengths, other.lengths])[rows]
        starts = np.cumsum(lengths) - lengths
        out = np.empty(int(lengths.sum()), np.uint8)
        here = rows < len(self)
        own, foreign = np.flatnonzero(here), np.flatnonzero(~here)
        _copy(self.data, self.starts, self.lengths, out, starts, rows[own], own)
        _copy(other.data, other.starts, other.lengths, out, starts, rows[foreign] - len(self), foreign)
        return Payloads(out, starts, lengths)

    def to_arrays(self) -> dict[str, NDArray[np.uint8] | NDArray[np.int64]]:
        """Return the bytes and the lengths; the bytes are packed in row order."""
        return {"data": self.data, "stored": self.lengths}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Return the byte strings of these arrays; InputError where they are none."""
        data = take_array(arrays, "data", np.uint8, (None,))
        lengths = take_array(arrays, "stored", np.int64, (None,)).copy()
        bounded = not len(lengths) or bool(lengths.min() >= 0 and lengths.max() <= len(data))
        require(bounded and int(lengths.sum()) == len(data), "stored lengths")
        return cls(data.copy(), np.cumsum(lengths) - lengths, lengths)
