"""Chunk: a bounded run of messages, prepared once for all statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..batch import MessageBatch
from ..errors import InputError
from .hashing import CONTENT, hash_contents, key

ROWS = 1 << 14


@dataclass(frozen=True)
class Chunk:
    """
    At most ``ROWS`` messages as read-only arrays of one row a message.

    Attributes:
        data, starts, lengths: payloads, as in ``MessageView``.
        ts: float64 seconds, +inf where unknown (so that it sorts last); direction: int8, one of 0, 1, 2.
        flow, number: as in ``MessageView``; capture: uint64, the first 64 bits of the capture's SHA-256.
        content: uint64, keyed hash of the payload.
        table: the Arrow rows, for columns that few statistics read.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ts: NDArray[np.float64]
    flow: NDArray[np.uint64]
    direction: NDArray[np.int8]
    capture: NDArray[np.uint64]
    number: NDArray[np.int64]
    content: NDArray[np.uint64]
    table: pa.Table

    def __len__(self) -> int:
        return len(self.starts)


def chunks(batch: MessageBatch, capture_hash: str | Sequence[str], seed: int) -> Iterator[Chunk]:
    """
    Yield a batch in chunks of at most ``ROWS`` rows.

    Args:
        capture_hash: hexadecimal SHA-256 (16 digits or more) of the capture that all rows come from, or one for each
            index of the ``source`` column; empty where unknown, then the ``source`` index takes its place.

    Raises:
        InputError: a capture hash is not hexadecimal, or a ``source`` index has none.
    """
    view = batch.view()
    capture = _captures(view.source, capture_hash)
    data = _frozen(view.data)
    ts = np.where(np.isfinite(view.ts), view.ts, np.inf) + 0.0  # -0.0 becomes 0.0: equal times, equal bytes
    direction = np.where((view.direction >= 0) & (view.direction <= 2), view.direction, np.int8(0)).astype(np.int8)
    under = key(seed, CONTENT)
    for start in range(0, len(view), ROWS):
        rows = slice(start, start + ROWS)
        starts, lengths = _frozen(view.starts[rows]), _frozen(view.lengths[rows])
        yield Chunk(
            data=data,
            starts=starts,
            lengths=lengths,
            ts=_frozen(ts[rows]),
            flow=_frozen(view.flow[rows]),
            direction=_frozen(direction[rows]),
            capture=_frozen(capture[rows]),
            number=_frozen(view.number[rows]),
            content=_frozen(hash_contents(data, starts, lengths, under)),
            table=batch.table.slice(start, ROWS),
        )


def _captures(source: NDArray[np.int32], capture_hash: str | Sequence[str]) -> NDArray[np.uint64]:
    if isinstance(capture_hash, str):
        if not capture_hash:
            return np.maximum(source, 0).astype(np.uint64)
        return np.full(len(source), _prefix(capture_hash), np.uint64)
    prefixes = np.array([_prefix(text) for text in capture_hash], np.uint64)
    if len(source) and not 0 <= int(source.min()) <= int(source.max()) < len(prefixes):
        raise InputError(f"a source index is not below {len(prefixes)}, the number of capture hashes", where="source")
    return prefixes[source]


def _prefix(capture_hash: str) -> int:
    digits = capture_hash[:16]
    if len(digits) < 16 or not all(digit in "0123456789abcdef" for digit in digits):
        raise InputError("not 16 lower-case hexadecimal digits or more", where="capture hash")
    return int(digits, 16)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous read-only view: one array type, so that each kernel is compiled once."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
