"""The part of the streams on which framings are proposed, and the part on which they are put to the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..streams import StreamSet
from .cut import runs_of

SAMPLE_BYTES = 1 << 18
RUN_BYTES = 1 << 14
MAX_RUNS = 256
NARROWEST = 536
"""Bytes of payload that every link takes (RFC 879): a sender of a shorter segment had nothing more to send."""
_SCAN = 4096


@dataclass(frozen=True)
class Sample:
    """
    Gapless runs of streams, laid end to end.

    A mark is a place where a message is expected to end: the end of a segment that is shorter than the longest of
    its stream (the sender had nothing more to send), and the end of a stream. Only marks count as trials.

    Attributes:
        data: uint8; start, end: int64, one per run, into ``data``.
        mark: uint8, per byte of ``data`` plus one: whether a message is expected to end before that byte.
        segment: uint8, likewise: whether a segment starts there.
        marks_before: int64, likewise: marks up to and including that place.
        closed: uint8, per run: whether its end is a mark.
    """

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    mark: NDArray[np.uint8]
    segment: NDArray[np.uint8]
    marks_before: NDArray[np.int64]
    closed: NDArray[np.uint8]

    @property
    def trials(self) -> int:
        """How many marks there are."""
        return int(self.mark.sum())


@dataclass(frozen=True)
class _Run:
    data: NDArray[np.uint8]
    marks: NDArray[np.int64]
    segments: NDArray[np.int64]
    closed: bool


def _cap(streams: StreamSet, first: int, begin: int, end: int) -> int:
    """Return where to stop reading a run: its end, or a segment start near the bound on a run's bytes."""
    if end - begin <= RUN_BYTES:
        return end
    last = int(np.searchsorted(streams.segment_start, begin + RUN_BYTES, side="right")) - 1
    return int(streams.segment_start[last]) if last > first else begin + RUN_BYTES


def _runs(streams: StreamSet) -> list[_Run]:
    starts, ends, _ = runs_of(streams)
    sizes = np.diff(np.concatenate((streams.segment_start, [len(streams.data)])))
    return [_run(streams, sizes, int(a), int(b)) for a, b in zip(starts[:_SCAN], ends[:_SCAN], strict=True)]


def _run(streams: StreamSet, sizes: NDArray[np.int64], begin: int, end: int) -> _Run:
    """Return a run, cut to its bound, with the places where its sender stopped."""
    stream = int(np.searchsorted(streams.bounds, begin, side="right")) - 1
    first = int(np.searchsorted(streams.segment_start, begin))
    stop = _cap(streams, first, begin, end)
    borders = streams.segment_start[first + 1 : int(np.searchsorted(streams.segment_start, stop))]
    before, after = sizes[first : first + len(borders)], sizes[first + 1 : first + 1 + len(borders)]
    full = sizes[streams.segment_bounds[stream] : streams.segment_bounds[stream + 1]].max()
    pushed = (before < full) | (after <= full // 2) | (before < NARROWEST)
    if stop == end:
        closed = end == streams.bounds[stream + 1] and streams.tail_gap[stream] == 0
    else:
        closed = stop in streams.segment_start[first : first + 2 + len(borders)]
    return _Run(streams.data[begin:stop], borders[pushed] - begin, borders - begin, bool(closed))


def _lay(runs: Sequence[_Run]) -> Sample:
    lengths = np.array([len(run.data) for run in runs], np.int64)
    end = np.cumsum(lengths)
    start = end - lengths
    size = int(end[-1]) if len(runs) else 0
    mark, segment = np.zeros(size + 1, np.uint8), np.zeros(size + 1, np.uint8)
    for run, begin, stop in zip(runs, start.tolist(), end.tolist(), strict=True):
        mark[begin + run.marks] = 1
        segment[begin + run.segments] = 1
        mark[stop] |= run.closed
        segment[begin] = 1
    data = np.concatenate([run.data for run in runs]) if runs else np.zeros(0, np.uint8)
    closed = np.array([run.closed for run in runs], np.uint8)
    return Sample(data, start, end, mark, segment, np.cumsum(mark, dtype=np.int64), closed)


def split_streams(sets: Sequence[StreamSet]) -> tuple[Sample, Sample]:
    """
    Return the sample to propose on and the one to falsify on, of about equal size.

    The runs of all sets go to the two in turn, those with the most segments first; both have bounded bytes and runs.
    """
    runs = [run for streams in sets if len(streams) for run in _runs(streams)]
    order = sorted(range(len(runs)), key=lambda i: (-min(len(runs[i].segments), 64), i))
    halves: tuple[list[_Run], list[_Run]] = ([], [])
    room = [SAMPLE_BYTES, SAMPLE_BYTES]
    for place, index in enumerate(order):
        side = place & 1
        if len(runs[index].data) <= room[side] and len(halves[side]) < MAX_RUNS:
            halves[side].append(runs[index])
            room[side] -= len(runs[index].data)
    return _lay(halves[0]), _lay(halves[1])
