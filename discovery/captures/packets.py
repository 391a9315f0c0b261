"""The index of the packets of a pcap file: where each lies, when it was taken, on which link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .limits import CaptureLimits

NO_TIME = np.iinfo(np.int64).min
COMPLETE, CUT_HEADER, CUT_PACKET, ABSURD_LENGTH, TOO_MANY, BAD_BLOCK = range(6)
REASONS = {
    CUT_HEADER: "the file ends within a packet header",
    CUT_PACKET: "the file ends within a packet",
    ABSURD_LENGTH: "a packet claims an absurd length",
    TOO_MANY: "more packets than the limit",
    BAD_BLOCK: "a block has an impossible length",
}
MAGICS = {  # first four bytes -> (big-endian, nanoseconds in a tick, bytes of a packet header)
    b"\xd4\xc3\xb2\xa1": (False, 1000, 16),
    b"\xa1\xb2\xc3\xd4": (True, 1000, 16),
    b"\x4d\x3c\xb2\xa1": (False, 1, 16),
    b"\xa1\xb2\x3c\x4d": (True, 1, 16),
    b"\x34\xcd\xb2\xa1": (False, 1000, 24),  # Kuznetzov's modified format
    b"\xa1\xb2\xcd\x34": (True, 1000, 24),
}


def record_type(fields: list[tuple[str, type]]) -> np.dtype[Any]:
    """Return an aligned type of records whose fields are attributes, also where kernels run without being compiled."""
    return np.dtype((np.record, np.dtype(fields, align=True)))


@dataclass(frozen=True)
class PacketIndex:
    """
    Where the packets of a capture lie.

    Attributes:
        start: int64, offset of the captured bytes; captured, wire: int64, bytes captured and bytes sent.
        time: int64 nanoseconds since 1970, ``NO_TIME`` where the capture has none.
        link: int32, LINKTYPE value.
        warnings: what was damaged.
    """

    start: NDArray[np.int64]
    captured: NDArray[np.int64]
    wire: NDArray[np.int64]
    time: NDArray[np.int64]
    link: NDArray[np.int32]
    warnings: list[str]

    def __len__(self) -> int:
        return len(self.start)


@njit(cache=True, nogil=True)
def u16(data: NDArray[np.uint8], at: int, big: bool) -> np.int64:
    """Return two bytes as an unsigned number."""
    a, b = np.int64(data[at]), np.int64(data[at + 1])
    return (a << 8) | b if big else (b << 8) | a


@njit(cache=True, nogil=True)
def u32(data: NDArray[np.uint8], at: int, big: bool) -> np.int64:
    """Return four bytes as an unsigned number."""
    a, b = u16(data, at, big), u16(data, at + 2, big)
    return (a << 16) | b if big else (b << 16) | a


@njit(cache=True, nogil=True)
def _walk_pcap(data, at, big, tick, header, limit, most, out):  # type: ignore[no-untyped-def]
    """Fill out[row] = start, captured, wire, time while there is room; return rows, reason, offset of the end."""
    rows, size = 0, len(data)
    while at < size:
        if rows == most:
            return rows, TOO_MANY, at
        if size - at < header:
            return rows, CUT_HEADER, at
        captured = u32(data, at + 8, big)
        if captured > limit:
            return rows, ABSURD_LENGTH, at
        if size - at - header < captured:
            return rows, CUT_PACKET, at
        if rows < len(out):
            out[rows, 0] = at + header
            out[rows, 1] = captured
            out[rows, 2] = max(captured, u32(data, at + 12, big))
            out[rows, 3] = u32(data, at, big) * 1_000_000_000 + u32(data, at + 4, big) * tick
        rows += 1
        at += header + captured
    return rows, COMPLETE, at


class PcapWalk:
    """
    Walks the packets of a pcap file (draft-ietf-opsawg-pcap), microseconds or nanoseconds, both endians.

    Attributes:
        at: offset of the first byte that was not walked over. reason: why the last walk ended.
    """

    def __init__(self) -> None:
        self.at, self.reason = 24, COMPLETE

    def next(self, data: NDArray[np.uint8], limits: CaptureLimits, most: int) -> PacketIndex:
        """
        Index up to ``most`` packets more; the caller has checked the magic, and may give more data than before.

        A file that is cut or damaged gives the packets before the damage, and a ``reason``.
        """
        if len(data) < self.at:
            self.reason = CUT_HEADER
            return _index(np.zeros((0, 4), np.int64), 0)
        big, tick, header = MAGICS[data[:4].tobytes()]
        form = (big, tick, header, limits.packet_bytes)
        rows, self.reason, end = _walk_pcap(data, self.at, *form, most, np.zeros((0, 4), np.int64))
        table = np.zeros((rows, 4), np.int64)
        _walk_pcap(data, self.at, *form, rows, table)
        self.at = end
        link = int(u32(data, 20, big))
        if link & 0x04000000:  # frames end with a frame check sequence of so many 16-bit words
            table[:, 2] = np.maximum(table[:, 2] - 2 * (link >> 28), 0)
            table[:, 1] = np.minimum(table[:, 1], table[:, 2])
        return _index(table, link & 0xFFFF)


def damage(reason: int, packets: int, end: int, size: int) -> list[str]:
    """Return the warning about a walk that ended early, if it did."""
    if reason == COMPLETE:
        return []
    left_out = f"the {size - end} bytes from offset {end} on were left out"
    return [f"{REASONS[reason]}: {packets} packets were read, {left_out}"]


def _index(table: NDArray[np.int64], link: int) -> PacketIndex:
    return packet_index(table, np.full(len(table), link, np.int32), [])


def packet_index(table: NDArray[np.int64], link: NDArray[np.int32], warnings: list[str]) -> PacketIndex:
    """Make an index from a table of start, captured, wire, time."""
    start, captured, wire, time = (np.ascontiguousarray(table[:, column]) for column in range(4))
    return PacketIndex(start, captured, wire, time, link, warnings)
