"""MessageBatch: the one form in which messages travel between functions, and MessageView, its NumPy face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .errors import InputError

UNKNOWN, CLIENT_TO_SERVER, SERVER_TO_CLIENT = 0, 1, 2
DIRECTION_NAMES = ("unknown", "c2s", "s2c")

SCHEMA = pa.schema(
    [
        ("payload", pa.large_binary()),
        ("ts", pa.float64()),  # seconds since 1970, null where the source has none
        ("flow", pa.uint64()),  # keyed hash of the normalised endpoints, 0 where the source has none
        ("direction", pa.int8()),  # 0 unknown, 1 client to server, 2 server to client
        ("source", pa.int32()),  # index of the capture in the input
        ("number", pa.int64()),  # place of the message in its capture (see place_in_stream): survives shuffling
        ("src", pa.binary()),  # address bytes (4, 16 or 6), null where unknown
        ("dst", pa.binary()),
        ("sport", pa.int32()),  # null where there are no ports
        ("dport", pa.int32()),
    ]
)

IN_STREAM, PART_BITS = 1 << 62, 16


def place_in_stream(packets: NDArray[np.int64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return the ``number`` of messages that were cut from byte streams.

    A datagram's or row's number is its position in the capture, from 0. Several messages of a stream may begin in one
    packet: theirs holds the packet and which of its messages it is, so that it is unique and keeps their order.

    Args:
        packets: positions of the packets in which the messages begin; parts: how many messages began there before.
    """
    most = (1 << PART_BITS) - 1
    return IN_STREAM | (packets << PART_BITS) | np.minimum(parts, most)


def packet_and_part(number: int) -> tuple[int, int]:
    """Return the packet (or row) that a ``number`` stands for, and which of the messages of that packet it is."""
    if not number & IN_STREAM:
        return number, 0
    return (number ^ IN_STREAM) >> PART_BITS, number & ((1 << PART_BITS) - 1)


def place_text(packet: int, part: int) -> str:
    """Return how people write a place: the packet or row, and ``.part`` where it is not the packet's first message."""
    return f"{packet}.{part}" if part else str(packet)


