"""Inferring how streams are cut into messages, and cutting them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.framing import cut_streams, infer_framing
from qbitel.discovery.spec.framing import (
    DatagramFraming,
    DelimiterFraming,
    FixedFraming,
    Framing,
    LengthFraming,
    SegmentFraming,
)
from qbitel.discovery.streams import StreamSet

Maker = Callable[[random.Random], bytes]


def length_message(framing: LengthFraming, longest: int = 120) -> Maker:
    """Return a maker of random messages with a length field."""

    def make(rng: random.Random) -> bytes:
        head = framing.offset + framing.width
        body = bytearray(rng.randbytes(head + rng.randrange(4, longest)))
        value = (len(body) - framing.bias) // framing.scale
        order = framing.endianness
        body[framing.offset : head] = value.to_bytes(framing.width, order)
        return bytes(body)

    return make


def streams_of(make: Maker, seed: int = 1, streams: int = 12, messages: int = 40, mss: int = 1460) -> StreamSet:
    """Return streams in which some messages share a segment and none is larger than the maximum."""
    rng = random.Random(seed)
    out = []
    for _ in range(streams):
        segments, waiting = [], b""
        for _ in range(messages):
            waiting += make(rng)
            if rng.random() < 0.7:
                segments += [waiting[i : i + mss] for i in range(0, len(waiting), mss)]
                waiting = b""
        out.append([*segments, *([waiting] if waiting else [])])
    return StreamSet.from_segments(out)


def messages(streams: StreamSet, framing: Framing) -> list[bytes]:
    """Return the messages of streams."""
    cuts = cut_streams(streams, framing)
    return [streams.data[a : a + n].tobytes() for a, n in zip(cuts.start, cuts.length, strict=True)]


LENGTHS = [
    LengthFraming(offset=0, width=2, endianness="big", bias=2),
    LengthFraming(offset=4, width=2, endianness="big", bias=6),
    LengthFraming(offset=2, width=2, endianness="little", bias=0),
    LengthFraming(offset=1, width=1, endianness="big", bias=2),
    LengthFraming(offset=7, width=4, endianness="little", bias=13),
    LengthFraming(offset=16, width=2, endianness="big", bias=0),
    LengthFraming(offset=3, width=3, endianness="big", bias=9),
    LengthFraming(offset=29, width=2, endianness="little", bias=-3),
]


@pytest.mark.parametrize("framing", LENGTHS, ids=lambda f: f"{f.offset}.{f.width}.{f.endianness}.{f.bias}")
@pytest.mark.parametrize("mss", [1460, 150])
def test_length_fields_are_found(framing: LengthFraming, mss: int) -> None:
    """Any offset, width, endian and bias: the streams are cut where the messages end, and the evidence says so."""
    streams = streams_of(length_message(framing), mss=mss)
    found, evidence = infer_framing(streams)
    assert isinstance(found, LengthFraming)
    assert messages(streams, found) == messages(streams, framing)
    assert evidence.detector == "framing.length"
    assert evidence.held_out_support >= 0.4 * evidence.held_out_trials > 0
    assert evidence.bits_saved > 20


@pytest.mark.parametrize("delimiter", [b"\r\n", b"\n", b"\0", b"\x7e", b";;"])
def test_delimiters_are_found(delimiter: bytes) -> None:
    """Lines and other terminated messages are cut behind their delimiter, the whole of it."""

    def make(rng: random.Random) -> bytes:
        return bytes(rng.choices(b"abcdefghij 0123456789", k=rng.randrange(5, 60))) + delimiter

    found, evidence = infer_framing(streams_of(make))
    assert found == DelimiterFraming(delimiter=delimiter)
    assert evidence.support >= 0.9 * evidence.trials


def test_fixed_sizes_are_found() -> None:
    """Messages of one size are cut by it where they share segments."""
    found, _ = infer_framing(streams_of(lambda rng: rng.randbytes(22)))
    assert found == FixedFraming(size=22)


@pytest.mark.parametrize("seed", range(8))
def test_no_framing_is_found_in_noise(seed: int) -> None:
    """Random bytes in random segments, also in multiples of four, are one message a segment, with the reason."""
    step = 4 if seed % 2 else 1
    rng = random.Random(seed)
    noise = [[rng.randbytes(step * rng.randrange(2, 60)) for _ in range(40)] for _ in range(12)]
    found, evidence = infer_framing(StreamSet.from_segments(noise))
    assert found == SegmentFraming()
    assert evidence.detector == "framing.segment"


def test_header_and_body_in_segments_of_their_own_are_joined() -> None:
    """A length that half of the segment starts contradict is found where the other half and the ends agree."""
    rng = random.Random(5)
    make = length_message(LengthFraming(offset=0, width=4, endianness="big", bias=4))
    out = []
    for _ in range(12):
        made = [make(rng) for _ in range(30)]
        out.append([part for message in made for part in (message[:4], message[4:])])
    found, _ = infer_framing(StreamSet.from_segments(out))
    assert found == LengthFraming(offset=0, width=4, endianness="big", bias=4)


def test_the_answer_does_not_depend_on_how_streams_are_divided_into_sets() -> None:
    """One set of streams, or several that follow each other, give the same framing."""
    streams = streams_of(length_message(LENGTHS[1]))
    halves = [streams.span(0, 5), streams.span(5, len(streams))]
    assert infer_framing(halves)[0] == infer_framing(streams)[0] == infer_framing(streams)[0]


def test_nothing_to_read_is_one_message_a_segment() -> None:
    """No streams, empty streams and a single segment give the fall-back."""
    for streams in (StreamSet.from_segments([]), StreamSet.from_segments([[]]), StreamSet.from_segments([[b"one"]])):
        assert infer_framing(streams)[0] == SegmentFraming()


def test_magic_is_what_every_message_starts_with() -> None:
    """Constant bytes before the length field become the magic for resynchronising."""
    plain = length_message(LengthFraming(offset=3, width=2, endianness="big", bias=0))
    found, _ = infer_framing(streams_of(lambda rng: b"QB" + plain(rng)[2:]))
    assert isinstance(found, LengthFraming)
    assert found.magic == b"QB"


def lossy(streams: StreamSet, lost: set[int]) -> StreamSet:
    """Return streams without some of their segments, with the loss marked."""
    kept = [i for i in range(len(streams.segment_start)) if i not in lost]
    owner = np.searchsorted(streams.segment_bounds, kept, side="right") - 1
    sizes = np.diff(np.concatenate((streams.segment_start, [len(streams.data)])))
    gaps, tail = np.zeros(len(streams.segment_start), np.int64), np.zeros(len(streams), np.int64)
    for i in sorted(lost):
        stream = int(np.searchsorted(streams.segment_bounds, i, side="right")) - 1
        after = [k for k, o in zip(kept, owner, strict=True) if o == stream and k > i]
        if after:
            gaps[after[0]] += sizes[i]
        else:
            tail[stream] += sizes[i]
    segments: list[list[bytes]] = [[] for _ in range(len(streams))]
    for i, stream in zip(kept, owner.tolist(), strict=True):
        start = streams.segment_start[i]
        segments[stream].append(streams.data[start : start + sizes[i]].tobytes())
    return replace(StreamSet.from_segments(segments), segment_gap=gaps[kept], tail_gap=tail)


def test_loss_costs_the_messages_around_it_only() -> None:
    """With one segment in twenty missing the framing is found, and nine messages in ten are still cut right."""
    framing = LENGTHS[1]
    streams = streams_of(length_message(framing), mss=200)
    rng = random.Random(3)
    damaged = lossy(streams, {i for i in range(len(streams.segment_start)) if rng.random() < 0.05})
    found, _ = infer_framing(damaged)
    assert found == framing
    whole = messages(streams, framing)
    assert len(set(messages(damaged, framing)) & set(whole)) > 0.85 * len(whole)


def test_a_message_that_a_gap_cuts_ends_where_its_length_says() -> None:
    """The rest of a cut message behind a gap is kept as partial, and the next message starts right after it."""
    streams = StreamSet.from_segments([[b"\x08abc", b"hij\x03xy"]])
    streams = replace(streams, segment_gap=np.array([0, 1], np.int64))
    framing = LengthFraming(offset=0, width=1, endianness="big", bias=0)
    cuts = cut_streams(streams, framing)
    assert messages(streams, framing) == [b"\x08abc", b"hij", b"\x03xy"]
    assert cuts.partial.tolist() == [True, True, False]


def test_a_start_in_the_middle_of_a_message_is_kept_apart() -> None:
    """Bytes before the first segment from which lengths follow each other are one unframed message."""
    framing = LengthFraming(offset=0, width=2, endianness="big", bias=0)
    streams = StreamSet.from_segments([[b"\xff\xfftail", b"\0\5abc\0\3x", b"\0\4yz", b"\0\2"]])
    cuts = cut_streams(streams, framing)
    assert messages(streams, framing) == [b"\xff\xfftail", b"\0\5abc", b"\0\3x", b"\0\4yz", b"\0\2"]
    assert cuts.unframed.tolist() == [True, False, False, False, False]


def test_a_fixed_size_keeps_its_phase_over_a_gap() -> None:
    """The number of lost bytes tells where the next message starts."""
    streams = StreamSet.from_segments([[b"aaaabb", b"bccccd"]])
    streams = replace(streams, segment_gap=np.array([0, 1], np.int64))
    assert messages(streams, FixedFraming(size=4)) == [b"aaaa", b"bb", b"b", b"cccc", b"d"]


def test_senders_that_stop_inside_messages_do_not_hide_the_length() -> None:
    """Few connections take turns and half of the messages are sent in two halves: the length is found all the same."""
    rng = random.Random(4)
    sides: list[list[bytes]] = []
    order: list[int] = []
    for connection in range(5):
        both: tuple[list[bytes], list[bytes]] = ([], [])
        for turn in range(120):
            body = (b"result-%d " % turn * 60)[: rng.choice([9, 40, 90, 300])]
            number = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
            message = number + body
            half = len(message) // 2 if rng.random() < 0.5 else len(message)
            parts = [part for part in (message[:half], message[half:]) if part]
            both[turn % 2].extend(parts)
            order.extend([2 * connection + turn % 2] * len(parts))
        sides += both
    flow, direction = [1 + i // 2 for i in range(10)], [1 + i % 2 for i in range(10)]
    streams = StreamSet.from_segments(sides, flow=flow, direction=direction)
    # The packets' numbers in order of the capture: a stable sort by stream lists each stream's own, rising.
    streams = replace(streams, segment_number=np.argsort(np.array(order), kind="stable"))
    framing, _ = infer_framing(streams)
    assert isinstance(framing, LengthFraming)
    assert (framing.encoding, framing.offset) == ("leb128", 0)
    assert len(messages(streams, framing)) == 5 * 120


ANY_FRAMING = st.one_of(
    st.just(SegmentFraming()),
    st.just(DatagramFraming()),
    st.builds(FixedFraming, size=st.integers(1, 50)),
    st.builds(DelimiterFraming, delimiter=st.binary(min_size=1, max_size=3)),
    st.builds(
        LengthFraming, offset=st.integers(0, 9), width=st.integers(1, 8), endianness=st.sampled_from(["big", "little"]),
        scale=st.integers(1, 4), bias=st.integers(-300, 300), magic=st.binary(max_size=3),
    ),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.binary(max_size=40), max_size=6), max_size=5),
    ANY_FRAMING,
    st.integers(0, 2**31),
    st.integers(1, 9),
)
def test_cuts_cover_every_byte_once(segments: list[list[bytes]], framing: Framing, seed: int, gaps: int) -> None:
    """Whatever the framing and the loss, messages follow each other without hole or overlap, within their streams."""
    streams = StreamSet.from_segments(segments)
    rng = np.random.default_rng(seed)
    gap = rng.integers(0, 50, len(streams.segment_start)) * (rng.random(len(streams.segment_start)) < gaps / 10)
    streams = replace(streams, segment_gap=gap.astype(np.int64))
    cuts = cut_streams(streams, framing)
    assert (cuts.length > 0).all()
    assert cuts.start.tolist() == np.concatenate(([0], np.cumsum(cuts.length)))[:-1].tolist()
    assert int(cuts.length.sum()) == len(streams.data)
    ends = cuts.start + cuts.length
    assert (ends <= streams.bounds[cuts.stream + 1]).all()
