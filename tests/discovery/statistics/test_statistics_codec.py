"""Statistics as bytes: a round trip, and refusal of everything else."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SMALL = DiscoverySettings(sample_messages=16, sample_flows=2, flow_messages=4)


def written() -> bytes:
    statistics = MessageStatistics(SMALL)
    payloads = [bytes([i, i * 3 % 256, 9]) * (i % 3 + 1) for i in range(40)]
    statistics.update(
        MessageBatch.from_payloads(payloads, flow=[i % 4 for i in range(40)], ts=[float(i) for i in range(40)])
    )
    return statistics.to_bytes()


WRITTEN = written()


def rewritten(change: object) -> bytes:
    """Return the bytes after ``change(header, body)``, with a checksum that fits again."""
    size = struct.unpack_from("<I", WRITTEN, 8)[0]
    header, body = json.loads(WRITTEN[12 : 12 + size]), bytearray(WRITTEN[12 + size :])
    change(header, body)  # type: ignore[operator]
    del header["sha256"]
    rest = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    header["sha256"] = hashlib.sha256(rest + bytes(body)).hexdigest()
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return WRITTEN[:8] + struct.pack("<I", len(text)) + text + bytes(body)


def offset_of(header: dict[str, list[list[object]]], wanted: str) -> int:
    at = 0
    for name, dtype, shape in header["arrays"]:
        if name == wanted:
            return at
        at += np.dtype(str(dtype)).itemsize * int(np.prod(shape))  # type: ignore[arg-type]
    raise KeyError(wanted)


def test_bytes_come_back_and_go_on() -> None:
    """What was written is read as the same statistics, which update and merge as before."""
    read = MessageStatistics.from_bytes(WRITTEN)
    assert read.to_bytes() == WRITTEN and read.settings == SMALL
    more = MessageBatch.from_payloads([b"new", b"\x00\x00\x09"])
    fresh = MessageStatistics.from_bytes(WRITTEN)
    read.update(more)
    other = MessageStatistics(SMALL)
    other.update(more)
    assert fresh.merge(other).to_bytes() == read.to_bytes() != WRITTEN
    empty = MessageStatistics(SMALL)
    assert empty.empty and MessageStatistics.from_bytes(empty.to_bytes()).empty and not read.empty


@given(st.integers(0, len(WRITTEN) - 1), st.integers(1, 255))
@example(WRITTEN.index(b'"epsilon":0.01') + 13, 3)
@hypothesis_settings(max_examples=150, deadline=None)
def test_a_changed_byte_is_refused(position: int, change: int) -> None:
    """No single changed byte is read as statistics."""
    damaged = bytearray(WRITTEN)
    damaged[position] ^= change
    with pytest.raises(InputError):
        MessageStatistics.from_bytes(bytes(damaged))


@given(st.binary(max_size=200) | st.integers(0, len(WRITTEN) - 1).map(lambda n: WRITTEN[:n]) | st.just(WRITTEN + b"x"))
@hypothesis_settings(max_examples=100, deadline=None)
def test_other_bytes_are_refused(text: bytes) -> None:
    """Arbitrary, cut and lengthened bytes raise InputError, nothing else."""
    with pytest.raises(InputError):
        MessageStatistics.from_bytes(text)


@given(st.integers(0, 1 << 30), st.integers(1, 255))
@hypothesis_settings(max_examples=150, deadline=None)
def test_hostile_arrays_with_a_fitting_checksum_never_crash(position: int, change: int) -> None:
    """A body changed at will is either refused or is canonical statistics that can be used."""

    def flip(header: object, body: bytearray) -> None:
        body[position % len(body)] ^= change

    try:
        read = MessageStatistics.from_bytes(rewritten(flip))
    except InputError:
        return
    read.update(MessageBatch.from_payloads([b"abc"] * 3, flow=[1, 2, 3]))
    read.merge(read).sample()


@pytest.mark.parametrize(
    ("array", "at", "value"),
    [
        ("pairs.codes", 0, np.uint32(0xFFFFFFFF)),
        ("pairs.counts", 0, np.int64(-1)),
        ("messages.stored", 0, np.int64(1 << 60)),
        ("messages.stored", 0, np.int64(-5)),
        ("messages.counts", 0, np.int64(0)),
        ("messages.limit", 0, np.uint64(0)),
        ("messages.direction", 0, np.int8(3)),
        ("messages.ts", 0, np.float64("nan")),
        ("flows.priority", 0, np.uint64(0)),
        ("flows.address_length", 0, np.int8(17)),
        ("flows.stored", 0, np.int64(1)),
        ("bytes.front", 0, np.int64(-1)),
        ("captures.counts", 0, np.int64(0)),
    ],
)
def test_impossible_values_are_refused(array: str, at: int, value: np.generic) -> None:
    """Values that no messages give are refused although the checksum fits."""

    def change(header: dict[str, list[list[object]]], body: bytearray) -> None:
        start = offset_of(header, array) + at
        body[start : start + value.itemsize] = value.tobytes()

    with pytest.raises(InputError):
        MessageStatistics.from_bytes(rewritten(change))


def test_hostile_headers_are_refused() -> None:
    """Missing, doubled, oversized and ill-typed arrays, versions and settings are refused."""
    changes = [
        lambda header, body: header.update(version=2),
        lambda header, body: header.update(settings={"seed": -1}),
        lambda header, body: header.update(arrays={}),
        lambda header, body: header["arrays"].pop(),
        lambda header, body: header["arrays"].append(header["arrays"][0]),
        lambda header, body: header["arrays"][0].__setitem__(2, [1 << 29, 256]),
        lambda header, body: header["arrays"][0].__setitem__(2, [-1, 256]),
        lambda header, body: header["arrays"][0].__setitem__(2, [True, 256]),
        lambda header, body: header["arrays"][0].__setitem__(1, "|O"),
        lambda header, body: header["arrays"].append(["more", "|u1", [0]]),
    ]
    for change in changes:
        with pytest.raises(InputError):
            MessageStatistics.from_bytes(rewritten(change))
