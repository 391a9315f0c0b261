"""A capture that is read while it grows gives each message once: those of the capture."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.capture_set import Asked, FileReader, open_file
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import DEFAULT_LIMITS, read_capture
from qbitel.discovery.captures.source import open_source
from qbitel.discovery.live import LiveEdge, Step
from qbitel.discovery.spec.framing import DatagramFraming, LengthFraming

FRAMINGS = {"modbus": LengthFraming(offset=4, width=2, endianness="big", bias=6), "dns": DatagramFraming()}


def segment(sender: int, port: int, seq: int, control: int, payload: bytes) -> bytes:
    """Return an IPv4 packet of TCP between hosts 1 and 2; the server is host 2, port 502."""
    sport, dport = (port, 502) if sender == 1 else (502, port)
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, 0, 0x50, control, 1024, 0, 0) + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0)
    return head + bytes([10, 0, 0, sender, 10, 0, 0, 3 - sender]) + tcp


@st.composite
def connections(draw: st.DrawFn) -> bytes:
    """Draw a pcap file of connections, some on the same ports, whose messages are cut anywhere and out of order."""
    queues: list[list[bytes]] = []
    for number in range(draw(st.integers(1, 4))):
        port, base = 4000 + number // 2, draw(st.integers(0, 0xFFFFFFFF))
        queue = [segment(1, port, base, 2, b""), segment(2, port, base + 7, 18, b"")]
        for sender, start in ((1, base + 1), (2, base + 8)):
            sizes = draw(st.lists(st.integers(0, 30), min_size=1, max_size=12))
            text = b"".join(bytes([0, i, 0, 0, 0, size]) + bytes(range(size)) for i, size in enumerate(sizes))
            ends = sorted(draw(st.sets(st.integers(1, len(text)), max_size=8)) | {len(text)})
            queue += [segment(sender, port, start + a, 16, text[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        swap = draw(st.integers(2, len(queue) - 1))
        queue[swap - 1 : swap + 1] = queue[swap - 1 : swap + 1][:: draw(st.sampled_from((1, -1))) if swap > 2 else 1]
        queues.append(queue)
    file = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for time, frame in enumerate(frame for queue in queues for frame in queue):
        file += struct.pack("<IIII", time, 0, len(frame), len(frame)) + frame
    return file


@settings(max_examples=60)
@given(file=connections(), data=st.data())
def test_messages_cut_over_segments_and_steps_are_whole(file: bytes, data: st.DataObject) -> None:
    """Cut over segments that steps divide, swapped, on ports that are used again: each message comes once, whole."""
    framing = LengthFraming(offset=4, width=2, endianness="big", bias=6)
    capture = read_capture(file)
    (piece,) = FileReader("live", "", open_source(file, DEFAULT_LIMITS), 0).packets()
    ends = sorted(data.draw(st.sets(st.integers(1, len(piece) - 1), max_size=8)))
    edge, now = LiveEdge(Asked(framing=framing)), []
    for begin, end in zip([0, *ends], [*ends, len(piece)], strict=True):
        step = Step.END if end == len(piece) else Step.GO_ON
        now += list(edge.take(piece.take(np.arange(begin, end)), step).values())
    (expected,) = protocols_in([capture], framing=framing)
    order = [("flow", "ascending"), ("direction", "ascending"), ("number", "ascending")]
    assert MessageBatch.concatenate(now).table.sort_by(order) == expected.messages.table.sort_by(order)


@pytest.mark.parametrize("name", list(FRAMINGS))
@settings(max_examples=25)
@given(data=st.data())
def test_steps_give_the_messages_of_the_capture(data: st.DataObject, name: str, example_captures: Path) -> None:
    """In steps of any size, with pauses anywhere, all messages come out once, with their flows, sides and places."""
    capture = example_captures / f"{name}.pcap"
    (piece,) = open_file(capture.name, str(capture), 0).packets()
    ends = sorted(data.draw(st.sets(st.integers(1, len(piece) - 1), max_size=8)))
    edge, given_now = LiveEdge(Asked(framing=FRAMINGS[name])), []
    for begin, end in zip([0, *ends], [*ends, len(piece)], strict=True):
        step = Step.END if end == len(piece) else data.draw(st.sampled_from((Step.GO_ON, Step.GO_ON, Step.PAUSE)))
        given_now += list(edge.take(piece.take(np.arange(begin, end)), step).values())
    (expected,) = protocols_in([read_capture(capture)], framing=FRAMINGS[name])
    assert edge.known == expected.known
    found = MessageBatch.concatenate(given_now).table.sort_by("number")
    assert found == expected.messages.table.sort_by("number")
