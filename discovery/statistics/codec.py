"""The bytes of statistics: a JSON header with version and checksum, then the arrays as they are, little-endian."""

from __future__ import annotations

import hashlib
import json
import struct
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, LimitError

MAGIC = b"QBITSTAT"
VERSION = 1
MAX_HEADER = 1 << 16
MAX_BYTES = 1 << 30
_DTYPES = {"|u1": np.uint8, "|i1": np.int8, "<u4": np.uint32, "<i4": np.int32, "<u2": np.uint16, "<u8": np.uint64,
           "<i8": np.int64, "<f8": np.float64}  # fmt: skip
_FRONT = struct.Struct("<8sI")


def encode(settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> tuple[bytes, list[memoryview]]:
    """Return the header (magic, size, JSON) and the buffers of the arrays that follow it."""
    layout, buffers = [], []
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        buffer = memoryview(array.reshape(-1).view(np.uint8).data)
        buffers.append(buffer)
        layout.append([name, array.dtype.str, list(array.shape)])
    document = {"version": VERSION, "settings": settings, "arrays": layout}
    header = _canonical({**document, "sha256": _checksum(document, buffers)})
    return _FRONT.pack(MAGIC, len(header)) + header, buffers


def decode(text: bytes) -> tuple[Any, dict[str, NDArray[Any]]]:
    """
    Return the settings document and the arrays (read-only views of ``text``).

    Raises:
        LimitError: more than 1 GiB.
        InputError: not the bytes of statistics, of another version, cut short, too long, or with another checksum.
    """
    if len(text) > MAX_BYTES:
        raise LimitError(f"statistics of {len(text)} bytes, at most {MAX_BYTES} are read", where="statistics")
    document, start = _header(text)
    if document.pop("sha256", None) != _checksum(document, [memoryview(text)[start:]]):
        raise InputError("the checksum is another", where="statistics", hint="the bytes are damaged or cut short")
    layout = document.get("arrays")
    if not isinstance(layout, list):
        raise InputError("no list of arrays", where="statistics header")
    arrays: dict[str, NDArray[Any]] = {}
    for entry in layout:
        name, dtype, shape = _entry(entry)
        size = dtype.itemsize * prod(shape)
        if start + size > len(text) or name in arrays:
            raise InputError(f"array '{name}' does not fit", where="statistics header")
        arrays[name] = np.frombuffer(text, dtype, prod(shape), start).reshape(shape)
        start += size
    if start != len(text):
        raise InputError(f"{len(text) - start} bytes too many", where="statistics")
    return document.get("settings"), arrays


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _checksum(document: dict[str, Any], buffers: list[memoryview]) -> str:
    """Return the SHA-256 (hex) of the rest of the header and the arrays."""
    checksum = hashlib.sha256(_canonical(document))
    for buffer in buffers:
        checksum.update(buffer)
    return checksum.hexdigest()


def _header(text: bytes) -> tuple[dict[str, Any], int]:
    if len(text) < _FRONT.size or text[:8] != MAGIC:
        raise InputError("not the bytes of statistics", where="statistics")
    (_, size) = _FRONT.unpack_from(text)
    if size > min(MAX_HEADER, len(text) - _FRONT.size):
        raise InputError(f"a header of {size} bytes", where="statistics")
    end = _FRONT.size + size
    try:
        document = json.loads(text[_FRONT.size : end])
    except (ValueError, RecursionError) as error:
        raise InputError("the header is no JSON", where="statistics") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise InputError(f"not version {VERSION}", where="statistics header", hint="written by another release")
    return document, end


def _entry(entry: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    match entry:
        case [str(name), str(dtype), list(shape)] if dtype in _DTYPES and len(shape) <= 2:
            if all(type(size) is int and 0 <= size <= MAX_BYTES for size in shape):
                return name, np.dtype(_DTYPES[dtype]), tuple(shape)
    raise InputError("an array of unknown form", where="statistics header")