@dataclass(frozen=True)
class MessageView:
    """
    Messages as NumPy arrays: row ``i`` is ``data[starts[i] : starts[i] + lengths[i]]``.

    Attributes:
        data: uint8, all payload bytes; rows need not be contiguous or in order.
        starts, lengths: int64, one per message.
        ts: float64 seconds, NaN where unknown.
        flow: uint64; direction: int8; source: int32; number: int64.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ts: NDArray[np.float64]
    flow: NDArray[np.uint64]
    direction: NDArray[np.int8]
    source: NDArray[np.int32]
    number: NDArray[np.int64]

    @classmethod
    def of(cls, payloads: Sequence[bytes]) -> MessageView:
        """Make a view of payloads of which nothing else is known, without Arrow's columns between."""
        n, lengths = len(payloads), np.array([len(payload) for payload in payloads], np.int64)
        return cls(
            data=np.frombuffer(b"".join(payloads), np.uint8), starts=np.cumsum(lengths) - lengths, lengths=lengths,
            ts=np.full(n, np.nan), flow=np.zeros(n, np.uint64), direction=np.full(n, UNKNOWN, np.int8),
            source=np.zeros(n, np.int32), number=np.arange(n),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.starts)

    def payload(self, row: int) -> bytes:
        """Return the bytes of one message."""
        start = int(self.starts[row])
        return self.data[start : start + int(self.lengths[row])].tobytes()

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> MessageView:
        """Return the chosen rows (indices, mask or slice); the payload bytes are shared, not copied."""
        return replace(
            self,
            **{
                name: getattr(self, name)[rows]
                for name in ("starts", "lengths", "ts", "flow", "direction", "source", "number")
            },
        )

    def gathered(self) -> NDArray[np.uint8]:
        """Return the payload bytes of all rows, one after the other."""
        offsets = np.cumsum(self.lengths) - self.lengths
        index = np.arange(int(self.lengths.sum()), dtype=np.int64) + np.repeat(self.starts - offsets, self.lengths)
        gathered: NDArray[np.uint8] = self.data[index]
        return gathered

    def front(self, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the first ``width`` bytes of each message as (n, width) uint8 and the mask of bytes that exist."""
        offsets = np.arange(width, dtype=np.int64)[None, :]
        exists = offsets < self.lengths[:, None]
        return self._gather(self.starts[:, None] + offsets, exists), exists

    def back(self, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the last ``width`` bytes, right-aligned (column -1 is the last), and the mask of those that exist."""
        from_end = np.arange(width, 0, -1, dtype=np.int64)[None, :]
        exists = from_end <= self.lengths[:, None]
        return self._gather((self.starts + self.lengths)[:, None] - from_end, exists), exists

    def _gather(self, index: NDArray[np.int64], exists: NDArray[np.bool_]) -> NDArray[np.uint8]:
        if not len(self.data):
            return np.zeros(index.shape, np.uint8)
        gathered: NDArray[np.uint8] = self.data[np.where(exists, index, 0)]
        gathered[~exists] = 0
        return gathered


def arrow_stream(table: pa.Table | pa.RecordBatch) -> pa.Buffer:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue()


class MessageBatch:
    """
    An Arrow table of messages with the columns of ``SCHEMA``; slices, chunks and nulls give the same result.

    Args:
        table: a record batch or table with at least a binary ``payload`` column; missing columns are filled with
            nulls (``number`` with the row index), other columns are dropped, a null payload is a message of no bytes.

    Raises:
        InputError: there is no ``payload`` column or a column has a type that cannot be cast.
    """

    __slots__ = ("table",)

    def __init__(self, table: pa.RecordBatch | pa.Table) -> None:
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        if table.schema.equals(SCHEMA, check_metadata=True):
            self.table = table
            return
        if "payload" not in table.column_names:
            raise InputError("no binary column 'payload'", where="message table")
        columns = []
        for field in SCHEMA:
            if field.name in table.column_names:
                column = table.column(field.name)
                try:
                    column = column if column.type == field.type else column.cast(field.type)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    what = f"column '{field.name}' is {column.type}, not {field.type}"
                    raise InputError(what, where="message table") from error
            elif field.name == "number":
                column = pa.chunked_array([pa.array(np.arange(table.num_rows, dtype=np.int64))])
            else:
                column = pa.chunked_array([pa.nulls(table.num_rows, field.type)])
            columns.append(column)
        self.table = pa.Table.from_arrays(columns, schema=SCHEMA)

    @classmethod
    def from_payloads(cls, payloads: Iterable[bytes], **columns: Sequence[object]) -> MessageBatch:
        """Make a batch from payloads and optional columns of the same length, named as in ``SCHEMA``."""
        arrays: Mapping[str, pa.Array] = {
            "payload": pa.array(list(payloads), pa.large_binary()),
            **{name: pa.array(values, SCHEMA.field(name).type) for name, values in columns.items()},
        }
        return cls(pa.table(dict(arrays)))

    @classmethod
    def from_view(cls, view: MessageView) -> MessageBatch:
        """Make a batch that owns a copy of a view's messages; addresses and ports are not part of a view."""
        gathered = view.gathered()
        offsets = np.concatenate([[0], np.cumsum(view.lengths)]).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(gathered)]
        columns = {
            "payload": pa.Array.from_buffers(pa.large_binary(), len(view), buffers),
            "ts": pa.array(view.ts, from_pandas=True),  # NaN is a missing time
            **{name: pa.array(getattr(view, name)) for name in ("flow", "direction", "source", "number")},
        }
        return cls(pa.table(columns))

    @classmethod
    def concatenate(cls, batches: Sequence[MessageBatch]) -> MessageBatch:
        """Join batches in the order given."""
        return cls(pa.concat_tables([batch.table for batch in batches]) if batches else SCHEMA.empty_table())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MessageBatch) and bool(self.table.equals(other.table))

    __hash__ = None  # type: ignore[assignment]

    def slice(self, start: int, length: int | None = None) -> MessageBatch:
        """Return consecutive rows without copying."""
        return MessageBatch(self.table.slice(start, length))

    def take(self, rows: NDArray[np.int64]) -> MessageBatch:
        """Return the rows at the given indices."""
        return MessageBatch(self.table.take(pa.array(rows)))

    def payloads(self) -> list[bytes]:
        """Return the payloads as Python bytes; for tests and small results, not for hot paths."""
        return [value or b"" for value in self.table.column("payload").to_pylist()]

    def to_arrow(self) -> pa.Table:
        """Return the Arrow table."""
        return self.table

    def to_pandas(self) -> Any:
        """Return the table as a pandas DataFrame; pandas is the extra ``[pandas]``."""
        return self.table.to_pandas()

    def view(self) -> MessageView:
        """Return NumPy views of the columns; payload bytes are shared with Arrow where they lie in one chunk."""
        payload = self.table.column("payload").combine_chunks()
        if isinstance(payload, pa.ChunkedArray):
            payload = pa.concat_arrays(payload.chunks) if payload.num_chunks else pa.array([], pa.large_binary())
        n = len(payload)
        _, offset_buffer, data_buffer = payload.buffers()
        if n:
            offsets = np.frombuffer(offset_buffer, np.int64)[payload.offset : payload.offset + n + 1]
        else:
            offsets = np.zeros(1, np.int64)
        data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
        lengths = np.diff(offsets)
        if payload.null_count:
            lengths = np.where(payload.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
        return MessageView(
            data=data,
            starts=offsets[:-1],
            lengths=lengths,
            ts=self._column("ts", np.nan, np.float64),
            flow=self._column("flow", 0, np.uint64),
            direction=self._column("direction", UNKNOWN, np.int8),
            source=self._column("source", 0, np.int32),
            number=self._column("number", 0, np.int64),
        )

    def _column(self, name: str, fill: float, dtype: type) -> NDArray:  # type: ignore[type-arg]
        column = self.table.column(name)
        if column.null_count == len(column):
            return np.full(len(column), fill, dtype)
        if column.null_count:
            column = column.fill_null(fill)
        return np.asarray(column.to_numpy(), dtype=dtype)
