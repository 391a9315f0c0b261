"""Framing on streams made by other means: every kind, cut anywhere, with greetings, loss, and two ways in one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qbitel.discovery.framing import cut_streams, infer_framing
from qbitel.discovery.spec.framing import (
    DelimiterFraming,
    DirectedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
    SegmentFraming,
)
from qbitel.discovery.streams import StreamSet

Maker = Callable[[random.Random], bytes]
WORDS = [b"status", b"value", b"hello world", b"x", b"reading=17", b"temperature 21.5"]


def body(rng: random.Random, longest: int = 400) -> bytes:
    """Bytes of any kind, mostly few."""
    return rng.randbytes(int(longest * rng.random() ** 3) + 1)


def leb128(number: int) -> bytes:
    out = bytearray()
    while True:
        out.append(number & 127 | (128 if number > 127 else 0))
        number >>= 7
        if not number:
            return bytes(out)


def vlq(number: int) -> bytes:
    out = [number & 127]
    while number := number >> 7:
        out.append(number & 127 | 128)
    return bytes(reversed(out))


def ber(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([128 + len(octets)]) + octets


def words(rng: random.Random) -> bytes:
    return b" ".join(rng.choice(WORDS) for _ in range(rng.randrange(0, 9)))


def http(rng: random.Random) -> bytes:
    content = body(rng)
    lines = (
        b"POST /" + rng.choice(WORDS).replace(b" ", b"-") + b" HTTP/1.1\r\nHost: a\r\nX-Try: %d\r\n" % rng.randrange(9)
    )
    return lines + b"Content-Length: %d\r\n\r\n" % len(content) + content if rng.random() < 0.7 else lines + b"\r\n"


def record_mark(rng: random.Random) -> bytes:
    content = body(rng)
    return (len(content) | (rng.random() < 0.7) << 31).to_bytes(4, "big") + content


def in_words(rng: random.Random) -> bytes:
    content = rng.randbytes(4 * rng.randrange(1, 40))
    return bytes([rng.randrange(1, 9), 0]) + (1 + len(content) // 4).to_bytes(2, "little") + content


def stuffed(rng: random.Random) -> bytes:
    """HDLC-like framing in RFC 1662: a flag on each side, 7D before what must not show."""
    content = body(rng, 90).replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return b"\x7e" + content + b"\x7e"


def paragraph(rng: random.Random) -> bytes:
    return b"\r\n".join(words(rng) + rng.choice([b"!", b"?"]) for _ in range(rng.randrange(1, 5))) + b"\r\n\r\n"


def counted(size: Callable[[int], bytes], lead: bytes = b"", after: bytes = b"", text: bool = False) -> Maker:
    """Return a maker of messages that are a lead, the size of what follows, what stands between, and the content."""

    def make(rng: random.Random) -> bytes:
        content = words(rng) if text else body(rng)
        first = bytes([rng.choice(lead)]) if lead else b""
        return first + size(len(content)) + content + after

    return make


MAKERS: dict[str, tuple[Maker, type, dict[str, object]]] = {
    "mqtt-like": (counted(leb128, b"\x10\x30\x32\x40"), LengthFraming, {"encoding": "leb128", "offset": 1}),
    "vlq": (counted(vlq, b"\x01\x02\x03"), LengthFraming, {"encoding": "vlq", "offset": 1}),
    "ber": (counted(ber, b"\x30"), LengthFraming, {"encoding": "ber", "offset": 1}),
    "netstrings": (counted(lambda n: b"%d:" % n, after=b","), LengthFraming, {"encoding": "digits", "bias": 2}),
    "octet-counted": (counted(lambda n: b"%d " % n, text=True), LengthFraming, {"encoding": "digits", "bias": 1}),
    "decimal": (counted(lambda n: b"%06d" % n), LengthFraming, {"encoding": "decimal", "width": 6, "bias": 6}),
    "pkt-line": (counted(lambda n: b"%04x" % (n + 4)), LengthFraming, {"encoding": "hex", "width": 4, "bias": 0}),
    "eight bytes": (counted(lambda n: n.to_bytes(8, "big")), LengthFraming, {}),
    "content-length": (http, HeaderFraming, {"end": b"\r\n\r\n", "name": b"content-length:"}),
    "record marking": (record_mark, LengthFraming, {"mask": 0x7FFFFFFF, "bias": 4}),
    "words": (in_words, LengthFraming, {"scale": 4, "bias": 0}),
    "stuffed": (stuffed, DelimiterFraming, {"delimiter": b"\x7e", "opening": b"\x7e"}),
    "blank line": (
        paragraph,
        DelimiterFraming,
        {"delimiter": b"\r\n\r\n"},
    ),
}  # fmt: skip


def sent(made: list[bytes], rng: random.Random, mss: int = 1460) -> list[bytes]:
    """Return the segments of a sender that gathers some messages, and cuts what is more than a segment holds."""
    segments, waiting = [], b""
    for message in made:
        waiting += message
        if rng.random() < 0.7:
            segments += [waiting[i : i + mss] for i in range(0, len(waiting), mss)]
            waiting = b""
    return [*segments, *([waiting] if waiting else [])]


def anywhere(made: list[bytes], rng: random.Random) -> list[bytes]:
    """Return segments cut at random places, as a relay or a small window makes them; some ends are real ones."""
    out: list[bytes] = []
    for segment in sent(made, rng):
        at = 0
        while at < len(segment):
            size = rng.randrange(600, 1200) if rng.random() < 0.8 else rng.randrange(1, 600)
            out.append(segment[at : at + size])
            at += size
    return out


def share_found(streams: StreamSet, framing: Framing, made: list[list[bytes]]) -> float:
    """Return how many of the messages are cut out whole."""
    cuts = cut_streams(streams, framing)
    found = {(s, a - streams.bounds[s], n) for s, a, n in zip(cuts.stream, cuts.start, cuts.length, strict=True)}
    wanted, total = 0, 0
    for index, messages in enumerate(made):
        at = 0
        for message in messages:
            wanted += (index, at, len(message)) in found
            total += 1
            at += len(message)
    return wanted / total


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("segmentation", [sent, anywhere])
def test_every_kind_is_found(name: str, segmentation: Callable[..., list[bytes]]) -> None:
    """Its kind and its numbers, from a dozen streams, however the sender's bytes are cut into segments."""
    make, kind, expected = MAKERS[name]
    rng = random.Random(name)
    made = [[make(rng) for _ in range(40)] for _ in range(12)]
    streams = StreamSet.from_segments([segmentation(messages, rng) for messages in made])
    framing, evidence = infer_framing(streams)
    assert isinstance(framing, kind), evidence.statement
    assert {key: getattr(framing, key) for key in expected} == expected
    assert share_found(streams, framing, made) > 0.99
    assert evidence.held_out_trials > 10 and evidence.bits_saved > 20


