"""The bytes of an input: mapped or given, hashed, and decompressed within a bound."""

from __future__ import annotations

import hashlib
import mmap
import os
import zlib
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import InputError, LimitError
from .limits import CaptureLimits

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SKIPPED = b"\x2a\x4d\x18"
"""Behind a byte 0x50 to 0x5f: a zstd frame without data (RFC 8878, 3.1.2); parallel tools begin with one."""
CHUNK = 1 << 20


@dataclass
class Source:
    """
    An opened input.

    Attributes:
        name: what a person calls it: the path, or ``<bytes>``.
        data: the decompressed content.
        sha256: of the input as it was given, before decompression (64 hexadecimal digits).
        warnings: what went wrong on the way.
        cut: whether a table ended early, so that rows are missing.
    """

    name: str
    data: bytes | bytearray | mmap.mmap
    sha256: str
    warnings: list[str] = field(default_factory=list)
    cut: bool = False

    def array(self) -> NDArray[np.uint8]:
        """Return the content as uint8 without copying it; read-only, so that kernels compile for one kind of array."""
        array = np.frombuffer(self.data, np.uint8)
        array.flags.writeable = False
        return array

    def head(self, size: int = 64) -> bytes:
        """Return the first bytes."""
        return bytes(self.data[:size])


def open_source(source: str | PathLike[str] | bytes, limits: CaptureLimits) -> Source:
    """
    Open a path or a byte string.

    Raises:
        InputError: the file is missing, unreadable, not a file, or empty.
        LimitError: it has, or decompresses to, more bytes than the limits allow, or it is a pipe with more than they
            allow to decompress.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, raw = "<bytes>", bytes(source)
    else:
        name, raw = str(source), _map(Path(source), limits)  # type: ignore[assignment]
    if not len(raw):
        raise InputError("the input is empty", where=name, hint="give a capture with at least one packet")
    if len(raw) > limits.input_bytes:
        raise LimitError(f"{len(raw)} bytes, at most {limits.input_bytes} are read", where=name)
    opened = Source(name, raw, hashlib.sha256(raw).hexdigest())
    if raw[:2] == GZIP:
        opened.data = _gunzip(opened, limits.expanded_bytes)
    elif raw[:4] == ZSTD or (raw[1:4] == SKIPPED and raw[0] >> 4 == 5):
        opened.data = _unzstd(opened, limits.expanded_bytes)
    if not len(opened.data):
        raise InputError("the compressed input is empty or damaged", where=name)
    return opened


def _map(path: Path, limits: CaptureLimits) -> bytes | mmap.mmap:
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return _read_pipe(path, file, limits.expanded_bytes)
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read: {reason}", where=str(path)) from error


def _read_pipe(path: Path, file: BinaryIO, limit: int) -> bytes:
    """Read what has no size, a pipe or a device, into memory; an empty file has no bytes."""
    content = bytearray()
    while chunk := file.read(CHUNK):
        content += chunk
        if len(content) > limit:
            hint = "write it to a file first"
            raise LimitError(f"more than {limit} bytes come out of it", where=str(path), hint=hint)
    return bytes(content)


def _too_large(name: str, limit: int) -> LimitError:
    return LimitError(f"decompresses to more than {limit} bytes", where=name, hint="decompress and split it first")


def _gunzip(source: Source, limit: int) -> bytearray:
    """Inflate every member (RFC 1952); a damaged or missing tail ends the output with a warning."""
    out, view = bytearray(), memoryview(source.data)
    try:
        position = 0
        while position < len(view) and bytes(view[position : position + 2]) == GZIP:
            position = _inflate_member(view, position, out, limit, source)
        if position < len(view):
            source.warnings.append(f"{len(view) - position} bytes after the end of the gzip data were left out")
    except zlib.error as error:
        source.warnings.append(f"gzip data is damaged after {len(out)} bytes of content: {error}")
    return out


def _inflate_member(view: memoryview, position: int, out: bytearray, limit: int, source: Source) -> int:
    stream = zlib.decompressobj(wbits=31)
    pending = b""
    while not stream.eof:
        if not pending:
            pending = bytes(view[position : position + CHUNK])
            position += len(pending)
            if not pending:
                source.warnings.append(f"gzip data ends early, after {len(out)} bytes of content")
                return position
        out += stream.decompress(pending, CHUNK)
        pending = stream.unconsumed_tail
        if len(out) > limit:
            raise _too_large(source.name, limit)
    return position - len(stream.unused_data)


def _unzstd(source: Source, limit: int) -> bytearray:
    """Inflate every frame (RFC 8878); a damaged or missing tail ends the output with a warning."""
    out = bytearray()
    damage = _inflate_frames(source, out, CHUNK, limit)
    if damage:  # what stands between the last whole chunk and the damage comes byte by byte
        damage = _inflate_frames(source, out, 1, limit)
        source.warnings.append(f"zstd data is damaged after {len(out)} bytes of content: {damage}")
    return out


def _inflate_frames(source: Source, out: bytearray, size: int, limit: int) -> str:
    """Append what comes behind the content that is there already, some bytes at a time; return what ended it early."""
    known = len(out)
    try:
        with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(source.data)), "zstd") as stream:
            while known > 0:
                known -= len(stream.read(min(known, CHUNK)))
            while chunk := stream.read(size):
                out += chunk
                if len(out) > limit:
                    raise _too_large(source.name, limit)
    except OSError as error:
        return str(error)
    return ""
