"""Addresses and ports of chosen rows as fixed-width arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def read_endpoints(table: pa.Table, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """
    Return src, dst ((n, 16) uint8, left-aligned), address_length (int8), sport and dport (int32, -1 unknown) of rows.

    Addresses of other than 4, 6 or 16 bytes, and two of unlike lengths, count as unknown.
    """
    chosen = table.select(["src", "dst", "sport", "dport"]).take(pa.array(rows))
    src, src_length = _addresses(chosen.column("src"))
    dst, dst_length = _addresses(chosen.column("dst"))
    alike = (src_length == dst_length) | (src_length == 0) | (dst_length == 0)
    src[~alike], dst[~alike] = 0, 0
    length = np.where(alike, np.maximum(src_length, dst_length), 0).astype(np.int8)
    return {
        "src": src,
        "dst": dst,
        "address_length": length,
        "sport": _ports(chosen, "sport"),
        "dport": _ports(chosen, "dport"),
    }


def _addresses(column: pa.ChunkedArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    array = column.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    if array.null_count == len(array):
        return np.zeros((len(array), 16), np.uint8), np.zeros(len(array), np.int64)
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), np.diff(offsets), 0)
    lengths[~np.isin(lengths, (4, 6, 16))] = 0
    inside = np.arange(16) < lengths[:, None]
    out = np.zeros((len(array), 16), np.uint8)
    out[inside] = data[(offsets[:-1, None] + np.arange(16))[inside]]
    return out, lengths


def _ports(table: pa.Table, name: str) -> NDArray[np.int32]:
    column = table.column(name)
    return np.asarray((column.fill_null(-1) if column.null_count else column).to_numpy(), np.int32)
