"""Reassembly of fragmented IP datagrams (RFC 791, RFC 8200 section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .headers import FRAGMENT, FRAGMENT_LOST, FRAGMENT_PART, IGNORED, Packets, transport

MAX_DATAGRAM = 65535


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
def _join(data, packets, rows, group, extra, joined):  # type: ignore[no-untyped-def]
    """Run over fragment rows sorted by datagram key and order of capture; return the bytes used and the datagrams."""
    buffer, filled = np.zeros(MAX_DATAGRAM + 1, np.uint8), np.zeros(MAX_DATAGRAM + 1, np.uint8)
    used, datagrams, have, total, reach, begin = 0, 0, 0, -1, 0, 0
    for i in range(len(rows)):
        p = packets[rows[i]]
        if group[i] != group[max(i - 1, 0)]:
            filled[:reach] = 0
            have, total, reach, begin = 0, -1, 0, i
        if not _usable(p):
            continue
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


def join_fragments(data: NDArray[np.uint8], packets: Packets) -> Fragments:
    """
    Reassemble datagrams; the packet that completes one becomes the datagram, the others are ignored.

    Of bytes that were sent twice the first copy counts. A fragment that the capture cut, or whose datagram never
    becomes complete, is lost; ``packets`` is changed in place.
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
    used, datagrams = _join(data, packets, rows, np.cumsum(changed), extra, joined)
    left = packets["kind"][rows] == FRAGMENT
    packets["number"][rows[left]] = np.where(joined[left], FRAGMENT_PART, FRAGMENT_LOST)
    packets["kind"][rows[left]] = IGNORED
    return Fragments(extra[:used], len(rows), int(datagrams), int((~joined).sum()))
