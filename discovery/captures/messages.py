"""From protocol groups to messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from ..batch import SCHEMA, MessageBatch, place_in_stream
from ..framing import Cuts, cut_streams
from ..spec.framing import Framing
from ..streams import StreamSet
from .capture import ProtocolGroup


def messages_of(group: ProtocolGroup, framing: Framing) -> MessageBatch:
    """
    Return the messages of a group: its datagrams, or its streams cut by the framing, in order of capture.

    Time is that of the packet in which a message starts; its number says which packet, and which message of it.
    """
    return stream_messages(group.streams, cut_streams(group.streams, framing)) if group.stream else group.batch


@njit(cache=True, nogil=True)
def _copy_messages(data, start, length, out):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(len(start)):
        out[at : at + length[i]] = data[start[i] : start[i] + length[i]]
        at += length[i]


def stream_messages(streams: StreamSet, cuts: Cuts) -> MessageBatch:
    """Return the messages that cuts of a stream set make, ordered by the packet they start in."""
    segment = np.searchsorted(streams.segment_start, cuts.start, side="right") - 1
    order = np.lexsort((cuts.start, streams.segment_number[segment]))
    start, length = cuts.start[order], cuts.length[order]
    stream, segment = cuts.stream[order], segment[order]
    offsets = np.concatenate(([0], np.cumsum(length))).astype(np.int64)
    data = np.empty(int(offsets[-1]), np.uint8)
    source = np.ascontiguousarray(streams.data).view()
    source.flags.writeable = False  # one kind of array: kernels compile once
    _copy_messages(source, start, length, data)
    seconds = streams.segment_ts[segment]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    packets = streams.segment_number[segment]
    columns = {
        "payload": pa.Array.from_buffers(pa.large_binary(), len(start), buffers),
        "ts": pa.array(seconds, pa.float64(), mask=np.isnan(seconds)),
        "flow": pa.array(streams.flow[stream]),
        "direction": pa.array(streams.direction[stream]),
        "source": pa.array(np.zeros(len(start), np.int32)),
        "number": pa.array(place_in_stream(packets, _places_in_packets(packets))),
        "src": _address(streams.src).take(pa.array(stream)),
        "dst": _address(streams.dst).take(pa.array(stream)),
        "sport": _port(streams.sport[stream]),
        "dport": _port(streams.dport[stream]),
    }
    return MessageBatch(pa.table(columns, schema=SCHEMA))


def _places_in_packets(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each message how many before it begin in the same packet; messages of a packet are neighbours."""
    rows = np.arange(len(packets), dtype=np.int64)
    begins = np.ones(len(packets), np.bool_)
    begins[1:] = packets[1:] != packets[:-1]
    return rows - np.maximum.accumulate(np.where(begins, rows, 0))


def _address(values: Sequence[bytes]) -> pa.Array:
    return pa.array([value or None for value in values], pa.binary())


def _port(ports: NDArray[np.int32]) -> pa.Array:
    return pa.array(ports, pa.int32(), mask=ports < 0)
