"""The index of the packets of a pcapng file (draft-ietf-opsawg-pcapng): sections, interfaces, packet blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .limits import CaptureLimits
from .packets import (
    BAD_BLOCK,
    COMPLETE,
    CUT_HEADER,
    CUT_PACKET,
    NO_TIME,
    TOO_MANY,
    PacketIndex,
    packet_index,
    u16,
    u32,
)

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_IF_TSRESOL, _IF_TSOFFSET = 9, 14
_MAX_INTERFACES = 65536


@dataclass(frozen=True)
class _Interfaces:
    """Per interface: LINKTYPE, snap length, resolution byte, seconds to add; and each section's first interface."""

    link: NDArray[np.int64]
    snap: NDArray[np.int64]
    resolution: NDArray[np.int64]
    offset: NDArray[np.int64]
    first: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _byte_order(data, at):  # type: ignore[no-untyped-def]
    """Return 1 for a big-endian section, 0 for a little-endian one, -1 for neither."""
    if u32(data, at + 8, True) == 0x1A2B3C4D:
        return 1
    return 0 if u32(data, at + 8, False) == 0x1A2B3C4D else -1


@njit(cache=True, nogil=True)
def _check_block(data, at, big):  # type: ignore[no-untyped-def]
    """Return the length of the block at an offset, or minus the reason why it cannot be one."""
    left = len(data) - at
    if left < 12:
        return -CUT_HEADER
    length = u32(data, at + 4, big)
    if length < 12 or length & 3:
        return -BAD_BLOCK
    if length > left:
        return -CUT_PACKET
    return length if u32(data, at + length - 4, big) == length else -BAD_BLOCK


@njit(cache=True, nogil=True)
def _walk_blocks(data, at, section, big, limit, out):  # type: ignore[no-untyped-def]
    """Fill out[row] = kind, start, length, section, endian of blocks we read; return rows, packets, reason, end."""
    rows = packets = 0
    while at < len(data):
        if len(data) - at >= 12 and u32(data, at, True) == SECTION:
            big = _byte_order(data, at)
            section += 1
        length = _check_block(data, at, big == 1) if big >= 0 else -BAD_BLOCK
        if length < 0:
            return rows, packets, -length, at
        kind = u32(data, at, big == 1)
        if kind in (OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET):
            packets += 1
        if packets > limit:
            return rows, limit, TOO_MANY, at
        if kind in (SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET):
            if rows < len(out):
                out[rows, 0], out[rows, 1], out[rows, 2], out[rows, 3], out[rows, 4] = kind, at, length, section, big
            rows += 1
        at += length
    return rows, packets, COMPLETE, at


def _options(data: NDArray[np.uint8], at: int, end: int, big: bool) -> dict[int, bytes]:
    """Return the options of a block by code, up to the first that does not fit."""
    found: dict[int, bytes] = {}
    while end - at >= 4:
        code, length = int(u16(data, at, big)), int(u16(data, at + 2, big))
        if code == 0 or length > end - at - 4:
            break
        found[code] = data[at + 4 : at + 4 + length].tobytes()
        at += 4 + (length + 3) // 4 * 4
    return found


def _read_interfaces(data: NDArray[np.uint8], blocks: NDArray[np.int64]) -> _Interfaces:
    rows = []
    for _, at, length, section, endian in blocks[blocks[:, 0] == INTERFACE][:_MAX_INTERFACES].tolist():
        big = bool(endian)
        if length < 20:
            rows.append((section, -1, 0, 6, 0))
            continue
        options = _options(data, at + 16, at + length - 4, big)
        resolution = options.get(_IF_TSRESOL, b"\x06")[:1] or b"\x06"
        offset = int.from_bytes(options.get(_IF_TSOFFSET, b""), "big" if big else "little", signed=True)
        offset = offset if abs(offset) < 1 << 33 else 0
        link, snap = int(u16(data, at + 8, big)), int(u32(data, at + 12, big))
        rows.append((section, link, snap, resolution[0], offset))
    table = np.array(rows, np.int64).reshape(-1, 5)
    sections = int(blocks[:, 3].max()) + 1 if len(blocks) else 0
    first = np.searchsorted(table[:, 0], np.arange(sections + 1))
    links, snaps, resolutions, offsets = (np.ascontiguousarray(table[:, column]) for column in range(1, 5))
    return _Interfaces(links, snaps, resolutions, offsets, first.astype(np.int64))


@njit(cache=True, nogil=True)
def nanoseconds(ticks, resolution):  # type: ignore[no-untyped-def]
    """Return ticks of 10**-r s, or with the high bit set of 2**-r s, in nanoseconds; beyond 64 bits it wraps."""
    power = resolution & 0x7F
    if resolution & 0x80:
        power = min(power, 63)
        whole, part = ticks >> np.uint64(power), ticks & ((np.uint64(1) << np.uint64(power)) - np.uint64(1))
        if power > 32:
            part, power = part >> np.uint64(power - 32), 32
        return np.int64(whole * np.uint64(1_000_000_000) + ((part * np.uint64(1_000_000_000)) >> np.uint64(power)))
    for _ in range(power, 9):
        ticks *= np.uint64(10)
    for _ in range(9, min(power, 30)):
        ticks //= np.uint64(10)
    return np.int64(ticks)


