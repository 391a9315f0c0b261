"""The dissector cuts TCP streams as the parser does, whatever the framing: run by a real tshark."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from qbitel.discovery.exports import to_wireshark
from qbitel.discovery.spec import (
    Carrier,
    DelimiterFraming,
    DirectedFraming,
    Field,
    Fixed,
    FixedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
    MessageType,
    ProtocolSpec,
    Rest,
)
from qbitel.train.evaluation.dissection import TSHARK

pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed (Debian package tshark)")
PORT = 7777
BODIES = [b"a", b"second" * 4, b"x" * 150, b"end", b"y" * 40, b"zz"]


def ber(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([0x81, number])


def sevens(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


def vlq(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number >> 7 | 128, number & 127])


CASES: list[tuple[Framing, list[bytes]]] = [
    (
        LengthFraming(offset=1, width=2, endianness="big", bias=3),
        [b"k" + len(b).to_bytes(2, "big") + b for b in BODIES],
    ),
    (
        LengthFraming(offset=0, width=4, endianness="big", bias=4, mask=0x7FFFFFFF),
        [(len(b) | 1 << 31).to_bytes(4, "big") + b for b in BODIES],
    ),
    (LengthFraming(offset=0, width=4, endianness="big", encoding="hex"), [b"%04x" % (len(b) + 4) + b for b in BODIES]),
    (LengthFraming(offset=1, width=5, endianness="big", encoding="ber"), [b"0" + ber(len(b)) + b for b in BODIES]),
    (
        LengthFraming(offset=1, width=5, endianness="big", encoding="leb128"),
        [b"0" + sevens(len(b)) + b for b in BODIES],
    ),
    (LengthFraming(offset=1, width=5, endianness="big", encoding="vlq"), [b"0" + vlq(len(b)) + b for b in BODIES]),
    (
        LengthFraming(offset=0, width=9, endianness="big", bias=2, encoding="digits"),
        [b"%d:%s," % (len(b), b) for b in BODIES],
    ),
    (HeaderFraming(end=b"\r\n\r\n", name=b"size:"), [b"GET\r\nSIZE: %d\r\n\r\n%s" % (len(b), b) for b in BODIES]),
    (DelimiterFraming(delimiter=b"\x7e", opening=b"\x7e"), [b"\x7e" + b + b"\x7e" for b in BODIES]),
    (DelimiterFraming(delimiter=b"\r\n"), [b + b"\r\n" for b in BODIES]),
    (FixedFraming(size=9), [bytes([65 + i]) * 9 for i in range(7)]),
]


def conversation(path: Path, ways: dict[bool, list[bytes]]) -> None:
    """Write one connection: what each side (True: the client) sends, cut every 37 bytes."""
    packets, sequence = [], {True: 100, False: 900}
    for client, messages in ways.items():
        data = b"".join(messages)
        for at in range(0, len(data), 37):
            ports = {"sport": 40000, "dport": PORT} if client else {"sport": PORT, "dport": 40000}
            ends = {"src": "10.0.0.1", "dst": "10.0.0.2"} if client else {"src": "10.0.0.2", "dst": "10.0.0.1"}
            segment = TCP(seq=sequence[client] + at, ack=sequence[not client], flags="PA", **ports)
            packets.append(
                Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(**ends) / segment / data[at : at + 37]
            )
        sequence[client] += len(data)
    wrpcap(str(path), packets)


def dissected(framing: Framing, ways: dict[bool, list[bytes]], folder: Path) -> list[int]:
    """Return the sizes of the messages that the exported dissector shows, in order."""
    spec = ProtocolSpec(
        protocol="framed",
        carrier=Carrier(kind="tcp", number=PORT),
        framing=framing,
        types=[
            MessageType(
                name="any", elements=[Field(name="first", width=Fixed(size=1)), Field(name="rest", width=Rest())]
            )
        ],
    )
    script, capture = folder / "framed.lua", folder / "framed.pcap"
    script.write_text(to_wireshark(spec), encoding="utf-8")
    conversation(capture, ways)
    command = [
        str(TSHARK), "-n", "-r", str(capture), "-X", f"lua_script:{script}", "-T", "fields", "-e", "framed.any.rest",
        "-E", "aggregator=,",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "Lua Error" not in done.stdout + done.stderr, done.stdout[-800:] + done.stderr[-800:]
    return [1 + len(rest) // 2 for line in done.stdout.split() for rest in line.split(",")]


@pytest.mark.parametrize(("framing", "messages"), CASES, ids=lambda v: getattr(v, "encoding", getattr(v, "kind", "")))
def test_dissector_cuts_streams_by_every_framing(framing: Framing, messages: list[bytes], tmp_path: Path) -> None:
    """Messages over several segments and several in one come out whole, one after another."""
    assert dissected(framing, {True: messages}, tmp_path) == [len(m) for m in messages]


def test_dissector_frames_each_direction_by_its_own(tmp_path: Path) -> None:
    """Lines to the port, counted messages from it."""
    counted = LengthFraming(offset=0, width=1, endianness="big", bias=1)
    framing = DirectedFraming(client_to_server=DelimiterFraming(delimiter=b"\n"), server_to_client=counted)
    lines, answers = [b"one\n", b"another line\n"] * 3, [b"\x04abcd", b"\x02xy", b"\x28" + b"z" * 40]
    sizes = dissected(framing, {True: lines, False: answers}, tmp_path)
    assert sizes == [len(m) for m in (*lines, *answers)]
