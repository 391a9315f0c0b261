"""Decoded packets with copies of what they carry: they can be divided by hosts, stored, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from ..batch import IN_STREAM, PART_BITS, MessageBatch, arrow_stream
from ..errors import InputError
from .headers import IGNORED, PACKET, Packets
from .packets import PacketIndex

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def _copy(data, start, offsets, out):  # type: ignore[no-untyped-def]
    for i in range(len(start)):
        length = offsets[i + 1] - offsets[i]
        out[offsets[i] : offsets[i + 1]] = data[start[i] : start[i] + length]


@dataclass(frozen=True)
class Packed:
    """
    Packets of the files of a capture set that carry something.

    Attributes:
        packets: ``PACKET`` records; ``at``, ``stop`` and ``wire`` are offsets into ``data``.
        time: int64 nanoseconds. file: int32, index of the file in the set. row: int64, place of the packet in its file.
        data: uint8, what the packets carry above their last header, one after another.
    """

    packets: Packets
    time: NDArray[np.int64]
    file: NDArray[np.int32]
    row: NDArray[np.int64]
    data: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.packets)

    @classmethod
    def of(cls, data: NDArray[np.uint8], packets: Packets, index: PacketIndex, file: int, first: int) -> Packed:
        """Return the packets of a piece of a file whose first is number ``first``; those that are ignored stay out."""
        rows = np.flatnonzero(packets["kind"] != IGNORED)
        whole = cls(packets, index.time, np.full(len(packets), file, np.int32), first + np.arange(len(packets)), data)
        return whole.take(rows)

    def take(self, rows: NDArray[np.int64]) -> Packed:
        """Return some packets with copies of their bytes."""
        packets = self.packets[rows]
        at = np.ascontiguousarray(packets["at"])
        offsets = np.concatenate(([0], np.cumsum(np.maximum(packets["stop"] - at, 0)))).astype(np.int64)
        data = np.empty(int(offsets[-1]), np.uint8)
        _copy(self.data, at, offsets, data)
        for name in ("wire", "stop", "at"):
            packets[name] += offsets[:-1] - at
        return Packed(packets, self.time[rows], self.file[rows], self.row[rows], data)

    def divided(self, parts: int) -> dict[int, Packed]:
        """Return the packets by part; all that two hosts say to each other, fragments included, is in one."""
        if parts == 1:
            return {0: self} if len(self) else {}
        part = _parts_of(self.packets, parts)
        order = np.argsort(part, kind="stable")
        borders = np.flatnonzero(np.diff(part[order], prepend=-1, append=-1))
        spans = pairwise(borders.tolist())
        return {int(part[order[a]]): self.take(order[a:b]) for a, b in spans}

    @classmethod
    def concatenate(cls, pieces: Sequence[Packed]) -> Packed:
        """Join pieces in the order given."""
        if not pieces:
            empty = np.zeros(0, np.int64)
            return cls(np.zeros(0, PACKET), empty, empty.astype(np.int32), empty, empty.astype(np.uint8))
        bases = np.cumsum([0, *(len(piece.data) for piece in pieces[:-1])])
        packets = np.concatenate([piece.packets for piece in pieces])
        shift = np.repeat(bases, [len(piece) for piece in pieces])
        for name in ("wire", "stop", "at"):
            packets[name] += shift
        columns = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("time", "file", "row", "data"))
        return cls(packets.view(PACKET), *columns)

    def to_bytes(self) -> bytes:
        """Return an Arrow stream of one record batch."""
        columns = {
            "packets": pa.array([self.packets.tobytes()], pa.large_binary()),
            **{name: pa.array([getattr(self, name).tobytes()], pa.large_binary()) for name in _COLUMNS},
        }
        return bytes(arrow_stream(pa.record_batch(columns)))

    @classmethod
    def from_bytes(cls, text: bytes) -> Packed:
        """
        Return the packets that ``to_bytes`` wrote.

        Raises:
            InputError: damaged.
        """
        try:
            batch = pa.ipc.open_stream(text).read_next_batch()
            packets = np.frombuffer(batch.column("packets")[0].as_buffer(), PACKET).copy()
            arrays = [np.frombuffer(batch.column(name)[0].as_buffer(), kind) for name, kind in _COLUMNS.items()]
        except (pa.ArrowInvalid, KeyError, ValueError, StopIteration) as error:
            raise InputError("not packets", where="capture set") from error
        return cls(packets, *arrays)

    def placed(self, batch: MessageBatch) -> dict[int, MessageBatch]:
        """
        Return messages of these packets by file, in order of capture; their numbers are places in their file.

        Args:
            batch: its numbers are places in this set of packets.
        """
        number = batch.view().number
        streamed = number & IN_STREAM != 0
        packet = np.where(streamed, (number ^ IN_STREAM) >> PART_BITS, number)
        part = number & ((1 << PART_BITS) - 1)
        row, file = self.row[packet], self.file[packet]
        numbers = np.where(streamed, IN_STREAM | (row << PART_BITS) | part, row)
        column = batch.table.schema.get_field_index("number")
        table = batch.table.set_column(column, "number", pa.array(numbers))
        order = np.lexsort((part * streamed, row, file))
        borders = np.flatnonzero(np.diff(file[order], prepend=-1, append=-1))
        sorted_table = table.take(pa.array(order))
        spans = pairwise(borders.tolist())
        return {int(file[order[a]]): MessageBatch(sorted_table.slice(a, b - a)) for a, b in spans}


_COLUMNS = {"time": np.int64, "file": np.int32, "row": np.int64, "data": np.uint8}


def _parts_of(packets: Packets, parts: int) -> NDArray[np.int64]:
    """Return the part of each packet, by both hosts in either order."""
    ends = []
    for end in ("src", "dst"):
        mixed = (packets[end + "0"] + _MULTIPLIER) * _MULTIPLIER + packets[end + "1"]
        mixed ^= mixed >> np.uint64(32)
        ends.append(mixed * _MULTIPLIER)
    both = ends[0] + ends[1]
    both ^= both >> np.uint64(29)
    both *= _MULTIPLIER
    found: NDArray[np.int64] = ((both >> np.uint64(33)) % np.uint64(parts)).astype(np.int64)
    return found
