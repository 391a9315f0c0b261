"""Sequence numbers with gaps and clock ticks are found with all their bytes; what only sometimes rises is not."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.findings import Finding
from qbitel.discovery.relations import find_relations
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Timestamp
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings()


def found(payloads: list[bytes], **columns: object) -> list[Finding]:
    """The relations of these messages, all of one type."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(MessageBatch.from_payloads(payloads, **columns), "ef" * 8)  # type: ignore[arg-type]
    sample = statistics.sample()
    return find_relations(sample, np.zeros(len(sample.view), np.int32), 1, SETTINGS)


def flows(count: int, length: int, seed: int) -> tuple[list[int], list[int], list[float]]:
    """Flow, direction and time of messages from the client, at uneven intervals."""
    rng = np.random.default_rng(seed)
    ts = 1.7e9 + np.cumsum(rng.exponential(0.05, count * length))
    return [f + 1 for f in range(count) for _ in range(length)], [1] * count * length, ts.tolist()


@pytest.mark.parametrize(("pack", "order"), [(">H", "big"), ("<H", "little"), (">I", "big"), ("<I", "little")])
def test_sequence_with_gaps(pack: str, order: str) -> None:
    """A number that rises by one to nine is a sequence number of the width that its carries show."""
    rng = np.random.default_rng(3)
    flow, direction, ts = flows(4, 100, 4)
    size = struct.calcsize(pack)
    value, messages = 0, []
    for i in range(len(flow)):
        if i % 100 == 0:
            value = int(rng.integers(1 << 15, 60000)) if size == 2 else 65300
        value += int(rng.integers(1, 10))
        messages.append(b"\x11" + bytes([rng.integers(4)]) + struct.pack(pack, value) + rng.bytes(12))
    (counter,) = (f for f in found(messages, flow=flow, direction=direction, ts=ts) if f.semantic == "counter")
    assert (counter.start, counter.width, counter.endianness) == (2, size, order)
    assert counter.constraint is None and counter.evidence.detector == "sequence"
    assert counter.evidence.held_out_support > 0


def test_ticks_of_a_clock() -> None:
    """A number that rises with the time between messages is an uptime."""
    rng = np.random.default_rng(5)
    flow, direction, ts = flows(4, 100, 6)
    start = [int(rng.integers(1 << 30)) for _ in range(4)]
    messages = [
        rng.bytes(4) + struct.pack(">I", start[f - 1] + int((t - 1.7e9) * 8000)) + rng.bytes(9)
        for f, t in zip(flow, ts, strict=True)
    ]  # fmt: skip
    (clock,) = (f for f in found(messages, flow=flow, direction=direction, ts=ts) if f.semantic == "timestamp")
    assert (clock.start, clock.width, clock.endianness) == (4, 4, "big")
    assert clock.constraint == Timestamp(form="uptime")


def test_random_numbers_do_not_rise() -> None:
    """Random bytes behind a constant one rise in half of the pairs: nothing is claimed."""
    rng = np.random.default_rng(7)
    flow, direction, ts = flows(4, 100, 8)
    messages = [b"\0\x42" + rng.bytes(14) for _ in flow]
    rising = [
        f for f in found(messages, flow=flow, direction=direction, ts=ts) if f.semantic in ("counter", "timestamp")
    ]
    assert not rising


def test_one_byte_of_a_wider_number_is_no_number() -> None:
    """Where the next byte differs between flows and no carry was seen, the width stays open and nothing is claimed."""
    rng = np.random.default_rng(9)
    flow, direction, ts = flows(12, 30, 10)
    first = [rng.bytes(3) for _ in range(12)]
    value, messages = 0, []
    for i, f in enumerate(flow):
        value = 0 if i % 30 == 0 else value + int(rng.integers(1, 8))
        messages.append(first[f - 1] + bytes([value]) + rng.bytes(10))
    assert not [f for f in found(messages, flow=flow, direction=direction, ts=ts) if f.semantic == "counter"]
