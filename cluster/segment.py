"""
Segments: the records of some batches as the bytes of one immutable object.

A record holds messages, or only their statistics by bucket of the event time.

``QBITSEG1``, then for each record its header's size (u32), its body's size (u64), the CRC-32 of both sizes, header and
body (u32), the header (JSON) and the body (an Arrow stream of messages); little-endian.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..discovery.batch import MessageBatch, arrow_stream
from ..discovery.errors import InputError, LimitError
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics
from .buckets import BUCKET_S, UNTIMED, bucket_of
from .entries import BatchKey
from .privacy import StreamPrivacy

MAGIC = b"QBITSEG1"
MOST_BYTES = 1 << 30
MOST_STATISTICS = 64 << 20
_EFFORT = 1  # of compression: statistics of few messages are mostly zeros
_SIZES = struct.Struct("<IQ")
_CHECK = struct.Struct("<I")
_MOST_HEADER = 1 << 18
_NONE = MessageBatch.from_payloads([])


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(max_length=256)
    made: int
    digest: str = Field(max_length=64)
    messages: int = Field(ge=0)
    capture: str = Field(max_length=64)
    division: int = Field(default=0, ge=0)
    counted: list[tuple[int, int, int]] = Field(default=[], max_length=4096)


@dataclass(frozen=True)
class Counted:
    """The statistics of the messages of one bucket, packed, and how many they are."""

    bucket: int
    messages: int
    statistics: bytes

    @property
    def ts(self) -> NDArray[np.float64]:
        """When the bucket of each message begins; NaN where it has no time."""
        moment = math.nan if self.bucket == UNTIMED else float(self.bucket * BUCKET_S)
        return np.full(self.messages, moment)


@dataclass(frozen=True)
class Record:
    """
    What one shard has of one batch.

    Attributes:
        capture: the hash of the capture it came from, or empty.
        batch: its messages; none where only ``counted`` is kept of them.
    """

    key: BatchKey
    capture: str
    batch: MessageBatch
    counted: tuple[Counted, ...] = ()

    @property
    def ts(self) -> NDArray[np.float64]:
        """The event time of each message, or of its bucket; NaN where it has none."""
        if not self.counted:
            return self.batch.view().ts
        return np.concatenate([each.ts for each in self.counted])


def record_of(
    batch: MessageBatch, key: BatchKey, capture: str, privacy: StreamPrivacy, settings: dict[str, Any]
) -> Record:
    """Return what a shard keeps of its part of a batch: the messages, or their statistics by bucket."""
    if not privacy.statistics_only:
        return Record(key, capture, batch)
    buckets = bucket_of(batch.view().ts)
    counted = []
    for bucket in np.unique(buckets):
        rows = np.flatnonzero(buckets == bucket)
        statistics = MessageStatistics.sampling(DiscoverySettings.model_validate(settings), privacy.sample_share)
        statistics.update(batch.take(rows), capture)
        counted.append(Counted(int(bucket), len(rows), statistics.to_bytes()))
    return Record(key, capture, MessageBatch.from_payloads([]), tuple(counted))


def compacted(records: Sequence[Record]) -> list[Record]:
    """Return records whose statistics are with the first of them, one for each bucket; those of messages stay."""
    together: dict[int, list[Counted]] = {}
    for record in records:
        for each in record.counted:
            together.setdefault(each.bucket, []).append(each)
    bare = [Record(replace(r.key, messages=0), r.capture, r.batch) if r.counted else r for r in records]
    if together:
        counted = tuple(_merged(parts) for _, parts in sorted(together.items()))
        first = next(place for place, record in enumerate(records) if record.counted)
        key = replace(records[first].key, messages=sum(each.messages for each in counted))
        bare[first] = replace(bare[first], key=key, counted=counted)
    return bare


def _merged(parts: Sequence[Counted]) -> Counted:
    whole = MessageStatistics.from_bytes(parts[0].statistics)
    for part in parts[1:]:
        whole = whole.merge(MessageStatistics.from_bytes(part.statistics))
    return Counted(parts[0].bucket, sum(part.messages for part in parts), whole.to_bytes())


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
    told = {"key": key.key, "made": key.made, "digest": key.digest, "messages": key.messages, "capture": record.capture}
    if key.division:
        told["division"] = key.division
    packed = [zlib.compress(each.statistics, _EFFORT) for each in record.counted]
    if packed:
        told["counted"] = [
            (each.bucket, each.messages, len(part)) for each, part in zip(record.counted, packed, strict=True)
        ]
    header = json.dumps(told).encode()
    body = b"".join(packed) if packed else arrow_stream(_own(record.batch.table))
    sizes = _SIZES.pack(len(header), len(body))
    check = zlib.crc32(body, zlib.crc32(header, zlib.crc32(sizes)))
    return b"".join((sizes, _CHECK.pack(check), header, body))


def _own(table: pa.Table) -> pa.Table:
    """
    Return a table whose buffers hold its rows and nothing else.

    Arrow fills buffers up to a multiple of 64 bytes with what lies behind a slice: messages of another shard, or ones
    that were erased.
    """
    return pa.concat_tables([table, table.slice(0, 0)]).combine_chunks()  # of two chunks: always a copy


def encode_segment(records: Sequence[bytes | memoryview]) -> bytes:
    """Return the bytes of a segment of records that ``encode_record`` made."""
    return b"".join((MAGIC, *records))


def decode_segment(data: bytes, where: str) -> list[Record]:
    """
    Return the records of a segment.

    Raises:
        InputError: damaged, cut short, or not a segment; ``where`` and the record's number say which.
    """
    return [_decoded(*part) for part in _parts(data, where)]


def merged_segment(segments: Sequence[tuple[bytes, str]]) -> bytes:
    """
    Return one segment that holds the records of several, each given with where it is.

    Raises:
        InputError: as ``decode_segment``.
    """
    parts = [part for data, where in segments for part in _parts(data, where)]
    if any(header.counted for header, _, _, _ in parts):
        return encode_segment([encode_record(record) for record in compacted([_decoded(*part) for part in parts])])
    return encode_segment([whole for _, _, whole, _ in parts])


def decode_record(data: bytes, where: str) -> Record:
    """
    Return the record that ``encode_record`` wrote.

    Raises:
        InputError: damaged, or more than one record.
    """
    part, end = _part(memoryview(data), 0, where)
    if end != len(data):
        raise InputError("more than a record", where=where)
    return _decoded(*part)


_Part = tuple[_Header, memoryview, memoryview, str]  # header, body, all of the record's bytes, where it is


def _parts(data: bytes, where: str) -> list[_Part]:
    if data[: len(MAGIC)] != MAGIC:
        raise InputError("not a segment", where=where)
    parts: list[_Part] = []
    at, view = len(MAGIC), memoryview(data)
    while at < len(data):
        part, at = _part(view, at, f"{where}, record {len(parts)}")
        parts.append(part)
    return parts


def _part(data: memoryview, at: int, where: str) -> tuple[_Part, int]:
    """Return a record whose checksum holds, not yet decoded, and where it ends."""
    body_at = at + _SIZES.size + _CHECK.size
    if body_at > len(data):
        raise InputError("cut short", where=where)
    header_size, body_size = _SIZES.unpack_from(data, at)
    (check,) = _CHECK.unpack_from(data, at + _SIZES.size)
    end = body_at + header_size + body_size
    if header_size > _MOST_HEADER or end > len(data):
        raise InputError("cut short", where=where)
    content = data[body_at:end]
    if zlib.crc32(content, zlib.crc32(data[at : at + _SIZES.size])) != check:
        raise InputError("the checksum is another", where=where)
    try:
        header = _Header.model_validate_json(bytes(content[:header_size]))
    except ValidationError as error:
        raise InputError("not a record of this version", where=where) from error
    return (header, content[header_size:], data[at:end], where), end


def _decoded(header: _Header, body: memoryview, _: memoryview, where: str) -> Record:
    try:
        counted = _counted(header.counted, body)
        batch = _NONE if counted else MessageBatch(pa.ipc.open_stream(pa.py_buffer(body)).read_all())
    except (pa.ArrowInvalid, OSError, zlib.error) as error:
        raise InputError("not a record of this version", where=where) from error
    messages = sum(each.messages for each in counted) if counted else len(batch)
    if messages != header.messages:
        raise InputError(f"{messages} messages, not {header.messages}", where=where)
    key = BatchKey(header.key, header.made, header.digest, header.messages, header.division)
    return Record(key, header.capture, batch, counted)


def _counted(listed: Sequence[tuple[int, int, int]], body: memoryview) -> tuple[Counted, ...]:
    """Unpack statistics; LimitError beyond what those of a stream may take."""
    found, at = [], 0
    for bucket, messages, size in listed:
        unpacking = zlib.decompressobj()
        statistics = unpacking.decompress(body[at : at + size], MOST_STATISTICS)
        if unpacking.unconsumed_tail:
            raise LimitError(f"statistics of more than {MOST_STATISTICS} bytes", where="segment")
        found.append(Counted(bucket, messages, statistics))
        at += size
    return tuple(found)


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
