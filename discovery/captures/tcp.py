"""
TCP reassembly: the bytes each side of a flow sent, in order, once, with marks where bytes are missing.

The rules are those of Wireshark's "follow stream": the first packet seen of a side starts its stream, unless it only
keeps an older connection alive; a segment that continues the stream is taken at once and its already known part
dropped; one that lies ahead waits; what waits is given up for lost when the other side acknowledges bytes beyond the
gap. Beyond that tool, what still waits at the end of the flow is taken with the gap marked, so that no captured byte
behind a gap is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .flows import ACK, SYN
from .headers import Packets
from .packets import record_type

PIECE = record_type([
    ("stream", np.int64),  # 2 * flow + side
    ("row", np.int64),  # the packet
    ("at", np.int64),  # where its new bytes lie
    ("length", np.int64),
    ("gap", np.int64),  # bytes missing right before it
])  # fmt: skip
_SIDE = record_type([
    ("started", np.int64),
    ("first", np.uint32),  # sequence number at which the stream starts
    ("expected", np.uint32),  # next sequence number
    ("gap", np.int64),  # bytes missing since the last piece
    ("head", np.int64),  # waiting rows are waiting[side, head:tail], in order of arrival, -1 where taken
    ("tail", np.int64),
    ("alive", np.int64),
    ("lowest", np.uint32),  # lowest sequence number that waits
    ("heard", np.int64),  # whether the other side has acknowledged, and what
    ("acked", np.uint32),
])  # fmt: skip


@dataclass(frozen=True)
class Reassembly:
    """
    What the segments of all flows amount to.

    Attributes:
        pieces: ``PIECE`` records, those of one stream in stream order.
        tail_gap: int64, per stream (2 * flow + side): bytes missing at its end.
        duplicate_bytes: bytes that were sent again and dropped.
        early_bytes: bytes from before the first packet that was seen of a side, dropped.
    """

    pieces: NDArray[np.void]
    tail_gap: NDArray[np.int64]
    duplicate_bytes: int
    early_bytes: int


@njit(cache=True, nogil=True)
def _ahead(a, b):  # type: ignore[no-untyped-def]
    """Return a - b of two sequence numbers, modulo 2**32, between -2**31 and 2**31 - 1."""
    return np.int64(np.int32(np.uint32(a) - np.uint32(b)))


@njit(cache=True, nogil=True)
def _first(p):  # type: ignore[no-untyped-def]
    return np.uint32(p.seq + np.uint32(1)) if p.control & SYN else p.seq


@njit(cache=True, nogil=True)
def _take(p, row, stream, s, pieces, totals):  # type: ignore[no-untyped-def]
    """Append what a packet adds to the stream, if it adds anything."""
    sent, skip = p.wire - p.at, -_ahead(_first(p), s.expected)
    before = min(sent, max(-_ahead(_first(p), s.first), 0))
    totals[3] += before
    totals[1] += min(sent, skip) - before
    if sent <= skip:
        return
    have = max(p.stop - p.at - skip, 0)
    if have:
        piece = pieces[totals[0]]
        piece.stream, piece.row, piece.at, piece.length, piece.gap = stream, row, p.at + skip, have, s.gap
        s.gap = 0
        totals[0] += 1
    s.gap += sent - skip - have  # cut by the snap length
    s.expected = np.uint32(s.expected + np.uint32(sent - skip))


@njit(cache=True, nogil=True)
def _find_next(packets, s, waiting, totals):  # type: ignore[no-untyped-def]
    """Return where the earliest arrival waits that does not lie ahead; -1 if all do, and then set the lowest."""
    while waiting[s.head] < 0:
        s.head += 1
    lowest = _first(packets[waiting[s.head]])
    for at in range(s.head, s.tail):
        totals[2] += 1
        if waiting[at] < 0:
            continue
        first = _first(packets[waiting[at]])
        if _ahead(first, s.expected) <= 0:
            return at
        if _ahead(first, lowest) < 0:
            lowest = first
    s.lowest = lowest
    return -1


@njit(cache=True, nogil=True)
def _drain(packets, stream, s, waiting, pieces, totals):  # type: ignore[no-untyped-def]
    """Take what waits and has come within reach."""
    if not s.alive or _ahead(s.lowest, s.expected) > 0:
        return
    while s.alive:
        at = _find_next(packets, s, waiting, totals)
        if at < 0:
            return
        _take(packets[waiting[at]], waiting[at], stream, s, pieces, totals)
        waiting[at] = -1
        s.alive -= 1


@njit(cache=True, nogil=True)
def _give_up(packets, stream, s, waiting, pieces, totals):  # type: ignore[no-untyped-def]
    """Count the gap before the lowest waiting segment as lost, and go on behind it."""
    s.gap += _ahead(s.lowest, s.expected)
    s.expected = s.lowest
    _drain(packets, stream, s, waiting, pieces, totals)


@njit(cache=True, nogil=True)
def _wait(packets, row, stream, s, waiting, pieces, totals, most):  # type: ignore[no-untyped-def]
    """Queue a segment that lies ahead."""
    if s.alive >= most:
        _give_up(packets, stream, s, waiting, pieces, totals)
    if s.tail == len(waiting):
        kept = 0
        for at in range(s.head, s.tail):
            if waiting[at] >= 0:
                waiting[kept] = waiting[at]
                kept += 1
        s.head, s.tail = 0, kept
    first = _first(packets[row])
    if not s.alive:
        s.head = s.tail = 0
        s.lowest = first
    elif _ahead(first, s.lowest) < 0:
        s.lowest = first
    waiting[s.tail] = row
    s.tail += 1
    s.alive += 1


@njit(cache=True, nogil=True)
def _keeps_alive(p, s):  # type: ignore[no-untyped-def]
    """Whether a packet without data asks for the last byte that the other side acknowledged (RFC 9293, 3.8.4)."""
    return p.wire == p.at and s.heard and np.uint32(s.acked - np.uint32(1)) == p.seq


@njit(cache=True, nogil=True)
def _receive(packets, row, stream, s, waiting, pieces, totals, most):  # type: ignore[no-untyped-def]
    p = packets[row]
    if not s.started and _keeps_alive(p, s):
        return
    if not s.started:
        s.started, s.first, s.expected = 1, _first(p), _first(p)
    if _ahead(_first(p), s.expected) <= 0:
        _take(p, row, stream, s, pieces, totals)
    elif p.wire > p.at:
        _wait(packets, row, stream, s, waiting, pieces, totals, most)
    _drain(packets, stream, s, waiting, pieces, totals)


@njit(cache=True, nogil=True)
def _acknowledge(packets, ack, stream, s, waiting, pieces, totals):  # type: ignore[no-untyped-def]
    """Give up for lost what the other side says it has received."""
    s.heard, s.acked = 1, ack
    while s.alive and _ahead(ack, s.lowest) > 0:
        _give_up(packets, stream, s, waiting, pieces, totals)


@njit(cache=True, nogil=True)
def _finish(packets, flow, states, waiting, pieces, totals, tail_gap):  # type: ignore[no-untyped-def]
    """Take what still waits at the end of a flow, and start afresh."""
    for side in range(2):
        s, stream = states[side], 2 * flow + side
        while s.alive:
            _give_up(packets, stream, s, waiting[side], pieces, totals)
        tail_gap[stream] = s.gap
        s.started = s.gap = s.head = s.tail = s.heard = 0


@njit(cache=True, nogil=True)
def _reassemble(packets, rows, flow_of, side_of, states, waiting, pieces, tail_gap, totals, most, budget):  # type: ignore[no-untyped-def]
    """Run over rows sorted by flow; totals: pieces, duplicate bytes, steps of searching, bytes before the start."""
    for at in range(len(rows)):
        row = rows[at]
        flow, side, p = flow_of[row], side_of[row], packets[row]
        if at and flow != flow_of[rows[at - 1]]:
            _finish(packets, flow_of[rows[at - 1]], states, waiting, pieces, totals, tail_gap)
        if p.control & ACK:
            _acknowledge(packets, p.ack, 2 * flow + 1 - side, states[1 - side], waiting[1 - side], pieces, totals)
        room = most if totals[2] < budget else 64
        _receive(packets, row, 2 * flow + side, states[side], waiting[side], pieces, totals, room)
    if len(rows):
        _finish(packets, flow_of[rows[-1]], states, waiting, pieces, totals, tail_gap)


def reassemble(
    packets: Packets, rows: NDArray[np.int64], flow_of: NDArray[np.int64], side_of: NDArray[np.int8], *,
    flows: int, most: int,
) -> Reassembly:  # fmt: skip
    """
    Reassemble TCP packets.

    Args:
        rows: the TCP packets, sorted by flow and then by order of capture.
        flow_of, side_of: per packet of the capture.
        flows: how many flows there are.
        most: segments of a side that may wait; the search among them has a budget, after which 64 may.
    """
    pieces, totals = np.zeros(len(rows), PIECE), np.zeros(4, np.int64)
    tail_gap = np.zeros(2 * flows, np.int64)
    waiting = np.zeros((2, 2 * most + 2), np.int64)  # twice, so that taken places are seldom cleared out
    budget = 1 << 30
    _reassemble(packets, rows, flow_of, side_of, np.zeros(2, _SIDE), waiting, pieces, tail_gap, totals, most, budget)
    pieces = pieces[: totals[0]]
    order = np.argsort(pieces["stream"], kind="stable")
    return Reassembly(pieces[order], tail_gap, int(totals[1]), int(totals[3]))