@njit(cache=True, nogil=True)
def _enhanced(data, at, length, big, out):  # type: ignore[no-untyped-def]
    """Read an enhanced or an old packet block: the two differ in the width of the interface's number."""
    if length < 32:
        return -1
    out[0], out[1], out[2] = at + 28, u32(data, at + 20, big), u32(data, at + 24, big)
    room = length - 32
    if out[1] > room:
        out[1] = room
    return u32(data, at + 8, big) if u32(data, at, big) == ENHANCED_PACKET else u16(data, at + 8, big)


@njit(cache=True, nogil=True)
def _simple(data, at, length, big, snap, out):  # type: ignore[no-untyped-def]
    if length < 16:
        return -1
    wire = u32(data, at + 8, big)
    out[0], out[1], out[2] = at + 12, min(wire, length - 16), wire
    if snap > 0:
        out[1] = min(out[1], snap)
    return 0


@njit(cache=True, nogil=True)
def _time(data, at, big, resolution, offset):  # type: ignore[no-untyped-def]
    ticks = (np.uint64(u32(data, at + 12, big)) << np.uint64(32)) | np.uint64(u32(data, at + 16, big))
    return nanoseconds(ticks, resolution) + offset * 1_000_000_000


@njit(cache=True, nogil=True)
def _read_packets(data, blocks, link, snap, resolution, offset, first, out, links):  # type: ignore[no-untyped-def]
    """Fill out[row] = start, captured, wire, time; a block of an undefined interface has no bytes. Return those."""
    row = lost = 0
    for block in range(len(blocks)):
        kind, at, length, section, endian = blocks[block]
        if kind in (SECTION, INTERFACE):
            continue
        big, base, interfaces = endian == 1, first[section], first[section + 1] - first[section]
        if kind == SIMPLE_PACKET:
            which = _simple(data, at, length, big, snap[base] if interfaces else 0, out[row])
        else:
            which = _enhanced(data, at, length, big, out[row])
        if which < 0 or which >= interfaces or link[base + which] < 0:
            lost += 1
            out[row, 0], out[row, 1], out[row, 2], out[row, 3], links[row] = at, 0, 0, NO_TIME, 1
        else:
            interface = base + which
            out[row, 2] = max(out[row, 2], out[row, 1])
            out[row, 3], links[row] = NO_TIME, link[interface]
            if kind != SIMPLE_PACKET:
                out[row, 3] = _time(data, at, big, resolution[interface], offset[interface])
        row += 1
    return lost


class PcapngWalk:
    """
    Walks a pcapng file (draft-ietf-opsawg-pcapng): sections of either endian, their interfaces and packet blocks.

    Attributes:
        at: offset of the first byte that was not walked over. reason: why the last walk ended.
    """

    def __init__(self) -> None:
        self.at, self.reason = 0, COMPLETE
        self._kept = np.zeros((0, 5), np.int64)  # sections and interfaces so far
        self._section, self._big = -1, -1

    def next(self, data: NDArray[np.uint8], limits: CaptureLimits, most: int) -> PacketIndex:
        """
        Index up to ``most`` packets more; the caller has checked the magic, and may give more data than before.

        A file that is cut or damaged gives the packets before the damage, and a ``reason``.
        """
        begin = (self.at, self._section, self._big)
        rows, packets, reason, end = _walk_blocks(data, *begin, most, np.zeros((0, 5), np.int64))
        blocks = np.zeros((rows, 5), np.int64)
        _walk_blocks(data, *begin, most, blocks)
        self.at, self.reason = end, reason
        blocks = np.concatenate((self._kept, blocks))
        self._kept = blocks[(blocks[:, 0] == SECTION) | (blocks[:, 0] == INTERFACE)]
        if len(self._kept):
            self._section, self._big = int(self._kept[-1, 3]), int(self._kept[-1, 4])
        return self._packets(data, blocks, packets, limits)

    @staticmethod
    def _packets(
        data: NDArray[np.uint8], blocks: NDArray[np.int64], packets: int, limits: CaptureLimits
    ) -> PacketIndex:
        interfaces = _read_interfaces(data, blocks)
        table, links = np.zeros((packets, 4), np.int64), np.zeros(packets, np.int32)
        lost = _read_packets(
            data, blocks, interfaces.link, interfaces.snap, interfaces.resolution, interfaces.offset, interfaces.first,
            table, links,
        )  # fmt: skip
        warnings = []
        if lost:
            what = "packets are of an interface that the file does not define, or too short: left out"
            warnings.append(f"{lost} {what}")
        huge = table[:, 1] > limits.packet_bytes
        if huge.any():
            warnings.append(f"{int(huge.sum())} packets of more than {limits.packet_bytes} bytes were left out")
            table[huge, 1:3] = 0
        return packet_index(table, links, warnings)
