"""Tables whose rows are messages."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT, UNKNOWN, MessageBatch
from ..errors import InputError
from ..streams import StreamSet
from .capture import Counters, ProtocolGroup, Transport
from .grouping import Grouping
from .source import Source

COLUMNS = ("payload", "ts", "stream", "direction", "src", "dst", "sport", "dport", "transport")
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\Z", re.ASCII | re.IGNORECASE)
_DIRECTIONS = {"c2s": CLIENT_TO_SERVER, "s2c": SERVER_TO_CLIENT, "1": CLIENT_TO_SERVER, "2": SERVER_TO_CLIENT}
_FLOW_KEY = bytes.fromhex("51b17e1f10a5c0de2b7e151628aed2a6")
_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "messages")
_CODES = {"udp": 0, "tcp": 1}
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
Groups = tuple[list[ProtocolGroup], Counters]


@dataclass(frozen=True)
class _Rows:
    """Messages with their transport (index into ``_TRANSPORTS``) and their service's port, -1 if unknown."""

    batch: MessageBatch
    transport: NDArray[np.int64]
    service: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> _Rows:
        """Return some of the rows."""
        return _Rows(self.batch.take(rows), self.transport[rows], self.service[rows])


def group_table(table: pa.Table, source: Source, port: int | None, group: Grouping | None, first: int = 0) -> Groups:
    """
    Make the groups of a table of messages: one, ``messages``, in order; or several if a grouping is given.

    Args:
        first: the place in its file of the table's first row.

    Raises:
        InputError: there is no binary payload, or there are no rows.
    """
    rows = _normalise(table, source, first)
    total = len(rows.batch)
    nulls = table.column("payload").null_count
    if nulls:
        source.warnings.append(f"{nulls} rows without a payload are messages of no bytes")
    if port is not None:
        ends = [_ports(rows.batch.to_arrow(), name) for name in ("sport", "dport")]
        rows = rows.take(np.flatnonzero((ends[0] == port) | (ends[1] == port)).astype(np.int64))
    groups = [_one_group(rows)] if group is None else _several_groups(rows, group)
    kept = len(rows.batch)
    return [g for g in groups if g.packets], Counters(packets=total, payloads=kept, filtered=total - kept)


def _one_group(rows: _Rows) -> ProtocolGroup:
    transports, services = np.unique(rows.transport), np.unique(rows.service)
    transport = _TRANSPORTS[int(transports[0])] if len(transports) == 1 else "messages"
    port = int(services[0]) if len(services) == 1 and services[0] >= 0 else None
    return ProtocolGroup.of_batch("messages", rows.batch, transport, port)


def _several_groups(rows: _Rows, by: Grouping) -> list[ProtocolGroup]:
    groups = []
    keys = rows.transport * (1 << 20) + (rows.service if by == "port" else 0)
    for key in np.unique(keys):
        part = rows.take(np.flatnonzero(keys == key).astype(np.int64))
        transport, port = _TRANSPORTS[int(part.transport[0])], int(part.service[0])
        named = by == "port" and port >= 0
        name = f"{transport}_{port}" if named else transport
        if transport == "tcp":
            groups.append(ProtocolGroup.of_streams(name, _join_rows(part.batch), port if named else None))
        else:
            groups.append(ProtocolGroup.of_batch(name, part.batch, transport, port if named else None))
    return sorted(groups, key=lambda g: (-g.packets, g.name))


