"""StreamSet: reassembled byte streams with the marks of their segments, before they are cut into messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .batch import UNKNOWN


@dataclass(frozen=True)
class StreamSet:
    """
    Byte streams, one per flow and direction, each made of segments in sequence order.

    Stream ``i`` is ``data[bounds[i] : bounds[i + 1]]``; its segments are those with index ``segment_bounds[i]`` to
    ``segment_bounds[i + 1]``. No segment is empty, so the segment starts of a stream rise strictly.

    Attributes:
        data: uint8, the bytes of all streams.
        bounds: int64, n + 1 offsets into ``data``.
        flow: uint64, n; direction: int8, n (1 client to server, 2 server to client, 0 unknown).
        src, dst: n address byte strings (empty where unknown); sport, dport: int32, n (-1 where unknown).
        segment_bounds: int64, n + 1 indices of segments.
        segment_start: int64, m offsets into ``data``.
        segment_ts: float64 seconds, NaN where unknown.
        segment_number: int64, m numbers of packets in the capture, from 0.
        segment_gap: int64, m bytes known to be missing right before the segment.
        tail_gap: int64, n bytes known to be missing at the end of the stream.
    """

    data: NDArray[np.uint8]
    bounds: NDArray[np.int64]
    flow: NDArray[np.uint64]
    direction: NDArray[np.int8]
    src: Sequence[bytes]
    dst: Sequence[bytes]
    sport: NDArray[np.int32]
    dport: NDArray[np.int32]
    segment_bounds: NDArray[np.int64]
    segment_start: NDArray[np.int64]
    segment_ts: NDArray[np.float64]
    segment_number: NDArray[np.int64]
    segment_gap: NDArray[np.int64]
    tail_gap: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def lost_bytes(self) -> int:
        """Bytes known to be missing from the streams."""
        return int(self.segment_gap.sum() + self.tail_gap.sum())

    def stream(self, index: int) -> bytes:
        """Return the bytes of one stream; what is missing is left out."""
        return self.data[self.bounds[index] : self.bounds[index + 1]].tobytes()

    def segments(self, index: int) -> list[bytes]:
        """Return the segments of one stream, for tests and small results."""
        first, last = self.segment_bounds[index], self.segment_bounds[index + 1]
        borders = [*self.segment_start[first:last].tolist(), int(self.bounds[index + 1])]
        return [self.data[a:b].tobytes() for a, b in pairwise(borders)]

    def span(self, first: int, last: int) -> StreamSet:
        """Return streams ``first`` to ``last`` (excluded); bytes are shared, not copied."""
        begin, end = self.bounds[first], self.bounds[last]
        a, b = self.segment_bounds[first], self.segment_bounds[last]
        return StreamSet(
            data=self.data[begin:end],
            bounds=self.bounds[first : last + 1] - begin,
            flow=self.flow[first:last],
            direction=self.direction[first:last],
            src=self.src[first:last],
            dst=self.dst[first:last],
            sport=self.sport[first:last],
            dport=self.dport[first:last],
            segment_bounds=self.segment_bounds[first : last + 1] - a,
            segment_start=self.segment_start[a:b] - begin,
            segment_ts=self.segment_ts[a:b],
            segment_number=self.segment_number[a:b],
            segment_gap=self.segment_gap[a:b],
            tail_gap=self.tail_gap[first:last],
        )

    @classmethod
    def from_segments(
        cls,
        streams: Sequence[Sequence[bytes]],
        *,
        flow: Sequence[int] | None = None,
        direction: Sequence[int] | None = None,
    ) -> StreamSet:
        """Make a set without addresses, times and loss from lists of segments; empty segments are left out."""
        kept = [[segment for segment in stream if segment] for stream in streams]
        n = len(kept)
        lengths = np.array([len(segment) for stream in kept for segment in stream], np.int64)
        starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        segment_bounds = np.concatenate(([0], np.cumsum([len(stream) for stream in kept]))).astype(np.int64)
        return cls(
            data=np.frombuffer(b"".join(b"".join(stream) for stream in kept), np.uint8),
            bounds=starts[segment_bounds],
            flow=np.array(range(1, n + 1) if flow is None else flow, np.uint64),
            direction=np.array([UNKNOWN] * n if direction is None else direction, np.int8),
            src=[b""] * n,
            dst=[b""] * n,
            sport=np.full(n, -1, np.int32),
            dport=np.full(n, -1, np.int32),
            segment_bounds=segment_bounds,
            segment_start=starts[:-1],
            segment_ts=np.full(len(lengths), np.nan),
            segment_number=np.arange(len(lengths), dtype=np.int64),
            segment_gap=np.zeros(len(lengths), np.int64),
            tail_gap=np.zeros(n, np.int64),
        )
