"""The part of the streams on which framings are proposed, and the part on which they are put to the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from ..streams import StreamSet
from .cut import runs_of

SAMPLE_BYTES = 1 << 18
RUN_BYTES = 1 << 14
MAX_RUNS = 256
NARROWEST = 536
"""Bytes of payload that every link takes (RFC 879): a sender of a shorter segment had nothing more to send."""
FEW_RUNS, PIECE_BYTES = 16, 1 << 6
"""Fewer runs than this are taken apart, into pieces of at least so many bytes."""
FEW_TURNS = 8
"""Pieces end at turns where at least one in so many marks is one."""
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
        greeting: bytes that most streams send at first; 0 where they differ.
    """

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    mark: NDArray[np.uint8]
    segment: NDArray[np.uint8]
    marks_before: NDArray[np.int64]
    closed: NDArray[np.uint8]
    greeting: int = 0

    @property
    def trials(self) -> int:
        """How many marks there are."""
        return int(self.mark.sum())

    def utterances(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where senders begin, at the start of a run or behind a mark, and how many bytes they send then."""
        begins = self.mark[:-1] == 1
        begins[self.start] = True
        starts = np.flatnonzero(begins)
        return starts, np.diff(np.concatenate((starts, [len(self.data)])))


@dataclass(frozen=True)
class Run:
    """
    Bytes without a gap, of a stream or of a piece of it.

    Attributes:
        data: uint8; marks, segments: int64, where messages are expected to end, and where segments start, inside it.
        turns: int64, those of the marks before which the other side has spoken: a message hardly goes on behind one.
        closed: whether its end is a mark; direction: of its stream, as in ``MessageBatch``.
    """

    data: NDArray[np.uint8]
    marks: NDArray[np.int64]
    segments: NDArray[np.int64]
    turns: NDArray[np.int64]
    closed: bool
    direction: int


def runs_in(sets: Sequence[StreamSet], *, turns_only: bool = False) -> list[Run]:
    """
    Return the runs of streams with the places where their senders stopped; with ``turns_only``, for an answer.

    Where there are few runs they are taken apart, at such places, so that a single long connection can be proposed on
    in one part and falsified on in another.
    """
    found = [(streams, *run) for streams in sets if len(streams) for run in _bounds(streams)]
    size = RUN_BYTES
    if len(found) < FEW_RUNS:
        total = sum(end - begin for _, begin, end in found)
        size = min(max(total // (2 * FEW_RUNS), PIECE_BYTES), RUN_BYTES)
    pieces: list[Run] = []
    partner = {id(streams): _partners(streams) for streams in sets}
    for streams, begin, end in found:
        whole = _run(streams, begin, end, partner[id(streams)])
        if turns_only:
            whole = replace(whole, marks=whole.turns)
        pieces += _pieces(whole, size, 2 * MAX_RUNS if len(found) < FEW_RUNS else 1)
    return pieces


def _bounds(streams: StreamSet) -> list[tuple[int, int]]:
    starts, ends, _ = runs_of(streams)
    return list(zip(starts[:_SCAN].tolist(), ends[:_SCAN].tolist(), strict=True))


def _partners(streams: StreamSet) -> dict[int, int]:
    """Return the stream of the other direction of each stream's flow, where there is one and directions are known."""
    keys = list(zip(streams.flow.tolist(), streams.direction.tolist(), strict=True))
    index = {key: place for place, key in enumerate(keys)}
    other = {CLIENT_TO_SERVER: SERVER_TO_CLIENT, SERVER_TO_CLIENT: CLIENT_TO_SERVER}
    found = {place: index.get((flow, other.get(way, -1))) for (flow, way), place in index.items()}
    return {place: there for place, there in found.items() if there is not None}


def _answered(streams: StreamSet, stream: int, partner: int | None) -> NDArray[np.bool_]:
    """Tell of each segment of a stream whether the other side sent something since the one before."""
    numbers = streams.segment_number[streams.segment_bounds[stream] : streams.segment_bounds[stream + 1]]
    if partner is None:
        return np.zeros(len(numbers), np.bool_)
    theirs = np.sort(streams.segment_number[streams.segment_bounds[partner] : streams.segment_bounds[partner + 1]])
    return np.diff(np.searchsorted(theirs, numbers), prepend=0) > 0


def _run(streams: StreamSet, begin: int, end: int, partner: dict[int, int]) -> Run:
    """Return a run with the places where its sender stopped."""
    stream = int(np.searchsorted(streams.bounds, begin, side="right")) - 1
    first = int(np.searchsorted(streams.segment_start, begin))
    borders = streams.segment_start[first : int(np.searchsorted(streams.segment_start, end))]
    sizes = np.diff(np.append(borders, end))
    mine = slice(int(streams.segment_bounds[stream]), int(streams.segment_bounds[stream + 1]))
    full = int(np.diff(np.append(streams.segment_start[mine], streams.bounds[stream + 1])).max())
    before = sizes[:-1]
    pushed = (before < full) | (before < NARROWEST)
    closed = end == streams.bounds[stream + 1] and streams.tail_gap[stream] == 0
    inner = borders[1:] - begin
    since = first - int(streams.segment_bounds[stream])
    turn = pushed & _answered(streams, stream, partner.get(stream))[since + 1 : since + len(borders)]
    way = int(streams.direction[stream])
    return Run(streams.data[begin:end], inner[pushed], inner, inner[turn], bool(closed), way)


def _pieces(run: Run, size: int, most: int) -> list[Run]:
    """
    Return the first ``most`` pieces of about ``size`` bytes; each but the last ends at a mark, or is just cut.

    Where the sides take turns, they are cut between turns: a sender may also stop inside a message, and a piece that
    begins there refutes what is true.
    """
    pieces: list[Run] = []
    begin, length = 0, len(run.data)
    ends = run.turns if len(run.turns) * FEW_TURNS >= len(run.marks) else run.marks
    while begin < length and len(pieces) < most:
        later = ends[np.searchsorted(ends, begin + size) :]
        end = int(later[0]) if len(later) else length
        closed = True if len(later) else run.closed
        if end - begin > 2 * RUN_BYTES:
            end, closed = begin + RUN_BYTES, False
        places = (run.marks, run.segments, run.turns)
        marks, segments, turns = (place[(place > begin) & (place < end)] - begin for place in places)
        pieces.append(Run(run.data[begin:end], marks, segments, turns, closed, run.direction))
        begin = end
    return pieces


def _lay(runs: Sequence[Run]) -> Sample:
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
    return Sample(data, start, end, mark, segment, np.cumsum(mark, dtype=np.int64), closed, _greeting(runs))


def _greeting(runs: Sequence[Run]) -> int:
    """Return the commonest size of a first segment, if at least a quarter of the runs have it."""
    firsts = Counter(int(run.segments[0]) for run in runs if len(run.segments))
    size, count = min(firsts.items(), key=lambda item: (-item[1], item[0]), default=(0, 0))
    return size if 4 * count >= len(runs) else 0


def halves(runs: Sequence[Run]) -> tuple[Sample, Sample]:
    """
    Return the sample to propose on and the one to falsify on, of about equal size.

    The runs go to the two in turn, those with the most segments first; both have bounded bytes and runs.
    """
    order = sorted(range(len(runs)), key=lambda i: (-min(len(runs[i].segments), 64), i))
    parts: tuple[list[Run], list[Run]] = ([], [])
    room = [SAMPLE_BYTES, SAMPLE_BYTES]
    for place, index in enumerate(order):
        side = place & 1
        if len(runs[index].data) <= room[side] and len(parts[side]) < MAX_RUNS:
            parts[side].append(runs[index])
            room[side] -= len(runs[index].data)
    return _lay(parts[0]), _lay(parts[1])