def _join_rows(batch: MessageBatch) -> StreamSet:
    """Join rows to streams by flow and direction, each row a segment, in order."""
    view = batch.view()
    filled = np.flatnonzero(view.lengths > 0)
    order = filled[np.lexsort((view.direction[filled], view.flow[filled]))]
    flow, direction = view.flow[order], view.direction[order]
    heads = np.ones(len(order), np.bool_)
    heads[1:] = (np.diff(flow) != 0) | (np.diff(direction) != 0)
    starts = np.concatenate(([0], np.cumsum(view.lengths[order]))).astype(np.int64)
    segment_bounds = np.concatenate((np.flatnonzero(heads), [len(order)])).astype(np.int64)
    table, first = batch.to_arrow(), order[heads]
    payload = table.column("payload").take(pa.array(order)).to_pylist()
    return StreamSet(
        data=np.frombuffer(b"".join(payload), np.uint8),
        bounds=starts[segment_bounds],
        flow=flow[heads],
        direction=direction[heads],
        src=[value or b"" for value in table.column("src").take(pa.array(first)).to_pylist()],
        dst=[value or b"" for value in table.column("dst").take(pa.array(first)).to_pylist()],
        sport=_ports(table, "sport")[first].astype(np.int32),
        dport=_ports(table, "dport")[first].astype(np.int32),
        segment_bounds=segment_bounds,
        segment_start=starts[:-1],
        segment_ts=view.ts[order],
        segment_number=view.number[order],
        segment_gap=np.zeros(len(order), np.int64),
        tail_gap=np.zeros(len(first), np.int64),
    )


def _normalise(table: pa.Table, source: Source, first: int) -> _Rows:
    payload = _payload(table, source)
    if not table.num_rows:
        raise InputError("the table has no rows", where=source.name)
    texts = {name: _text(table, name) for name in ("stream", "direction", "transport")}
    columns = {
        "payload": payload.cast(pa.large_binary()),
        "ts": _times(table, source),
        "src": _address_column(table, "src", source),
        "dst": _address_column(table, "dst", source),
        "sport": _port_column(table, "sport", source),
        "dport": _port_column(table, "dport", source),
        "direction": _directions(texts["direction"], source),
        "number": pa.array(np.arange(first, first + table.num_rows)),
    }
    columns["flow"] = _flow_column(columns, texts["stream"], texts["transport"])
    batch = MessageBatch(pa.table(columns))
    transport = _mapped(texts["transport"], lambda text: _CODES.get((text or "").lower(), 2), pa.int64()).to_numpy()
    return _Rows(batch, transport, _service(batch))


def _directions(column: pa.ChunkedArray, source: Source) -> pa.Array:
    found = _mapped(column, lambda text: _DIRECTIONS.get((text or "").lower(), UNKNOWN), pa.int8())
    unread = pc.sum(pc.equal(found, UNKNOWN)).as_py() - column.null_count
    if unread > 0:
        source.warnings.append(f"{unread} values of column 'direction' are neither c2s nor s2c: they were left out")
    return found


def _payload(table: pa.Table, source: Source) -> pa.ChunkedArray:
    payload = table.column("payload") if "payload" in table.column_names else None
    if payload is None or not (_is_binary(payload.type) or pa.types.is_null(payload.type)):
        kinds = ", ".join(f"{name} ({table.column(name).type})" for name in table.column_names[:8]) or "none"
        hint = f"its values are the messages' bytes; columns that are read: {kinds}"
        raise InputError("no binary column 'payload'", where=source.name, hint=hint)
    return payload


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _text(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column as text; nulls where it is missing or cannot be read as text."""
    if name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        try:
            return column.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])


def _mapped(column: pa.ChunkedArray, change: Callable[[Any], Any], kind: pa.DataType) -> pa.Array:
    """Apply a function to each distinct value, null included, and spread the results over the rows."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    values = pa.array([change(value) for value in encoded.dictionary.to_pylist()], kind)
    return values.take(encoded.indices)


def _times(table: pa.Table, source: Source) -> pa.ChunkedArray | pa.Array:
    """Return seconds; NaN and infinities are unknown times."""
    if "ts" not in table.column_names:
        return pa.nulls(table.num_rows, pa.float64())
    column = table.column("ts")
    try:
        if pa.types.is_timestamp(column.type):
            ticks = column.cast(pa.int64())
            # Not a checked cast: times in ns have more digits than a float holds.
            column = pc.divide(ticks.cast(pa.float64(), safe=False), _TICKS[column.type.unit])
        column = column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        source.warnings.append(f"column 'ts' is {column.type}, not seconds: times were left out")
        return pa.nulls(table.num_rows, pa.float64())
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


def _port_column(table: pa.Table, name: str, source: Source) -> pa.ChunkedArray | pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.int32())
    try:
        ports = table.column(name).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        source.warnings.append(f"column '{name}' is {table.column(name).type}, not a port: ports were left out")
        return pa.nulls(table.num_rows, pa.int32())
    fits = pc.and_(pc.greater_equal(ports, 0), pc.less(ports, 65536))
    return pc.if_else(fits, ports, pa.scalar(None, pa.int64())).cast(pa.int32())


