"""
Arrow's IPC streams and files, read within a bound: what their buffers expand to is known before any is expanded.

Layouts: Message.fbs of the Arrow columnar format 1.x, in FlatBuffers' encoding. pyarrow verifies a message's
FlatBuffer when it opens it, but takes the expanded size of a compressed buffer from its first eight bytes as it stands.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

from ..errors import InputError, LimitError
from .source import Source

FILE_MAGIC = b"ARROW1"
# Fields of Message, kinds of its header, and fields of DictionaryBatch and RecordBatch.
_KIND, _HEADER = 1, 2
_DICTIONARY, _BATCH = 2, 3
_DATA_OF_DICTIONARY, _BUFFERS, _COMPRESSION = 1, 2, 3


def read_batches(source: Source, limit: int, total: int) -> Iterator[pa.RecordBatch]:
    """
    Yield the record batches of an Arrow stream or file; one that is cut ends them with a warning if any came before.

    A file is read as the stream that it holds: its footer could point anywhere.

    Raises:
        LimitError: the buffers of a batch expand to more than ``limit`` bytes, or those of all to more than ``total``.
        InputError: nothing of it can be read.
    """
    data = pa.py_buffer(source.data)
    if not data.size:
        raise InputError("the input is empty", where=source.name)
    if source.head(len(FILE_MAGIC)) == FILE_MAGIC:
        data = data.slice(min(8, data.size))
    count = 0
    try:
        sizes = [_expanded_bytes(message) for message in _messages(data)]
        for what, expanded, most in (("a batch", max(sizes, default=0), limit), ("the table", sum(sizes), total)):
            if expanded > most:
                raise LimitError(f"{what} expands to {expanded} bytes, at most {most} are read", where=source.name)
        for batch in pa.ipc.open_stream(data):
            count += 1
            yield batch
    except (pa.ArrowException, OSError, struct.error) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else "damaged"
        if not count:
            raise InputError(f"cannot read the table: {reason}", where=source.name) from None
        source.cut = True
        source.warnings.append(f"the stream is damaged after {count} batches: {reason}")


def _messages(data: pa.Buffer) -> Iterator[pa.Message]:
    """Yield the messages that can be opened; the reader of the batches tells about what follows them."""
    reader = pa.ipc.MessageReader.open_stream(data)
    while True:
        try:
            message = reader.read_next_message()
        except (StopIteration, pa.ArrowException, OSError):
            return
        yield message


def _expanded_bytes(message: pa.Message) -> int:
    """Return the bytes that the buffers of a record batch or a dictionary take once they are expanded."""
    metadata, body = memoryview(message.metadata), message.body
    batch = _batch_of(metadata)
    buffers = None if batch is None else _table(metadata, batch, _BUFFERS)
    if batch is None or buffers is None or body is None:
        return 0
    if _field(metadata, batch, _COMPRESSION) is None:
        return int(body.size)
    return sum(_stated_bytes(metadata, buffers + 4 + 16 * i, body) for i in range(_u32(metadata, buffers)))


def _batch_of(metadata: memoryview) -> int | None:
    """Return where the table of a message's record batch lies, None for a schema."""
    root = _u32(metadata, 0)
    kind, header = _field(metadata, root, _KIND), _table(metadata, root, _HEADER)
    if kind is None or header is None or metadata[kind] not in (_DICTIONARY, _BATCH):
        return None
    return header if metadata[kind] == _BATCH else _table(metadata, header, _DATA_OF_DICTIONARY)


def _stated_bytes(metadata: memoryview, at: int, body: pa.Buffer) -> int:
    """Return the expanded size of one buffer: its first eight bytes say it, and -1 that it is not compressed."""
    offset, length = struct.unpack_from("<qq", metadata, at)
    if length <= 0:
        return 0
    (stated,) = struct.unpack_from("<q", memoryview(body), offset)
    return max(int(stated), int(length))


def _u32(data: memoryview, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def _field(data: memoryview, table: int, index: int) -> int | None:
    """Return where a field of a FlatBuffers table lies, None where it is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * index >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * index)
    return table + offset if offset else None


def _table(data: memoryview, table: int, index: int) -> int | None:
    """Return where the table or vector lies that a field points to."""
    at = _field(data, table, index)
    return None if at is None else at + _u32(data, at)
