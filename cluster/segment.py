"""
Segments: the records of some batches as the bytes of one immutable object.

``QBITSEG1``, then for each record its header's size (u32), its body's size (u64), the CRC-32 of both sizes, header and
body (u32), the header (JSON) and the body (an Arrow stream of messages); little-endian.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..discovery.batch import MessageBatch
from ..discovery.errors import InputError, LimitError
from .entries import BatchKey

MAGIC = b"QBITSEG1"
MOST_BYTES = 1 << 30
_SIZES = struct.Struct("<IQ")
_CHECK = struct.Struct("<I")
_MOST_HEADER = 1 << 16


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(max_length=256)
    made: int
    digest: str = Field(max_length=64)
    messages: int = Field(ge=0)
    capture: str = Field(max_length=64)


@dataclass(frozen=True)
class Record:
    """What one shard has of one batch; ``capture`` is the hash of the capture it came from, or empty."""

    key: BatchKey
    capture: str
    batch: MessageBatch


def batch_digest(batch: MessageBatch, capture: str = "") -> str:
    """Return a SHA-256 (hex) of a batch's messages in their order, however the table is sliced or chunked."""
    view = batch.view()
    digest = sha256(capture.encode())
    contiguous = not len(view) or bool((view.starts[1:] == view.starts[:-1] + view.lengths[:-1]).all())
    if contiguous and len(view):
        digest.update(view.data[int(view.starts[0]) : int(view.starts[-1] + view.lengths[-1])].data)
    else:
        digest.update(view.gathered().data)
    for column in (view.lengths, view.ts, view.flow, view.direction, view.source, view.number):
        digest.update(b"\0")
        digest.update(column.tobytes())
    return digest.hexdigest()


def encode_record(record: Record) -> bytes:
    """Return the bytes of one record."""
    key = record.key
    header = json.dumps(
        {"key": key.key, "made": key.made, "digest": key.digest, "messages": key.messages, "capture": record.capture}
    ).encode()
    sink = pa.BufferOutputStream()
    table = _own(record.batch.table)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue()
    sizes = _SIZES.pack(len(header), len(body))
    check = zlib.crc32(body, zlib.crc32(header, zlib.crc32(sizes)))
    return b"".join((sizes, _CHECK.pack(check), header, body))


def _own(table: pa.Table) -> pa.Table:
    """
    Return a table whose buffers hold its rows and nothing else.

    Arrow fills buffers up to a multiple of 64 bytes with what lies behind a slice: messages of another shard, or ones
    that were erased.
    """
    return pa.table([_own_column(column) for column in table.columns], schema=table.schema)


def _own_column(column: pa.ChunkedArray) -> pa.Array:
    if column.null_count == len(column):
        return pa.nulls(len(column), column.type)
    return pa.concat_arrays([*column.chunks, column.chunk(0).slice(0, 0)])  # of two or more: always a copy


def encode_segment(records: Sequence[bytes]) -> bytes:
    """Return the bytes of a segment of records that ``encode_record`` made."""
    return b"".join((MAGIC, *records))


def decode_segment(data: bytes, where: str) -> list[Record]:
    """
    Return the records of a segment.

    Raises:
        InputError: damaged, cut short, or not a segment; ``where`` and the record's number say which.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise InputError("not a segment", where=where)
    records: list[Record] = []
    at = len(MAGIC)
    while at < len(data):
        record, at = _record(data, at, f"{where}, record {len(records)}")
        records.append(record)
    return records


def decode_record(data: bytes, where: str) -> Record:
    """
    Return the record that ``encode_record`` wrote.

    Raises:
        InputError: damaged, or more than one record.
    """
    record, end = _record(data, 0, where)
    if end != len(data):
        raise InputError("more than a record", where=where)
    return record


def _record(data: bytes, at: int, where: str) -> tuple[Record, int]:
    body_at = at + _SIZES.size + _CHECK.size
    if body_at > len(data):
        raise InputError("cut short", where=where)
    header_size, body_size = _SIZES.unpack_from(data, at)
    (check,) = _CHECK.unpack_from(data, at + _SIZES.size)
    end = body_at + header_size + body_size
    if header_size > _MOST_HEADER or end > len(data):
        raise InputError("cut short", where=where)
    content = memoryview(data)[body_at:end]
    if zlib.crc32(content, zlib.crc32(data[at : at + _SIZES.size])) != check:
        raise InputError("the checksum is another", where=where)
    try:
        header = _Header.model_validate_json(bytes(content[:header_size]))
        batch = MessageBatch(pa.ipc.open_stream(pa.py_buffer(content[header_size:])).read_all())
    except (ValidationError, pa.ArrowInvalid, OSError) as error:
        raise InputError("not a record of this version", where=where) from error
    if len(batch) != header.messages:
        raise InputError(f"{len(batch)} messages, not {header.messages}", where=where)
    key = BatchKey(header.key, header.made, header.digest, header.messages)
    return Record(key, header.capture, batch), end


def check_object(data: bytes, size: int, digest: str, where: str) -> None:
    """
    Check that an object is the one that the catalog knows.

    Raises:
        InputError: it is not. LimitError: it is larger than any object that is written.
    """
    if size > MOST_BYTES:
        raise LimitError(f"an object of {size} bytes, at most {MOST_BYTES} are read", where=where)
    if len(data) != size:
        raise InputError(f"{len(data)} bytes, not {size}", where=where)
    if sha256(data).hexdigest() != digest:
        raise InputError("the SHA-256 is another", where=where)
