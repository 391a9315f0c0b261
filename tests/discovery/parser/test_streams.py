"""Byte streams: however they are fed the same messages come out, nothing is lost, and damage is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.parser import ParseTree, Skipped, StreamParser
from qbitel.discovery.spec import (
    DatagramFraming,
    DelimiterFraming,
    DirectedFraming,
    Field,
    Fixed,
    FixedFraming,
    Framing,
    FromLength,
    HeaderFraming,
    LengthFraming,
    MessageType,
    ProtocolSpec,
    SegmentFraming,
)

MAGIC = b"\xaa\x01"
LENGTH = LengthFraming(offset=2, width=2, endianness="big", bias=4, magic=MAGIC)


def spec(framing: Framing) -> ProtocolSpec:
    """Magic, length, body."""
    size = Field(name="size", width=Fixed(size=2), encoding="uint", endianness="big")
    elements = [Field(name="magic", width=Fixed(size=2)), size, Field(name="body", width=FromLength(field="size"))]
    return ProtocolSpec(framing=framing, types=[MessageType(name="any", elements=elements)])


def frame(body: bytes) -> bytes:
    """A message of the length framing."""
    return MAGIC + len(body).to_bytes(2, "big") + body


def read(
    framing: Framing, stream: bytes, pieces: list[int], most: int = 1 << 20
) -> tuple[list[ParseTree], list[Skipped]]:
    """Feed a stream in pieces of these sizes, over and over, and end it."""
    parser = StreamParser(spec(framing), max_message=most)
    trees, at, turn = [], 0, 0
    while at < len(stream):
        size = pieces[turn % len(pieces)]
        trees += parser.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    trees += parser.finish()
    assert parser.position == len(stream)
    assert parser.skipped + sum(len(tree.message) for tree in trees) == len(stream)
    return trees, parser.events


BODIES = st.lists(st.binary(max_size=20), max_size=8)
PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
SNIPPETS = st.sampled_from(
    [
        b"Size: 3",
        b"\r\n\r\n",
        b"12",
        b"0a",
        b"\x81\x02",
        b"\x02",
        b"\xaa",
        b"\x01",
        MAGIC,
        b"\x00",
        b"\x00\x03",
        b"\r",
        b"\n",
        b"\r\n",
        b"xyz",
        frame(b"ok"),
    ]
)
FRAMINGS = [
    LENGTH,
    LengthFraming(offset=0, width=1, endianness="big", bias=1),
    DelimiterFraming(delimiter=b"\r\n"),
    DelimiterFraming(delimiter=b"\x00"),
    DelimiterFraming(delimiter=b"\r\n", opening=b"\r\n"),
    DelimiterFraming(delimiter=b"\x01", opening=b"\xaa\x01"),
    FixedFraming(size=5),
    LengthFraming(offset=1, width=5, endianness="big", bias=1, encoding="leb128"),
    LengthFraming(offset=1, width=5, endianness="big", bias=0, encoding="ber"),
    LengthFraming(offset=1, width=5, endianness="big", bias=0, encoding="vlq"),
    LengthFraming(offset=0, width=9, endianness="big", bias=1, encoding="digits"),
    LengthFraming(offset=0, width=2, endianness="big", bias=2, encoding="hex"),
    LengthFraming(offset=0, width=2, endianness="little", scale=2, bias=2, mask=0xFFF),
    HeaderFraming(end=b"\r\n\r\n", name=b"size:"),
    DirectedFraming(client_to_server=LENGTH, server_to_client=SegmentFraming()),
]


@pytest.mark.parametrize("framing", FRAMINGS)
@given(parts=st.lists(SNIPPETS, max_size=40), pieces=PIECES, most=st.sampled_from([8, 1 << 20]))
@settings(max_examples=60, deadline=None)
def test_how_a_stream_is_fed_makes_no_difference(
    framing: Framing, parts: list[bytes], pieces: list[int], most: int
) -> None:
    """Fed byte by byte, at once or in pieces, a stream gives the same messages, places and skipped bytes."""
    stream = b"".join(parts)
    whole, skipped = read(framing, stream, [len(stream) or 1], most)
    expected = [(t.position, t.message, t.partial) for t in whole]
    for sizes in ([1], pieces):
        trees, events = read(framing, stream, sizes, most)
        assert [(t.position, t.message, t.partial) for t in trees] == expected
        assert events == skipped


@given(bodies=BODIES, pieces=PIECES)
@settings(max_examples=60, deadline=None)
def test_an_undamaged_stream_gives_its_messages(bodies: list[bytes], pieces: list[int]) -> None:
    """Every message comes out whole, parsed, at its offset; nothing is skipped."""
    messages = [frame(body) for body in bodies]
    trees, events = read(LENGTH, b"".join(messages), pieces)
    assert [tree.message for tree in trees] == messages
    assert all(tree.ok and not tree.partial for tree in trees) and not events


@given(before=BODIES, junk=st.binary(min_size=1, max_size=60), after=st.lists(st.binary(max_size=20), min_size=3))
@settings(max_examples=80, deadline=None)
def test_damage_is_passed_over(before: list[bytes], junk: bytes, after: list[bytes]) -> None:
    """Bytes that begin no message are skipped and told, and what follows them is read."""
    junk = junk.replace(b"\xaa", b"\xab")
    trees, events = read(LENGTH, b"".join(map(frame, before)) + junk + b"".join(map(frame, after)), [7])
    assert [tree.message for tree in trees] == [frame(body) for body in (*before, *after)]
    assert events == [Skipped(sum(len(frame(body)) for body in before), len(junk))]


def test_a_message_cut_by_the_end_is_partial() -> None:
    """What is left at the end of a stream is given as a partial message with its error."""
    trees, events = read(LENGTH, frame(b"whole") + frame(b"not whole")[:-3], [4])
    assert [(tree.message, tree.partial, tree.ok) for tree in trees] == [
        (frame(b"whole"), False, True),
        (frame(b"not whole")[:-3], True, False),
    ]
    assert not events


def test_an_endless_line_is_skipped_in_bounded_memory() -> None:
    """Bytes without a delimiter are given up once they are more than a message may have."""
    parser = StreamParser(spec(DelimiterFraming(delimiter=b"\r\n")), max_message=100)
    for _ in range(50):
        assert parser.feed(b"x" * 64) == []
    (tree,) = parser.feed(b"\r\nshort\r\n")
    assert tree.message == b"short\r\n" and tree.position == 50 * 64 + 2
    assert parser.events == [Skipped(0, 50 * 64 + 2)]
    assert len(parser._buffer) == 0


def test_datagrams_are_messages_as_they_are_fed() -> None:
    """Where the transport keeps borders, each piece is a message."""
    parser = StreamParser(spec(DatagramFraming()))
    assert [tree.message for piece in (frame(b"a"), b"", frame(b"bc")) for tree in parser.feed(piece)] == [
        frame(b"a"),
        frame(b"bc"),
    ]


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


BODY = b"\x7f" + b"payload" * 3
RESYNC = [
    (LengthFraming(offset=1, width=5, endianness="big", bias=0, encoding="leb128"), b"\x30\x16" + BODY),
    (LengthFraming(offset=1, width=5, endianness="big", bias=0, encoding="ber"), b"\x30\x16" + BODY),
    (LengthFraming(offset=0, width=9, endianness="big", bias=2, encoding="digits"), b"22:" + BODY + b","),
    (LengthFraming(offset=0, width=4, endianness="big", bias=0, encoding="hex"), b"001a" + BODY),
    (LengthFraming(offset=0, width=4, endianness="big", bias=4, mask=0x7FFFFFFF), b"\x80\0\0\x16" + BODY),
    (HeaderFraming(end=b"\r\n\r\n", name=b"size:"), b"GET\r\nSize: 22\r\n\r\n" + BODY),
    (DelimiterFraming(delimiter=b"\x7e", opening=b"\x7e"), b"\x7e" + BODY + b"\x7e"),
    (DelimiterFraming(delimiter=b"\r\n"), BODY + b"\r\n"),
    (FixedFraming(size=22), BODY),
]


@pytest.mark.parametrize(("framing", "message"), RESYNC, ids=lambda value: getattr(value, "encoding", None))
def test_every_framing_reads_on_behind_damage(framing: Framing, message: bytes) -> None:
    """Whole messages before and after bytes that begin none; what was skipped is told; no byte is lost."""
    damage = b"\0" + b"\xff" * 6
    parser = StreamParser(spec(framing))
    stream = message * 5 + damage + message * 6
    trees = [tree for piece in pieces_of(stream, 7) for tree in parser.feed(piece)] + parser.finish()
    assert [tree.message for tree in trees[:5]] == [message] * 5
    if isinstance(framing, (LengthFraming, HeaderFraming)):
        assert [tree.message for tree in trees[5:]] == [message] * 6
        assert parser.events == [Skipped(5 * len(message), len(damage))]
    assert parser.skipped + sum(len(tree.message) for tree in trees) == len(stream)


def test_each_direction_is_read_by_its_own_framing() -> None:
    """The client's lines and the server's counted answers, told by the direction that is given."""
    counted = LengthFraming(offset=0, width=1, endianness="big", bias=1)
    framing = DirectedFraming(client_to_server=DelimiterFraming(delimiter=b"\n"), server_to_client=counted)
    assert [t.message for t in StreamParser(spec(framing), direction=1).feed(b"ab\nc\n")] == [b"ab\n", b"c\n"]
    assert [t.message for t in StreamParser(spec(framing), direction=2).feed(b"\2ab\0")] == [b"\2ab", b"\0"]
