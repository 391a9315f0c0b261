"""From packets to protocol groups: datagrams as one Arrow table, TCP as one set of streams, both sorted by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from ..batch import SCHEMA, SERVER_TO_CLIENT
from ..streams import StreamSet
from .capture import ProtocolGroup, Transport
from .flows import Flows
from .headers import ETHER, IGNORED, IP, LINK, LLC, TCP, UDP, Packets
from .packets import NO_TIME
from .tcp import Reassembly, reassemble

Grouping = Literal["port", "transport"]
_PREFIX: dict[int, tuple[str, Transport]] = {
    UDP: ("udp_{}", "udp"),
    TCP: ("tcp_{}", "tcp"),
    IP: ("ip_{}", "ip"),
    ETHER: ("eth_{:04x}", "ethertype"),
    LLC: ("llc_{:02x}", "llc"),
    LINK: ("link_{}", "link"),
}


@dataclass(frozen=True)
class Traffic:
    """
    Decoded packets with all that grouping needs.

    Attributes:
        data, extra: uint8, where payloads lie: the capture, and the reassembled datagrams.
        packets: ``PACKET`` records; time: int64 nanoseconds; number: int64, places in the capture.
        flows: of these packets.
    """

    data: NDArray[np.uint8]
    extra: NDArray[np.uint8]
    packets: Packets
    time: NDArray[np.int64]
    number: NDArray[np.int64]
    flows: Flows

    def seconds(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the times of packets in seconds, NaN where unknown."""
        time = self.time[rows]
        whole = time // 1_000_000_000
        return np.where(time == NO_TIME, np.nan, whole + (time - whole * 1_000_000_000) / 1e9)


@njit(cache=True, nogil=True)
def _copy(data, extra, at, length, in_extra, starts, out):  # type: ignore[no-untyped-def]
    for i in range(len(at)):
        if in_extra[i]:
            out[starts[i] : starts[i] + length[i]] = extra[at[i] : at[i] + length[i]]
        else:
            out[starts[i] : starts[i] + length[i]] = data[at[i] : at[i] + length[i]]


@njit(cache=True, nogil=True)
def _write_addresses(high, low, width, out):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(len(width)):
        for k in range(width[i] - 1, -1, -1):
            word = high[i] if k >= 8 else low[i]
            out[at] = (word >> np.uint64(8 * (k & 7))) & np.uint64(0xFF)
            at += 1


def _gather(traffic: Traffic, rows: NDArray[np.int64], at: NDArray[np.int64], length: NDArray[np.int64]) -> tuple[
    NDArray[np.int64], NDArray[np.uint8]
]:  # fmt: skip
    """Copy ``length`` bytes from ``at`` of each packet into one buffer; return the n + 1 offsets and the buffer."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(length, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    _copy(traffic.data, traffic.extra, at, length, traffic.packets["extra"][rows], offsets, out)
    return offsets, out


def _binary(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> pa.Array:
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _addresses(packets: Packets, end: str) -> pa.Array:
    width = packets["width"].astype(np.int64)
    offsets = np.zeros(len(width) + 1, np.int32)
    np.cumsum(width, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    high, low = np.ascontiguousarray(packets[end + "0"]), np.ascontiguousarray(packets[end + "1"])
    _write_addresses(high, low, width, out)
    known = pa.py_buffer(np.packbits(width > 0, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(width), [known, pa.py_buffer(offsets), pa.py_buffer(out)])


def _ports(packets: Packets, name: str) -> pa.Array:
    ports = np.ascontiguousarray(packets[name])
    return pa.array(ports, pa.int32(), mask=ports < 0)


def _datagram_table(traffic: Traffic, rows: NDArray[np.int64]) -> pa.Table:
    packets = traffic.packets[rows]
    at = np.ascontiguousarray(packets["at"])
    payload = _binary(*_gather(traffic, rows, at, packets["stop"] - at))
    seconds = traffic.seconds(rows)
    columns = {
        "payload": payload,
        "ts": pa.array(seconds, pa.float64(), mask=np.isnan(seconds)),
        "flow": pa.array(traffic.flows.hash[traffic.flows.of[rows]]),
        "direction": pa.array(traffic.flows.direction()[rows]),
        "source": pa.array(np.zeros(len(rows), np.int32)),
        "number": pa.array(traffic.number[rows]),
        "src": _addresses(packets, "src"),
        "dst": _addresses(packets, "dst"),
        "sport": _ports(packets, "sport"),
        "dport": _ports(packets, "dport"),
    }
    return pa.table(columns, schema=SCHEMA)


def _spans(keys: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (key, first, last + 1) of each run of equal keys."""
    if not len(keys):
        return []
    borders = np.flatnonzero(np.diff(keys)) + 1
    first = np.concatenate(([0], borders))
    last = np.concatenate((borders, [len(keys)]))
    return [(int(keys[a]), int(a), int(b)) for a, b in zip(first, last, strict=True)]


