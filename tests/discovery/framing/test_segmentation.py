"""Framing where segments say little: cut anywhere, several messages in each, parts that look like messages."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qbitel.discovery.framing import cut_streams, infer_framing
from qbitel.discovery.spec.framing import (
    DelimiterFraming,
    FixedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
    OneFraming,
)
from qbitel.discovery.streams import StreamSet

Maker = Callable[[random.Random], bytes]


def content(rng: random.Random) -> bytes:
    """Text or small numbers, without the bytes that end messages here."""
    letters = b"abcdefghij" if rng.random() < 0.5 else bytes(range(0x10, 0x18))
    return bytes(rng.choice(letters) for _ in range(rng.randrange(4, 60)))


def counted(rng: random.Random) -> bytes:
    data = content(rng)
    return b"\x05\x01" + struct.pack(">H", len(data)) + data


def numbered(rng: random.Random) -> bytes:
    data = content(rng)
    return b"%04d" % len(data) + data


def page(rng: random.Random) -> bytes:
    data = content(rng)
    return b"PUT /x\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def ended(end: bytes, opening: bytes = b"") -> Maker:
    return lambda rng: opening + content(rng) + end


def fixed(rng: random.Random) -> bytes:
    return b"\xaa" + bytes([rng.randrange(4)]) + rng.randbytes(10)


KINDS: dict[str, tuple[Maker, OneFraming]] = {
    "length": (counted, LengthFraming(offset=2, width=2, endianness="big", bias=4, magic=b"\x05\x01")),
    "digits": (numbered, LengthFraming(offset=0, width=4, endianness="big", bias=4, encoding="decimal")),
    "header": (page, HeaderFraming(end=b"\r\n\r\n", name=b"content-length:")),
    "lines": (ended(b"\r\n"), DelimiterFraming(delimiter=b"\r\n")),
    "dashes": (ended(b"\r\n--\r\n"), DelimiterFraming(delimiter=b"\r\n--\r\n")),
    "etx": (ended(b"\x03"), DelimiterFraming(delimiter=b"\x03")),
    "flags": (ended(b"\x7e", b"\x7e"), DelimiterFraming(delimiter=b"\x7e", opening=b"\x7e")),
    "size": (fixed, FixedFraming(size=12)),
}


def pieces(data: bytes, rng: random.Random, longest: int) -> list[bytes]:
    out = []
    while data:
        size = rng.randrange(1, longest)
        out.append(data[:size])
        data = data[size:]
    return out


def in_turns(make: Maker, rng: random.Random, cut: Callable[[bytes], list[bytes]]) -> tuple[StreamSet, list[bytes]]:
    """Return streams of two sides that speak in turns, one to four messages at a time, and their messages in order."""
    segments: list[list[bytes]] = []
    numbers: list[list[int]] = []
    made: list[list[bytes]] = []
    for _ in range(6):
        sides = len(segments)
        for kept in (segments, numbers, made):
            kept += [[], []]  # type: ignore[list-item]
        for turn in range(40):
            side = sides + turn % 2
            said = [make(rng) for _ in range(rng.choice([1, 1, 2, 4]))]
            made[side] += said
            for segment in cut(b"".join(said)):
                segments[side].append(segment)
                numbers[side].append(sum(map(len, numbers)))
    streams = StreamSet.from_segments(segments, flow=[i // 2 for i in range(12)], direction=[1, 2] * 6)
    order = np.array([number for stream in numbers for number in stream], np.int64)
    return replace(streams, segment_number=order), [message for stream in made for message in stream]


def cut_by(streams: StreamSet, framing: Framing) -> list[bytes]:
    cuts = cut_streams(streams, framing)
    return [streams.data[a : a + n].tobytes() for a, n in zip(cuts.start, cuts.length, strict=True)]


@pytest.mark.parametrize("name", KINDS)
def test_turns_tell_what_segments_hide(name: str) -> None:
    """Where senders stop anywhere inside messages, the places at which the other side answers tell the framing."""
    make, expected = KINDS[name]
    rng = random.Random(name)
    streams, made = in_turns(make, rng, lambda data: pieces(data, rng, 30))
    framing, evidence = infer_framing(streams)
    assert framing == expected, evidence.statement
    assert "took turns" in evidence.statement
    assert cut_by(streams, framing) == made


@pytest.mark.parametrize("name", KINDS)
def test_messages_that_share_segments_are_parted(name: str) -> None:
    """One to four messages in each segment, one way: those inside a segment begin as those at its start do."""
    make, expected = KINDS[name]
    rng = random.Random(name)
    made = [[[make(rng) for _ in range(rng.randrange(1, 5))] for _ in range(20)] for _ in range(12)]
    streams = StreamSet.from_segments([[b"".join(together) for together in stream] for stream in made])
    framing, evidence = infer_framing(streams)
    assert framing == expected, evidence.statement
    assert cut_by(streams, framing) == [m for stream in made for together in stream for m in together]


@pytest.mark.parametrize("name", ["length", "digits", "lines"])
def test_ends_of_streams_tell_lengths_and_lines(name: str) -> None:
    """Streams of one side that are cut without regard to messages still end with one."""
    make, expected = KINDS[name]
    rng = random.Random(name)
    made = [[make(rng) for _ in range(rng.randrange(20, 60))] for _ in range(16)]
    streams = StreamSet.from_segments([pieces(b"".join(stream), rng, 60) for stream in made])
    framing, evidence = infer_framing(streams)
    assert framing == expected, evidence.statement
    assert cut_by(streams, framing) == [message for stream in made for message in stream]


def strings(rng: random.Random) -> bytes:
    return bytes([rng.randrange(1, 5)]) + b"".join(content(rng) + b"\0" for _ in range(rng.randrange(1, 5)))


def readings(rng: random.Random) -> bytes:
    values = b"".join(struct.pack(">f", rng.gauss(20, 3)) for _ in range(rng.randrange(1, 6)))
    return bytes([rng.randrange(1, 5)]) + struct.pack(">HI", rng.randrange(500), 1_700_000_000) + values + b"\0"


def tags(rng: random.Random) -> bytes:
    return b"<msg id='%d'><a>%d</a></msg>" % (rng.randrange(99), rng.randrange(9))


@pytest.mark.parametrize("make", [strings, readings, tags])
def test_parts_of_messages_are_no_messages(make: Maker) -> None:
    """What ends every message and also stands inside most of them does not end parts of them."""
    rng = random.Random(7)
    made = [[make(rng) for _ in range(40)] for _ in range(12)]
    streams = StreamSet.from_segments(made)
    assert cut_by(streams, infer_framing(streams)[0]) == [message for stream in made for message in stream]
