"""Addresses inside messages that are those of the flow's own endpoints."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..batch import MessageBatch
from ..spec import Address
from .values import Leaves

WIDTHS = {"ipv4": 4, "ipv6": 16, "mac": 6}


def address(leaves: Leaves, constraint: Address, messages: MessageBatch) -> NDArray[np.bool_]:
    """Return which leaves are the address that is said; where the message's own is unknown, the width has to do."""
    width = WIDTHS[constraint.form]
    holds: NDArray[np.bool_] = leaves.lengths == width
    if constraint.endpoint == "none" or not len(messages):
        return holds
    column = messages.to_arrow().column({"source": "src", "destination": "dst"}[constraint.endpoint]).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    _, offset_buffer, data_buffer = column.buffers()
    if data_buffer is None:
        return holds
    offsets = np.frombuffer(offset_buffer, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    known = (np.diff(offsets) == width) & column.is_valid().to_numpy(zero_copy_only=False)
    judged = np.flatnonzero(holds & known[leaves.rows])
    places = np.arange(width)
    own = np.frombuffer(data_buffer, np.uint8)[offsets[leaves.rows[judged], None] + places]
    said = leaves.parsed.view.data[leaves.at[judged, None] + places]
    holds[judged] = (own == said).all(axis=1)
    return holds
