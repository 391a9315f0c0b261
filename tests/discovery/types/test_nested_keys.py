"""Columns that explain a type's messages without being its key."""

from __future__ import annotations

import random
import struct

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import find_types

SETTINGS = DiscoverySettings()
DRAW = random.Random(5)


def counted_records(_: int) -> bytes:
    """Return a count of records of seven bytes, and the records."""
    return b"".join(
        [bytes([count := DRAW.randrange(1, 7)]), *(struct.pack(">HBf", 99, 0, DRAW.gauss(9, 2)) for _ in range(count))]
    )


def tagged_items(number: int) -> bytes:
    """Return items of tag, length and value; one message in three leaves the first out."""
    text, value = DRAW.choice([b"open", b"closed", b"stuck"]), DRAW.randrange(1 << 20).to_bytes(4, "big")
    return (bytes([1, len(text)]) + text) * (number % 3 > 0) + b"\x02\x04" + value + b"\x03\x04" + bytes(4)


@pytest.mark.parametrize("body", [counted_records, tagged_items])
def test_counts_and_tags_of_items_are_no_keys_of_the_message(body) -> None:  # type: ignore[no-untyped-def]
    """A type whose body is a counted row of records, or tagged items up to a trailer, stays one type."""
    payloads = []
    for number in range(240):
        trailer = DRAW.randbytes(2)
        payloads += [b"PL\x02" + body(number) + trailer, b"PL\x05\0\0\0\0" + DRAW.randbytes(4)]
    sample = StatisticalAnalyzer(SETTINGS).analyze(MessageBatch.from_payloads(payloads)).sample()
    model = find_types(sample, SETTINGS)
    assert model.key is not None and model.key.offset == 2
    assert len(set(model.assign(MessageBatch.from_payloads(payloads).view()).tolist())) == 2
