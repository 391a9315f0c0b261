"""The bytes and numbers of the leaves of one field, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..parser import ParsedBatch
from ..parser.arrays import frozen
from ..parser.gather import copy_numbers
from ..parser.numbers import BER_LENGTH, INT, LEB128, UINT
from ..parser.symbols import Symbol
from ..spec import Field

HUGE = np.uint64(2**64 - 1)
ENCODINGS = {"uint": UINT, "int": INT, "ber_length": BER_LENGTH, "leb128": LEB128}


@njit(cache=True, nogil=True)
def _first_bytes(data, at, size, out):  # type: ignore[no-untyped-def]
    for k in range(len(at)):
        value = np.uint64(0)
        for i in range(min(size[k], 8)):
            value = (value << np.uint64(8)) | np.uint64(data[at[k] + i])
        out[k] = value


@njit(cache=True, nogil=True)
def _outside(data, at, size, allowed, out):  # type: ignore[no-untyped-def]
    """Count the bytes of each leaf that are not in a set (bool, 256)."""
    for k in range(len(at)):
        count = 0
        for i in range(size[k]):
            count += not allowed[data[at[k] + i]]
        out[k] = count


@dataclass(frozen=True)
class Leaves:
    """
    The leaves of one symbol.

    Attributes:
        index: of the leaves in the parsed batch (int64, k); rows, starts, lengths: int64, k.
    """

    parsed: ParsedBatch
    symbol: Symbol
    field: Field
    index: NDArray[np.int64]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The message of each leaf."""
        return self.parsed.leaf_row[self.index].astype(np.int64)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each leaf begins in its message."""
        return self.parsed.leaf_start[self.index].astype(np.int64)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each leaf."""
        return self.parsed.leaf_length[self.index].astype(np.int64)

    @cached_property
    def at(self) -> NDArray[np.int64]:
        """Where each leaf begins in the view's data."""
        return self.parsed.view.starts[self.rows] + self.starts

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def big(self) -> NDArray[np.uint64]:
        """The first 8 bytes as an unsigned number, the first byte the highest."""
        out = np.empty(len(self), np.uint64)
        _first_bytes(frozen(self.parsed.view.data), self.at, self.lengths, out)
        return out

    @cached_property
    def unsigned(self) -> NDArray[np.uint64]:
        """The low 64 bits of the value in the field's encoding and byte order; two's complement for ``int``."""
        out, fits = np.zeros(8 * len(self), np.uint8), np.zeros(len(self), np.bool_)
        place = np.arange(len(self), dtype=np.int64)
        encoding = ENCODINGS.get(self.field.encoding, UINT)
        little = self.field.endianness == "little"
        copy_numbers(frozen(self.parsed.view.data), self.at, self.lengths, place, encoding, little, 8, out, fits)
        values: NDArray[np.uint64] = out.view("<u8").astype(np.uint64)
        values[~fits] = HUGE  # no number of 64 bits
        return values

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The value as the field encodes it, two's complement for ``int``; the highest int64 where it is higher."""
        if self.field.encoding == "int":
            return self.unsigned.astype(np.int64)
        return np.minimum(self.unsigned, np.uint64(np.iinfo(np.int64).max)).astype(np.int64)

    def bytes_outside(self, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many bytes of each leaf are not in a set (bool, 256)."""
        out = np.empty(len(self), np.int64)
        _outside(frozen(self.parsed.view.data), self.at, self.lengths, allowed, out)
        return out

    def content(self, k: int) -> bytes:
        """Return the bytes of one leaf."""
        start = int(self.at[k])
        return self.parsed.view.data[start : start + int(self.lengths[k])].tobytes()

    @cached_property
    def contents(self) -> list[bytes]:
        """The bytes of every leaf."""
        data, ends = self.parsed.view.data, (self.at + self.lengths).tolist()
        return [data[start:end].tobytes() for start, end in zip(self.at.tolist(), ends, strict=True)]

    def equals_any(self, values: list[bytes]) -> NDArray[np.bool_]:
        """Return whether each leaf is one of these byte strings."""
        holds = np.zeros(len(self), bool)
        for size in {len(value) for value in values}:
            fitting = self.lengths == size
            wanted = [value for value in values if len(value) == size]
            if size <= 8:
                numbers = np.array(sorted(int.from_bytes(value, "big") for value in wanted), np.uint64)
                found = np.minimum(np.searchsorted(numbers, self.big), len(numbers) - 1) if len(numbers) > 1 else 0
                holds |= fitting & (self.big == numbers[found])
            else:
                rows = self.parsed.view.data[self.at[fitting, None] + np.arange(size)]
                same = [(rows == np.frombuffer(value, np.uint8)).all(axis=1) for value in wanted]
                holds[fitting] = np.logical_or.reduce(same)
        return holds
