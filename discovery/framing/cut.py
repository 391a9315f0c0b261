"""Cutting byte streams into messages by a known framing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import SERVER_TO_CLIENT
from ..spec.framing import DelimiterFraming, DirectedFraming, FixedFraming, Framing, HeaderFraming, LengthFraming
from ..streams import StreamSet
from .sizes import INNER, MAX_MESSAGE, begins_with, rule_of, size_at, stands

_SYNC = 3  # messages in a row that must make sense before a place is taken for a border
_TRIES = 64  # segment starts that are tried for one
_SURE = 2  # of their ends that are segment starts, where they speak against others
_NEAR = 512  # bytes in which every place is tried for one


@dataclass(frozen=True)
class Cuts:
    """
    Where the messages of a StreamSet lie, stream after stream; together they cover every byte.

    Attributes:
        start, length: int64, into ``StreamSet.data``.
        stream: int64, index of the stream.
        partial: bool, the message is cut by the end of the stream or by a gap.
        unframed: bool, the bytes between two places that make sense; kept as one message each.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    stream: NDArray[np.int64]
    partial: NDArray[np.bool_]
    unframed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)


def runs_of(streams: StreamSet) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """
    Return the gapless runs of bytes: their starts, ends, and how many bytes are missing right before each.

    A run starts where a stream starts and after each gap; the first run of a stream has -1 missing bytes.
    """
    missing = streams.segment_gap.copy()
    filled = streams.segment_bounds[:-1] < streams.segment_bounds[1:]
    missing[streams.segment_bounds[:-1][filled]] = -1
    heads = missing != 0
    starts = streams.segment_start[heads]
    return starts, np.concatenate((starts[1:], [len(streams.data)])).astype(np.int64)[: len(starts)], missing[heads]


@njit(**INNER)
def _met(data, at, end, rule, magic, tail, name, segments):  # type: ignore[no-untyped-def]
    """
    Return how many of the next few messages end at a segment start or at the end of the run.

    -1 where they do not follow each other.
    """
    met = 0
    for _ in range(_SYNC):
        if at == end:
            break
        size = size_at(data, at, end, rule, tail, name, MAX_MESSAGE)
        if size <= 0 or size > end - at or not begins_with(data, at, end, magic):
            return -1
        at += size
        place = np.searchsorted(segments, at)
        met += at == end or (place < len(segments) and segments[place] == at)
    return met


@njit(**INNER)
def _out_of_step(data, at, size, end, rule, magic, tail, name, segments):  # type: ignore[no-untyped-def]
    """
    Return the segment start inside a message from which messages go on better, 0 where there is none.

    There two of the next ends must be segment starts, while from here none is.
    """
    place = np.searchsorted(segments, at + 1)
    if place == len(segments) or segments[place] >= at + size:
        return np.int64(0)
    if _met(data, segments[place], end, rule, magic, tail, name, segments) < _SURE:
        return np.int64(0)
    return segments[place] if _met(data, at, end, rule, magic, tail, name, segments) <= 0 else np.int64(0)


@njit(**INNER)
def _leads_to(data, at, end, goal, rule, magic, tail, name):  # type: ignore[no-untyped-def]
    """Whether messages follow each other from a place up to another one; up to the end of the run, several."""
    count = 0
    while at < goal:
        size = size_at(data, at, end, rule, tail, name, MAX_MESSAGE)
        if size <= 0 or not begins_with(data, at, end, magic):
            return False
        at += size
        count += 1
    return at == goal and (goal < end or count >= _SYNC)


@njit(**INNER)
def _synchronise(data, first, end, segments, rule, magic, tail, name):  # type: ignore[no-untyped-def]
    """
    Return the first place after ``first`` from which the messages make sense, or the end of the run.

    That is a segment start, or a place shortly before it from which messages lead to it.
    """
    goal = _later_segment(data, first, end, segments, rule, magic, tail, name, 0)
    for at in range(first + 1, min(first + _NEAR, goal)):
        if _leads_to(data, at, end, goal, rule, magic, tail, name):
            return at
    return goal