@pytest.mark.parametrize("name", ["mqtt-like", "ber", "record marking", "content-length", "netstrings"])
def test_a_single_connection_is_enough(name: str) -> None:
    """One stream in each direction, taken apart, proposes and falsifies."""
    make, kind, _ = MAKERS[name]
    rng = random.Random(name)
    made = [[make(rng) for _ in range(60)] for _ in range(2)]
    streams = StreamSet.from_segments([sent(messages, rng) for messages in made], flow=[1, 1], direction=[1, 2])
    framing, evidence = infer_framing(streams)
    assert isinstance(framing, kind), evidence.statement
    assert evidence.held_out_trials > 4
    assert share_found(streams, framing, made) > 0.95


def test_each_direction_has_its_own_framing() -> None:
    """Lines one way, counted answers the other way: a framing for each, with the joint one among the rivals."""
    rng = random.Random(4)
    answers = counted(lambda n: n.to_bytes(4, "big"))
    made = [
        [(words(rng) + b"\r\n") if way == 1 else answers(rng) for _ in range(30)] for _ in range(8) for way in (1, 2)
    ]
    streams = StreamSet.from_segments([sent(messages, rng) for messages in made], direction=[1, 2] * 8)
    framing, evidence = infer_framing(streams)
    assert isinstance(framing, DirectedFraming)
    assert framing.client_to_server == DelimiterFraming(delimiter=b"\r\n")
    assert isinstance(framing.server_to_client, LengthFraming)
    assert share_found(streams, framing, made) > 0.99
    assert evidence.detector == "framing.directed" and "server to client" in evidence.statement


@pytest.mark.parametrize("together", [False, True])
def test_a_greeting_is_kept_apart(together: bool) -> None:
    """A first message of another form does not hide the framing, even where it shares a segment with what follows."""
    rng = random.Random(6)
    make = counted(lambda n: n.to_bytes(4, "big"))
    made = [[b"\x13Greetings protocol\0\0" + rng.randbytes(20), *(make(rng) for _ in range(20))] for _ in range(12)]
    segments = [[m[0] + m[1], *sent(m[2:], rng)] if together else [m[0], *sent(m[1:], rng)] for m in made]
    streams = StreamSet.from_segments(segments)
    framing, evidence = infer_framing(streams)
    assert isinstance(framing, LengthFraming) and (framing.offset, framing.width, framing.bias) == (0, 4, 4), evidence
    assert share_found(streams, framing, made) > 0.97


@pytest.mark.parametrize("name", ["mqtt-like", "record marking", "content-length"])
def test_streams_taken_up_in_the_middle_come_into_step(name: str) -> None:
    """Where the capture starts inside a message, and segments are lost, most messages are still cut right."""
    make, kind, _ = MAKERS[name]
    rng = random.Random(8)
    made = [[make(rng) for _ in range(60)] for _ in range(12)]
    streams = StreamSet.from_segments([sent(messages, rng) for messages in made])
    late = [streams.segments(i) for i in range(len(streams))]
    late = [[segments[0][len(segments[0]) // 2 :], *segments[1:]] for segments in late]
    kept = StreamSet.from_segments([[s for k, s in enumerate(segments) if k % 20 != 9] for segments in late])
    gaps = np.zeros(len(kept.segment_start), np.int64)
    for index, segments in enumerate(late):
        for lost in range(9, len(segments) - 1, 20):
            gaps[kept.segment_bounds[index] + lost - lost // 20] = len(segments[lost])
    streams = replace(kept, segment_gap=gaps)
    framing, evidence = infer_framing(streams)
    assert isinstance(framing, kind), evidence.statement
    cuts = cut_streams(streams, framing)
    whole = {streams.data[a : a + n].tobytes() for a, n in zip(cuts.start, cuts.length, strict=True)}
    assert len(whole & {m for messages in made for m in messages}) > 0.8 * len(
        {m for messages in made for m in messages}
    )


@pytest.mark.parametrize("seed", range(4))
def test_two_ways_of_noise_are_no_framing(seed: int) -> None:
    """Random bytes in both directions, and digits only, stay one message a segment."""
    rng = random.Random(seed)
    alphabet = bytes(range(256)) if seed % 2 else b"0123456789"
    noise = [[bytes(rng.choices(alphabet, k=rng.randrange(2, 80))) for _ in range(30)] for _ in range(8)]
    assert infer_framing(StreamSet.from_segments(noise, direction=[1, 2] * 4))[0] == SegmentFraming()
