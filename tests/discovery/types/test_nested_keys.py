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


def test_a_count_of_parts_of_any_length_is_no_key() -> None:
    """The byte that tells the kinds apart is the key, not the number of names that a message goes on with."""
    payloads = []
    for number in range(300):
        names = [DRAW.choice([b"relay", b"pump", b"a", b"controller"]) for _ in range(DRAW.randrange(6))]
        kind, body = (1, b"") if number % 2 else (2, DRAW.randbytes(4) + bytes(4))
        listed = b"".join(bytes([len(name)]) + name + b"\0\x01" for name in names)
        payloads.append(bytes([7, len(names), kind]) + body + listed)
    sample = StatisticalAnalyzer(SETTINGS).analyze(MessageBatch.from_payloads(payloads)).sample()
    model = find_types(sample, SETTINGS)
    assert model.key is not None and model.key.offset == 2


def test_a_byte_count_of_answers_is_no_key_although_questions_have_an_address_there() -> None:
    """A nested column that tells the length on one side is passed over: a question and its answer are one type."""
    payloads, directions = [], []
    for _ in range(200):
        code, words = DRAW.choice([3, 4]), DRAW.randrange(1, 9)
        payloads += [bytes([code, DRAW.randrange(2)]) + DRAW.randbytes(1) + bytes([0, words])]
        payloads += [bytes([code, 2 * words]) + DRAW.randbytes(2 * words)]
        payloads += [b"\x06" + DRAW.randbytes(1) + bytes(3), b"\x06\0\xff\xff\xff"]
        directions += [1, 2, 1, 2]
    batch = MessageBatch.from_payloads(payloads, direction=directions)
    model = find_types(StatisticalAnalyzer(SETTINGS).analyze(batch).sample(), SETTINGS)
    assert model.key is not None and model.key.offset == 0
    assert not [proposed.name for proposed in model.types if proposed.name.startswith(("t03_", "t04_"))]


def wide_text(number: int) -> bytes:
    """Return a kind without consequence, a number that counts, and counted UTF-16 text."""
    text = " ".join(DRAW.choice(["alpha", "bravo", "quebec", "november"]) for _ in range(DRAW.randrange(1, 4)))
    head = struct.pack("<BHB", DRAW.choice([1, 2, 9]), 7000 + number, len(text))
    return head + text.encode("utf-16le") + DRAW.randbytes(2)


def signed_records(_: int) -> bytes:
    """Return a length, a count, and records whose high byte is of the sign."""
    count = DRAW.randrange(1, 9)
    records = b"".join(struct.pack("<Bh", DRAW.randrange(1, 30), DRAW.randrange(-200, 200)) for _ in range(count))
    return bytes([0xAA, 7 + len(records), DRAW.randrange(6), 0x20, count]) + records + DRAW.randbytes(2)


@pytest.mark.parametrize("message", [wide_text, signed_records])
def test_bytes_of_counted_content_are_no_first_key(message) -> None:  # type: ignore[no-untyped-def]
    """A character of counted text, or the sign of a counted number, that shows only how long messages are is no key."""
    batch = MessageBatch.from_payloads([message(number) for number in range(400)])
    model = find_types(StatisticalAnalyzer(SETTINGS).analyze(batch).sample(), SETTINGS)
    assert model.key is None
    assert len(model.types) == 1


@pytest.mark.parametrize("header", [b"", b"\0\0"], ids=["alone", "behind two bytes"])
def test_what_varint_keys_lead_to_is_no_key(header: bytes) -> None:
    """Of values behind keys of number and wire type only the first may tell the kinds of messages apart."""
    draw = random.Random(8)

    def message() -> bytes:
        name = draw.choice([b"pump", b"valve", b"drive"])
        parts = b"\x08" + draw.randbytes(1).replace(b"\xff", b"\0")[:1].translate(bytes(range(128)) * 2)
        parts += b"\x12" + bytes([len(name)]) + name + b"\x18" + bytes([draw.randrange(4)])
        return header + parts + b"".join(b"\x25" + draw.randbytes(4) for _ in range(draw.randrange(4)))

    sample = StatisticalAnalyzer(SETTINGS).analyze(MessageBatch.from_payloads([message() for _ in range(300)])).sample()
    model = find_types(sample, SETTINGS)
    assert model.key is None or model.key.offset <= len(header) + 1