def parse_address(text: str) -> bytes | None:
    """Return the bytes of a written IPv4, IPv6 or MAC address, None if it is none."""
    if _MAC.match(text):
        return bytes.fromhex(text.replace(":", "").replace("-", ""))
    try:
        return ipaddress.ip_address(text.split("%", 1)[0]).packed
    except ValueError:
        return None


def _address_column(table: pa.Table, name: str, source: Source) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.binary())
    column = table.column(name)
    if _is_binary(column.type):
        plain = column.cast(pa.binary()) if not pa.types.is_binary_view(column.type) else column
        return _mapped(plain, lambda raw: raw if raw is not None and len(raw) in (4, 6, 16) else None, pa.binary())
    addresses = _mapped(_text(table, name), lambda text: parse_address(text) if text else None, pa.binary())
    unread = addresses.null_count - column.null_count
    if unread > 0:
        source.warnings.append(f"{unread} values of column '{name}' are no address: they were left out")
    return addresses


def _flow_column(columns: dict[str, Any], stream: pa.ChunkedArray, transport: pa.ChunkedArray) -> pa.Array:
    """Return the keyed hash (BLAKE2b) of stream, transport and sorted endpoints; 0 where all are unknown."""
    ends = [columns[name] for name in ("src", "sport", "dst", "dport")]
    key = pa.table([stream, transport, *ends], names=["stream", "transport", "src", "sport", "dst", "dport"])
    encoded = [column.combine_chunks().dictionary_encode(null_encoding="encode") for column in key.columns]
    codes = np.stack([column.indices.to_numpy() for column in encoded], axis=1)
    distinct, inverse = np.unique(codes, axis=0, return_inverse=True)
    values = [column.dictionary.to_pylist() for column in encoded]
    hashes = [_flow_hash(*[values[i][code] for i, code in enumerate(row)]) for row in distinct.tolist()]
    return pa.array(np.array(hashes, np.uint64)[inverse.reshape(-1)])


def _flow_hash(stream: str | None, transport: str | None, *ends: Any) -> int:
    if stream is None and all(end is None for end in ends):
        return 0
    src, sport, dst, dport = ends
    both = sorted([(src or b"", -1 if sport is None else sport), (dst or b"", -1 if dport is None else dport)])
    text = repr((stream, transport, both)).encode()
    return int.from_bytes(blake2b(text, key=_FLOW_KEY, digest_size=8).digest(), "little")


def _ports(table: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(table.column(name).fill_null(-1).to_numpy(), np.int64)


def _service(batch: MessageBatch) -> NDArray[np.int64]:
    """Return the server's port of each row: by direction, else the lower one that is known."""
    table = batch.to_arrow()
    sport, dport, direction = _ports(table, "sport"), _ports(table, "dport"), batch.view().direction
    lower = np.where((sport < 0) | (dport < 0), np.maximum(sport, dport), np.minimum(sport, dport))
    return np.where(direction == CLIENT_TO_SERVER, dport, np.where(direction == SERVER_TO_CLIENT, sport, lower))
