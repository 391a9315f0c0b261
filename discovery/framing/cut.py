"""Cutting byte streams into messages by a known framing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..spec.framing import DelimiterFraming, FixedFraming, Framing, LengthFraming
from ..streams import StreamSet

MAX_MESSAGE = 1 << 24
"""A length above this is taken for a loss of synchronisation."""
_SYNC = 3  # messages in a row that must make sense before a place is taken for a border
_TRIES = 64  # segment starts that are tried for one


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


@njit(cache=True, nogil=True)
def read_length(data, at, width, big):  # type: ignore[no-untyped-def]
    """Return ``width`` bytes (at most 7 matter) as an unsigned number."""
    value = np.int64(0)
    for i in range(width):
        value = (value << 8) | data[at + i if big else at + width - 1 - i]
        if value >= 1 << 48:
            return np.int64(1 << 48)
    return value


@njit(cache=True, nogil=True)
def _length_at(data, at, end, rule):  # type: ignore[no-untyped-def]
    """Return the message length told at a place, 0 if it is absurd, -1 if the run ends before the length does."""
    offset, width = rule[0], rule[1]
    if end - at < offset + width:
        return -1
    length = read_length(data, at + offset, width, rule[2] == 1) * rule[3] + rule[4]
    return 0 if length < offset + width or length > MAX_MESSAGE else length


@njit(cache=True, nogil=True)
def _makes_sense(data, at, end, rule, magic):  # type: ignore[no-untyped-def]
    """Whether messages follow each other from a place on: several, or all up to the end of the run."""
    for _ in range(_SYNC):
        if at == end:
            return True
        length = _length_at(data, at, end, rule)
        if length <= 0 or length > end - at:
            return False
        for i in range(len(magic)):
            if data[at + i] != magic[i]:
                return False
        at += length
    return True


@njit(cache=True, nogil=True)
def _synchronise(data, first, end, segments, at, rule, magic):  # type: ignore[no-untyped-def]
    """Return the first segment start after ``first`` from which the messages make sense, or the end of the run."""
    for _ in range(_TRIES):
        while at < len(segments) and segments[at] <= first:
            at += 1
        if at == len(segments) or segments[at] >= end:
            return end
        if _makes_sense(data, segments[at], end, rule, magic):
            return segments[at]
        at += 1
    return end


@njit(cache=True, nogil=True)
def _emit(out, count, start, length, kind):  # type: ignore[no-untyped-def]
    """Write a message (kind: 0 whole, 1 partial, 2 unframed) if it has bytes and there is room."""
    if length <= 0:
        return count
    if count < len(out):
        out[count, 0], out[count, 1], out[count, 2] = start, length, kind
    return count + 1


@njit(cache=True, nogil=True)
def _cut_run(data, at, end, owed, segments, rule, magic, out, count):  # type: ignore[no-untyped-def]
    """Cut one run, whose first ``owed`` bytes end an earlier message; return the count and the bytes owed after it."""
    cursor = np.searchsorted(segments, at)
    if owed:
        stop = min(at + owed, end)
        count = _emit(out, count, at, stop - at, 1)
        at = stop
    elif not _makes_sense(data, at, end, rule, magic):
        sure = _synchronise(data, at, end, segments, cursor, rule, magic)
        if sure < end:
            count = _emit(out, count, at, sure - at, 2)
            at = sure
    while at < end:
        length = _length_at(data, at, end, rule)
        if length == 0:
            sure = _synchronise(data, at, end, segments, np.searchsorted(segments, at), rule, magic)
            count = _emit(out, count, at, sure - at, 2)
            at = sure
        elif length < 0 or length > end - at:
            count = _emit(out, count, at, end - at, 1)
            return count, max(length - (end - at), 0)
        else:
            count = _emit(out, count, at, length, 0)
            at += length
    return count, 0


@njit(cache=True, nogil=True)
def _cut_by_length(data, starts, ends, missing, segments, rule, magic, out):  # type: ignore[no-untyped-def]
    count = owed = 0
    for run in range(len(starts)):
        owed = owed - missing[run] if missing[run] >= 0 and owed > missing[run] else 0
        count, owed = _cut_run(data, starts[run], ends[run], owed, segments, rule, magic, out, count)
    return count


@njit(cache=True, nogil=True)
def _cut_by_delimiter(data, starts, ends, delimiter, out):  # type: ignore[no-untyped-def]
    count, size = 0, len(delimiter)
    for run in range(len(starts)):
        begin = starts[run]
        at = begin + size
        while at <= ends[run]:
            same = 0
            while same < size and data[at - size + same] == delimiter[same]:
                same += 1
            if same == size:
                count = _emit(out, count, begin, at - begin, 0)
                begin = at
                at += size
            else:
                at += 1
        count = _emit(out, count, begin, ends[run] - begin, 1)
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
    end, if that lies behind the gap, else at the first segment start from which lengths follow each other.
    """
    starts, ends, missing = runs_of(streams)
    data, segments = np.ascontiguousarray(streams.data).view(), np.ascontiguousarray(streams.segment_start)
    data.flags.writeable = False  # one kind of array, whatever the streams came from: kernels compile once
    if isinstance(framing, LengthFraming):
        rule = np.array(
            [framing.offset, framing.width, framing.endianness == "big", framing.scale, framing.bias], np.int64
        )
        magic = np.frombuffer(framing.magic, np.uint8)
        if len(magic) > framing.offset + framing.width:
            magic = magic[: framing.offset + framing.width]
        table = _run_twice(_cut_by_length, data, starts, ends, missing, segments, rule, magic)
    elif isinstance(framing, DelimiterFraming):
        table = _run_twice(_cut_by_delimiter, data, starts, ends, np.frombuffer(framing.delimiter, np.uint8))
    elif isinstance(framing, FixedFraming):
        table = _run_twice(_cut_by_size, starts, ends, missing, framing.size)
    else:
        borders = np.concatenate((segments, [len(data)])).astype(np.int64)
        table = np.stack((segments, np.diff(borders), np.zeros(len(segments), np.int64)), axis=1)
    stream = np.searchsorted(streams.bounds, table[:, 0], side="right") - 1
    return Cuts(table[:, 0].copy(), table[:, 1].copy(), stream, table[:, 2] == 1, table[:, 2] == 2)


def _run_twice(kernel: Callable[..., int], *arguments: object) -> NDArray[np.int64]:
    """Call a kernel once to count its messages and once to write them."""
    count = kernel(*arguments, np.zeros((0, 3), np.int64))
    out = np.zeros((count, 3), np.int64)
    kernel(*arguments, out)
    return out
