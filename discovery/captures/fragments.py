"""Reassembly of fragmented IP datagrams (RFC 791, RFC 8200 section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .headers import FRAGMENT, FRAGMENT_LOST, FRAGMENT_PART, IGNORED, Packets, transport
from .packets import NO_TIME

MAX_DATAGRAM = 65535
LONGEST_WAIT = 60_000_000_000
"""Nanoseconds after which a datagram that is not complete is given up (RFC 1122, 3.3.2; RFC 8200, 4.5)."""


@dataclass(frozen=True)
class Fragments:
    """
    What became of the fragments.

    Attributes:
        extra: uint8, the payloads of the reassembled datagrams; their packets have ``extra`` set and point into it.
        count: fragments in the capture; datagrams: how many were completed; lost: fragments that were not used.
    """

    extra: NDArray[np.uint8]
    count: int
    datagrams: int
    lost: int


@njit(cache=True, nogil=True)
def _place(data, p, buffer, filled):  # type: ignore[no-untyped-def]
    """Copy a fragment into the datagram; bytes that are there already stay. Return how many were new."""
    new = 0
    for i in range(p.stop - p.at):
        at = p.offset + i
        if not filled[at]:
            filled[at], buffer[at] = 1, data[p.at + i]
            new += 1
    return new


@njit(cache=True, nogil=True)
def _usable(p):  # type: ignore[no-untyped-def]
    return p.wire == p.stop and p.offset + p.stop - p.at <= MAX_DATAGRAM


@njit(cache=True, nogil=True)
def _too_late(time, since):  # type: ignore[no-untyped-def]
    return time != NO_TIME and since != NO_TIME and time - since > LONGEST_WAIT


@njit(cache=True, nogil=True)
def _join(data, packets, rows, group, time, extra, joined):  # type: ignore[no-untyped-def]
    """Run over fragment rows sorted by datagram key and order of capture; return the bytes used and the datagrams."""
    buffer, filled = np.zeros(MAX_DATAGRAM + 1, np.uint8), np.zeros(MAX_DATAGRAM + 1, np.uint8)
    used, datagrams, have, total, reach, begin, since = 0, 0, 0, -1, 0, 0, np.int64(0)
    for i in range(len(rows)):
        p = packets[rows[i]]
        if group[i] != group[max(i - 1, 0)] or (have and _too_late(time[i], since)):
            filled[:reach] = 0
            have, total, reach, begin = 0, -1, 0, i
        if not _usable(p):
            continue
        since = since if have else time[i]
        end = p.offset + p.stop - p.at
        have += _place(data, p, buffer, filled)
        reach = max(reach, end)
        total = total if p.more else end
        if have == total and reach == total:
            extra[used : used + total] = buffer[:total]
            filled[:reach] = 0
            p.at, p.stop, p.wire, p.extra = used, used + total, used + total, 1
            transport(extra, p, p.number)
            joined[begin : i + 1] = True
            used, datagrams = used + total, datagrams + 1
            have, total, reach, begin = 0, -1, 0, i + 1
    return used, datagrams


def join_fragments(data: NDArray[np.uint8], packets: Packets, time: NDArray[np.int64]) -> Fragments:
    """
    Reassemble datagrams; the packet that completes one becomes the datagram, the others are ignored.

    Of bytes that were sent twice the first copy counts. A fragment that the capture cut, or whose datagram never
    becomes complete, is lost, and so is one that waits for longer than its number is kept from use; ``packets`` is
    changed in place, ``time`` is in nanoseconds.
    """
    rows = np.flatnonzero(packets["kind"] == FRAGMENT)
    if not len(rows):
        return Fragments(np.zeros(0, np.uint8), 0, 0, 0)
    names = ("src0", "src1", "dst0", "dst1", "ident", "number", "width")
    keys = packets[rows][list(names)]
    order = np.lexsort([keys[name] for name in names])  # stable: capture order within a datagram's key
    rows, keys = rows[order], keys[order]
    changed = np.zeros(len(rows), np.bool_)
    for name in names:
        changed[1:] |= keys[name][1:] != keys[name][:-1]
    extra = np.zeros(int((packets["stop"][rows] - packets["at"][rows]).sum()), np.uint8)
    joined = np.zeros(len(rows), np.bool_)
    used, datagrams = _join(data, packets, rows, np.cumsum(changed), time[rows], extra, joined)
    left = packets["kind"][rows] == FRAGMENT
    packets["number"][rows[left]] = np.where(joined[left], FRAGMENT_PART, FRAGMENT_LOST)
    packets["kind"][rows[left]] = IGNORED
    return Fragments(extra[:used], len(rows), int(datagrams), int((~joined).sum()))
