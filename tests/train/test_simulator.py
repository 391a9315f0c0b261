"""Simulated protocols: what they claim of their messages is true of the bytes."""

from __future__ import annotations

from random import Random

import pytest

from qbitel.train.simulator import FAMILIES, simulate
from qbitel.train.simulator.message import Message, World
from qbitel.train.simulator.structures import CHECKSUMS, checksum, length_of_rest, tagged, varint


def test_the_same_seed_gives_the_same_protocol() -> None:
    """A seed draws messages and truth alike, another seed others."""
    assert simulate(7) == simulate(7)
    assert simulate(7).messages != simulate(8).messages


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_boundaries_lie_inside_messages_in_order(family: str) -> None:
    """Every boundary is strictly inside its message, ascending, and labelled leaves begin and end at boundaries."""
    for seed in range(25):
        protocol = simulate(seed, 12, family)
        for payload, boundaries, semantics in zip(
            protocol.messages, protocol.boundaries, protocol.semantics, strict=True
        ):
            assert boundaries == sorted(set(boundaries))
            assert all(0 < b < len(payload) for b in boundaries)
            ends = {0, len(payload), *boundaries}
            assert all(start in ends and start + length in ends for start, length, _ in semantics)


def test_messages_vary_and_types_repeat() -> None:
    """Columns of the truth have one entry a message, and a large draw holds several types and flows."""
    protocols = [simulate(seed, 40) for seed in range(30)]
    for p in protocols:
        columns = (p.boundaries, p.semantics, p.types, p.directions, p.flows, p.times)
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
