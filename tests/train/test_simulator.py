"""Simulated protocols: what they claim of their messages is true of the bytes."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from qbitel.train.simulator import FAMILIES, exchange, layers, numbers, packed, simulate
from qbitel.train.simulator.message import Message, World
from qbitel.train.simulator.structures import (
    CHECKSUMS,
    checksum,
    length_of_rest,
    prefixed_length,
    tagged,
    varint,
)  # fmt: skip


def test_the_same_seed_gives_the_same_protocol() -> None:
    """A seed draws messages and truth alike, another seed others."""
    assert simulate(7) == simulate(7)
    assert simulate(7).messages != simulate(8).messages


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_boundaries_lie_inside_messages_in_order(family: str) -> None:
    """Every boundary is strictly inside its message, ascending; labelled leaves and numbers begin and end at some."""
    for seed in range(25):
        protocol = simulate(seed, 12, family)
        for payload, boundaries, semantics, ordered in zip(
            protocol.messages, protocol.boundaries, protocol.semantics, protocol.numbers, strict=True
        ):
            assert boundaries == sorted(set(boundaries))
            assert all(0 < b < len(payload) for b in boundaries)
            ends = {0, len(payload), *boundaries}
            assert all(start in ends and start + length in ends for start, length, _ in semantics)
            assert all(length > 1 and start in ends and start + length in ends for start, length in ordered)


def test_messages_vary_and_types_repeat() -> None:
    """Columns of the truth have one entry a message, and a large draw holds several types and flows."""
    protocols = [simulate(seed, 40) for seed in range(30)]
    for p in protocols:
        columns = (p.boundaries, p.semantics, p.types, p.directions, p.flows, p.times, p.numbers)
        assert {len(column) for column in columns} == {len(p.messages)}
    assert sum(len(set(p.types)) > 1 for p in protocols) > 10
    assert sum(len(set(p.flows)) > 1 for p in protocols) > 10


def built(factory, seed: int, body: bytes) -> tuple[bytes, list[tuple[int, int, str]], World]:  # type: ignore[no-untyped-def]
    """Return a message of two bytes, the field of a factory, and a body."""
    world = World(Random(seed), "big" if seed % 2 else "little")
    field, message = factory(world.rng, world), Message(world)
    message.put(b"\x51\x42")
    field(message)
    message.put(body)
    message.finish()
    return message.payload(), message.truth()[1], world


def test_aligned_protocols_place_numbers_at_multiples_of_their_width() -> None:
    """However widths are drawn, those of 2 bytes begin at even offsets and wider ones at multiples of 4."""
    world = World(Random(5), "big", alike=0.3, aligned=True)
    for _ in range(300):
        at, drawn = world.offset, world.width(world.rng, [1, 2, 4, 8])
        assert world.offset == at + drawn
        assert at % min(drawn, 4) == 0


def test_widths_of_neighbours_are_alike_as_often_as_the_world_says() -> None:
    """The share of fields that are as wide as the one before them grows from chance to nearly all."""
    shares = []
    for alike in (0.0, 0.5, 0.9):
        world = World(Random(6), "big", alike)
        widths = [world.width(world.rng, [1, 2, 4, 8]) for _ in range(2000)]
        shares.append(sum(a == b for a, b in pairwise(widths)) / 1999)
    assert shares == pytest.approx([0.25, 0.625, 0.925], abs=0.03)


def test_numbers_of_a_row_are_equally_wide() -> None:
    """A row is some fields of one width, and their offsets say so."""
    for seed in range(20):
        world = World(Random(seed), "big")
        field, message = numbers.row(world.rng, world), Message(world)
        field(message)
        assert {len(part) for part in message.parts} == {world.last}
        assert world.offset == message.size(0)


def test_checksums_hold_when_computed_again() -> None:
    """A checksum equals one of the rules over the message with zeros in its place."""
    for seed in range(40):
        payload, semantics, world = built(checksum, seed, b"some body bytes")
        start, width, label = semantics[0]
        assert label == "checksum"
        blank = payload[:start] + bytes(width) + payload[start + width :]
        assert payload[start : start + width] in {world.number(rule(blank), width) for rule in CHECKSUMS.values()}


def test_lengths_follow_the_size_of_the_rest() -> None:
    """Forty-eight more bytes raise a length by 48 of its unit of 1, 2 or 4 bytes."""
    for seed in range(40):
        values = []
        for size in (48, 96):
            payload, semantics, world = built(length_of_rest, seed, bytes(size))
            start, width, label = semantics[0]
            assert label == "length"
            values.append(int.from_bytes(payload[start : start + width], world.order))
        assert values[1] - values[0] in (48, 24, 12)


def test_tagged_elements_tile_the_message() -> None:
    """The length of each flat element leads to the next tag, whatever the widths."""
    checked = 0
    for seed in range(60):
        payload, semantics, world = built(tagged, seed, b"")
        labels = [(start, size) for start, size, label in semantics if label == "length"]
        tags = [start for start, _, label in semantics if label == "tag"]
        for (start, size), following in zip(labels, tags[1:], strict=False):
            value = int.from_bytes(payload[start : start + size], world.order)
            checked += start + size + value == following
    assert checked > 40


def test_varints_are_seven_bit_groups() -> None:
    """Known encodings of the protocol buffers documentation."""
    assert varint(1) == b"\x01"
    assert varint(150) == b"\x96\x01"
    assert varint(300) == b"\xac\x02"


def test_answers_follow_the_requests_of_their_flow() -> None:
    """In each flow requests and answers take turns, and an answer carries the function code of its request."""
    for seed in range(12):
        world = World(Random(seed), "big")
        protocol = exchange.make(world.rng, world)
        asked = -1
        for turn in range(40):
            message = Message(world)
            kind = protocol.emit(message)
            assert world.direction == 1 + turn % 2
            assert world.direction == 1 or kind // 3 == asked
            asked = kind // 3


def test_an_inner_message_keeps_its_own_lengths() -> None:
    """Carried in an outer message, a length of the whole message is that of the inner one."""
    world = World(Random(1), "big")
    inner = Message(world)
    seeds = (seed for seed in range(99) if _counts_whole(seed))
    field = length_of_rest(Random(next(seeds)), world)

    def emit(message: Message) -> int:
        field(message)
        message.put(b"12345678")
        return 3

    emit(inner)
    inner.finish()
    outer = Message(world)
    outer.put(b"header")
    assert layers.into(outer, emit) == 3
    outer.finish()
    assert outer.payload() == b"header" + inner.payload()


def _counts_whole(seed: int) -> bool:
    """Return whether the length field of this seed counts what is before it as well."""
    values = []
    for before in (b"", bytes(64)):
        world = World(Random(seed), "big")
        field, message = length_of_rest(world.rng, world), Message(world)
        message.put(before)
        field(message)
        message.put(bytes(64))
        message.finish()
        start, width, _ = message.truth()[1][0]
        values.append(message.payload()[start : start + width])
    return values[0] != values[1]


def test_concise_values_are_read_back_to_their_end() -> None:
    """What is written as CBOR is one well-formed item: reading it by the rules of RFC 8949 ends with the message."""
    world = World(Random(3), "big")
    for seed in range(40):
        shape = packed.draw(Random(seed), 0)
        message = Message(world)
        packed.concise(shape, message, whole=seed % 2 == 0)
        assert _item_end(message.payload(), 0) == len(message.payload())


def _item_end(data: bytes, at: int) -> int:
    """Return where the CBOR item at ``at`` ends."""
    major, short = data[at] >> 5, data[at] & 31
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(short, 0)
    number = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else short
    at += 1 + width
    if major in (2, 3):
        return at + number
    for _ in range({4: number, 5: 2 * number}.get(major, 0)):
        at = _item_end(data, at)
    return at


def test_a_length_of_varying_width_counts_what_follows_it() -> None:
    """A varint, or seven bits and two more bytes, tells the size of the rest."""
    for seed in range(10):
        for size in (5, 100, 126, 300):
            payload, semantics, _ = built(prefixed_length, seed, bytes(size))
            start, width, _ = semantics[0]
            head = payload[start : start + width]
            as_bytes = head[0] if width == 1 else int.from_bytes(head[1:], "big")
            assert size in (as_bytes, sum((byte & 127) << 7 * i for i, byte in enumerate(head)))
            assert start + width + size == len(payload)