@njit(**INNER)
def _later_segment(data, first, end, segments, rule, magic, tail, name, needed):  # type: ignore[no-untyped-def]
    """Return the first segment start after ``first`` from which the messages make sense, or the end of the run."""
    cursor = np.searchsorted(segments, first + 1)
    for _ in range(_TRIES):
        if cursor >= len(segments) or segments[cursor] >= end:
            return end
        if _met(data, segments[cursor], end, rule, magic, tail, name, segments) >= needed:
            return segments[cursor]
        cursor += 1
    return end


@njit(**INNER)
def _next_size(data, at, end, rule, magic, tail, name):  # type: ignore[no-untyped-def]
    """Return the size of the message at a place in step, 0 where it makes no sense, -1 where the run ends before it."""
    size = size_at(data, at, end, rule, tail, name, MAX_MESSAGE)
    if size <= 0 or len(magic) == 0 or begins_with(data, at, end, magic):
        return size
    # a message of a new kind may lack the magic: the one after it tells
    after = at + size
    return size if after <= end and begins_with(data, after, end, magic) else np.int64(0)


@njit(**INNER)
def _emit(out, count, start, length, kind):  # type: ignore[no-untyped-def]
    """Write a message (kind: 0 whole, 1 partial, 2 unframed) if it has bytes and there is room."""
    if length <= 0:
        return count
    if count < len(out):
        out[count, 0], out[count, 1], out[count, 2] = start, length, kind
    return count + 1


@njit(**INNER)
def _first_of_run(data, at, end, owed, segments, rule, magic, tail, name):  # type: ignore[no-untyped-def]
    """Return where the first message of a run begins that is not the end of an earlier one, and the kind before it."""
    if owed:
        return min(at + owed, end), 1
    if _met(data, at, end, rule, magic, tail, name, segments) < 0:
        sure = _synchronise(data, at, end, segments, rule, magic, tail, name)
        return (sure if sure < end else at), 2
    return at, 0


@njit(**INNER)
def _step(data, at, end, segments, rule, magic, tail, name):  # type: ignore[no-untyped-def]
    """Return where the message at a place ends, of what kind it is, and the bytes that the run owes it."""
    length = _next_size(data, at, end, rule, magic, tail, name)
    if length == 0:
        return _synchronise(data, at, end, segments, rule, magic, tail, name), 2, np.int64(0)
    if length < 0 or length > end - at:
        # too long for the run: cut by its end, unless messages go on inside
        sure = _later_segment(data, at, end, segments, rule, magic, tail, name, _SURE)
        return (sure, 2, np.int64(0)) if sure < end else (end, 1, max(length - (end - at), np.int64(0)))
    better = _out_of_step(data, at, length, end, rule, magic, tail, name, segments)
    return (better, 2, np.int64(0)) if better else (at + length, 0, np.int64(0))


@njit(**INNER)
def _cut_run(data, at, end, owed, segments, rule, magic, tail, name, out, count):  # type: ignore[no-untyped-def]
    """Cut one run, whose first ``owed`` bytes end an earlier message; return the count and the bytes owed after it."""
    first, kind = _first_of_run(data, at, end, owed, segments, rule, magic, tail, name)
    count = _emit(out, count, at, first - at, kind)
    at, owed = first, 0
    while at < end:
        stop, kind, owed = _step(data, at, end, segments, rule, magic, tail, name)
        count = _emit(out, count, at, stop - at, kind)
        at = stop
    return count, owed


@njit(cache=True, nogil=True)
def _cut_by_length(data, starts, ends, missing, segments, rule, magic, tail, name, out):  # type: ignore[no-untyped-def]
    count = owed = 0
    for run in range(len(starts)):
        owed = owed - missing[run] if missing[run] >= 0 and owed > missing[run] else 0
        count, owed = _cut_run(data, starts[run], ends[run], owed, segments, rule, magic, tail, name, out, count)
    return count


@njit(cache=True, nogil=True)
def _cut_by_delimiter(data, starts, ends, delimiter, opening, out):  # type: ignore[no-untyped-def]
    count, size = 0, len(delimiter)
    for run in range(len(starts)):
        begin, end = starts[run], ends[run]
        at = begin + (len(opening) if stands(data, begin, end, opening) else 0)
        while at + size <= end:
            if not stands(data, at, end, delimiter):
                at += 1
                continue
            at += size
            count = _emit(out, count, begin, at - begin, 0)
            begin = at
            at += len(opening) if stands(data, at, end, opening) else 0
        count = _emit(out, count, begin, end - begin, 1)
    return count


