"""Messages without a key near their front: divided by a deep byte, a last byte or the length, or not at all."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import LengthGuard, ValueGuard
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import find_types

SETTINGS = DiscoverySettings()
Make = Callable[[random.Random, int], bytes]


def body(draw: random.Random, kind: int, size: int) -> bytes:
    """Bytes whose zeros lie elsewhere in each kind."""
    third = size // 3
    parts = [draw.randbytes(third), draw.randbytes(third), draw.randbytes(size - 2 * third)]
    parts[kind] = bytes(len(parts[kind]))
    return b"".join(parts)


def deep(draw: random.Random, kind: int) -> bytes:
    """Noise, then the kind at offset 48, and a byte of two values that tells nothing."""
    return draw.randbytes(48) + bytes([kind + 1, draw.randrange(2)]) + body(draw, kind, 24)


def last(draw: random.Random, kind: int) -> bytes:
    """A body of any length, the kind in its last byte."""
    return body(draw, kind, 12) + draw.randbytes(draw.randrange(6)) + bytes([kind + 1])


def sized(draw: random.Random, kind: int) -> bytes:
    """Only the size tells the kind."""
    return body(draw, kind, 18) + draw.randbytes(kind * 5)


def noise(draw: random.Random, kind: int) -> bytes:
    """Random bytes of three sizes."""
    return draw.randbytes(20 + 7 * kind)


def made(make: Make) -> tuple[list[bytes], list[int], Sample]:
    """Return messages, their kinds and their sample."""
    draw = random.Random(3)
    kinds = [draw.randrange(3) for _ in range(400)]
    payloads = [make(draw, kind) for kind in kinds]
    return payloads, kinds, StatisticalAnalyzer(SETTINGS).analyze(MessageBatch.from_payloads(payloads)).sample()


@pytest.mark.parametrize("make", [deep, last, sized])
def test_messages_without_a_front_key_are_divided_by_what_explains_them(make: Make) -> None:
    """Each type holds one kind, and each kind one type."""
    payloads, kinds, sample = made(make)
    found = find_types(sample, SETTINGS).assign(MessageBatch.from_payloads(payloads).view()).tolist()
    assert len(set(zip(found, kinds, strict=True))) == len(set(found)) == 3


def test_the_guards_say_where_the_kind_is_read() -> None:
    """A deep byte is the key, with its evidence and rivals; a last byte is read from the end; sizes are bounds."""
    model = find_types(made(deep)[2], SETTINGS)
    evidence = model.evidence["key:protocol"]
    assert model.key is not None and model.key.offset == 48 and evidence.held_out_support > 50
    assert "the byte at offset 49" in {rival.claim for rival in evidence.rivals}
    guard = find_types(made(last)[2], SETTINGS).types[0].guards[0]
    assert isinstance(guard, ValueGuard) and guard.offset == -1
    guard = find_types(made(sized)[2], SETTINGS).types[0].guards[0]
    assert isinstance(guard, LengthGuard) and guard.minimum == guard.maximum


def test_random_bytes_of_a_few_sizes_are_not_divided() -> None:
    """A length that explains nothing but itself makes no types."""
    assert len(find_types(made(noise)[2], SETTINGS).types) == 1