def _named(key: int, by: Grouping) -> tuple[str, Transport, int | None]:
    kind, number = key >> 32, key & 0xFFFFFFFF
    pattern, transport = _PREFIX[kind]
    if by == "transport" and kind in (UDP, TCP):
        return transport, transport, None
    return pattern.format(number), transport, number


def _group_keys(traffic: Traffic, by: Grouping) -> NDArray[np.int64]:
    """Return a number per packet that is equal for packets of one group, -1 for ignored ones."""
    packets, flows = traffic.packets, traffic.flows
    kind = packets["kind"].astype(np.int64)
    ported = (kind == UDP) | (kind == TCP)
    number = packets["number"].astype(np.int64)
    if len(flows.service):
        number = np.where(ported, 0 if by == "transport" else flows.service[np.maximum(flows.of, 0)], number)
    return np.where(kind == IGNORED, -1, (kind << 32) | number)


def group_datagrams(traffic: Traffic, by: Grouping) -> list[ProtocolGroup]:
    """Return the groups of everything but TCP; packets without payload are left out."""
    packets = traffic.packets
    chosen = (packets["kind"] != TCP) & (packets["kind"] != IGNORED) & (packets["stop"] > packets["at"])
    rows = np.flatnonzero(chosen)
    keys = _group_keys(traffic, by)[rows]
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    table = _datagram_table(traffic, rows)
    size = np.concatenate(([0], np.cumsum(packets["stop"][rows] - packets["at"][rows])))
    return [
        ProtocolGroup(*_named(key, by), packets=b - a, size=int(size[b] - size[a]), _table=table, _span=(a, b))
        for key, a, b in _spans(keys)
    ]


def group_streams(traffic: Traffic, by: Grouping, pending: int) -> tuple[list[ProtocolGroup], Reassembly]:
    """Reassemble TCP and return its groups; streams without payload are left out."""
    packets, flows = traffic.packets, traffic.flows
    rows = np.flatnonzero(packets["kind"] == TCP)
    rows = rows[np.argsort(flows.of[rows], kind="stable")]
    reassembly = reassemble(packets, rows, flows.of, flows.side, flows=len(flows.hash), most=pending)
    pieces = reassembly.pieces
    heads = np.concatenate(([True], np.diff(pieces["stream"]) != 0)) if len(pieces) else np.zeros(0, np.bool_)
    stream = pieces["stream"][heads]
    bounds = np.concatenate((np.flatnonzero(heads), [len(pieces)])).astype(np.int64)
    flow, side = stream >> 1, (stream & 1).astype(np.int8)
    direction = np.where(side == flows.client[flow], 1, SERVER_TO_CLIENT).astype(np.int8)
    keys = _group_keys(traffic, by)[pieces["row"][heads]]
    order = np.lexsort((direction, flow, keys))
    streams = _stream_set(traffic, reassembly, _Streams(stream, flow, direction, bounds), order)
    return [_stream_group(streams, _named(key, by), (a, b)) for key, a, b in _spans(keys[order])], reassembly


@dataclass(frozen=True)
class _Streams:
    """The streams in the order of their pieces: id, flow, direction, and n + 1 indices of pieces."""

    stream: NDArray[np.int64]
    flow: NDArray[np.int64]
    direction: NDArray[np.int8]
    bounds: NDArray[np.int64]


def _stream_group(streams: StreamSet, named: tuple[str, Transport, int | None], span: tuple[int, int]) -> ProtocolGroup:
    a, b = span
    packets = int(streams.segment_bounds[b] - streams.segment_bounds[a])
    size = int(streams.bounds[b] - streams.bounds[a])
    return ProtocolGroup(*named, packets=packets, size=size, _streams=streams, _span=span)


def _stream_set(traffic: Traffic, reassembly: Reassembly, streams: _Streams, order: NDArray[np.int64]) -> StreamSet:
    """Copy the pieces of all streams, in the given order of streams, into one StreamSet."""
    counts = np.diff(streams.bounds)[order]
    segment_bounds = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    within = np.arange(segment_bounds[-1]) - np.repeat(segment_bounds[:-1], counts)
    pieces = reassembly.pieces[np.repeat(streams.bounds[:-1][order], counts) + within]
    rows = np.ascontiguousarray(pieces["row"])
    offsets, data = _gather(traffic, rows, np.ascontiguousarray(pieces["at"]), np.ascontiguousarray(pieces["length"]))
    heads = traffic.packets[rows[segment_bounds[:-1]]]
    return StreamSet(
        data=data,
        bounds=offsets[segment_bounds],
        flow=traffic.flows.hash[streams.flow[order]],
        direction=streams.direction[order],
        src=_addresses(heads, "src").to_pylist(),
        dst=_addresses(heads, "dst").to_pylist(),
        sport=np.ascontiguousarray(heads["sport"]),
        dport=np.ascontiguousarray(heads["dport"]),
        segment_bounds=segment_bounds,
        segment_start=offsets[:-1],
        segment_ts=traffic.seconds(rows),
        segment_number=traffic.number[rows],
        segment_gap=np.ascontiguousarray(pieces["gap"]),
        tail_gap=reassembly.tail_gap[streams.stream[order]],
    )