@njit(cache=True, nogil=True)
def _cut_by_size(starts, ends, missing, size, out):  # type: ignore[no-untyped-def]
    count = phase = 0
    for run in range(len(starts)):
        phase = (phase + missing[run]) % size if missing[run] >= 0 else 0
        at = starts[run]
        while at < ends[run]:
            stop = min(at + size - phase, ends[run])
            count = _emit(out, count, at, stop - at, 0 if stop - at == size else 1)
            phase = (phase + stop - at) % size
            at = stop
    return count


def cut_streams(streams: StreamSet, framing: Framing) -> Cuts:
    """
    Cut streams into messages; datagram and segment framing take each segment for one message.

    No byte is dropped: a message that a gap or the end of its stream cuts is kept as partial; bytes between places
    that make sense are kept as unframed. After a gap a length framing goes on where the message that the gap cut must
    end, if that lies behind the gap, else at the first segment start from which lengths follow each other. Streams of
    unknown direction are cut as the client's.
    """
    if isinstance(framing, DirectedFraming):
        server = streams.direction == SERVER_TO_CLIENT
        tables = (_table(streams, framing.client_to_server, ~server), _table(streams, framing.server_to_client, server))
        table = np.concatenate(tables)
        table = table[np.argsort(table[:, 0], kind="stable")]
    else:
        table = _table(streams, framing, np.ones(len(streams), np.bool_))
    stream = np.searchsorted(streams.bounds, table[:, 0], side="right") - 1
    return Cuts(table[:, 0].copy(), table[:, 1].copy(), stream, table[:, 2] == 1, table[:, 2] == 2)


def _table(streams: StreamSet, framing: Framing, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return start, length and kind (0 whole, 1 partial, 2 unframed) of the messages of the wanted streams."""
    starts, ends, missing = runs_of(streams)
    mine = wanted[np.searchsorted(streams.bounds, starts, side="right") - 1]
    starts, ends, missing = starts[mine], ends[mine], missing[mine]
    data, segments = np.ascontiguousarray(streams.data).view(), np.ascontiguousarray(streams.segment_start)
    data.flags.writeable = False  # one kind of array, whatever the streams came from: kernels compile once
    if isinstance(framing, (LengthFraming, HeaderFraming)):
        rule = rule_of(framing)
        marks = (rule.magic, rule.end, rule.name)
        return _run_twice(_cut_by_length, data, starts, ends, missing, segments, rule.numbers, *marks)
    if isinstance(framing, DelimiterFraming):
        texts = (np.frombuffer(text, np.uint8) for text in (framing.delimiter, framing.opening))
        return _run_twice(_cut_by_delimiter, data, starts, ends, *texts)
    if isinstance(framing, FixedFraming):
        return _run_twice(_cut_by_size, starts, ends, missing, framing.size)
    borders = np.concatenate((segments, [len(data)])).astype(np.int64)
    whole = np.stack((segments, np.diff(borders), np.zeros(len(segments), np.int64)), axis=1)
    return whole[wanted[np.searchsorted(streams.bounds, segments, side="right") - 1]]


def delimited(
    data: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64], framing: DelimiterFraming
) -> NDArray[np.int64]:
    """Return where whole messages end in runs (int64 starts and ends into ``data``)."""
    marks = tuple(np.frombuffer(text, np.uint8) for text in (framing.delimiter, framing.opening))
    source = np.ascontiguousarray(data).view()
    source.flags.writeable = False
    table = _run_twice(_cut_by_delimiter, source, start, end, *marks)
    whole = table[table[:, 2] == 0]
    return np.asarray(whole[:, 0] + whole[:, 1])


def _run_twice(kernel: Callable[..., int], *arguments: object) -> NDArray[np.int64]:
    """Call a kernel once to count its messages and once to write them."""
    count = kernel(*arguments, np.zeros((0, 3), np.int64))
    out = np.zeros((count, 3), np.int64)
    kernel(*arguments, out)
    return out
