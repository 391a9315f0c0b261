"""TCP reassembly and decoding compared with a real tshark on captures that are made here."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qbitel.discovery.captures import read_capture
from qbitel.discovery.streams import StreamSet

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (Debian package tshark)")

SYN, FIN, PSH, ACK = 2, 1, 8, 16
SERVER_PORT = 5000
Packet = tuple[int, int, int, int, int, bytes]  # sport, dport, seq, ack, flags, payload


def tcp_frame(packet: Packet) -> bytes:
    """Return an Ethernet frame; client addresses are 10.0.0.1, the server is 10.0.0.2."""
    sport, dport, seq, ack, flags, payload = packet
    header = struct.pack(">HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, 5 << 4, flags, 8192, 0, 0)
    src, dst = (b"\x0a\0\0\x01", b"\x0a\0\0\x02") if dport == SERVER_PORT else (b"\x0a\0\0\x02", b"\x0a\0\0\x01")
    total = 20 + len(header) + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 6, 0, src, dst)
    return b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0" + ip + header + payload


def write_pcap(path: Path, frames: list[bytes]) -> None:
    """Write frames a millisecond apart."""
    records = [struct.pack("<IIII", i // 1000, i % 1000 * 1000, len(f), len(f)) + f for i, f in enumerate(frames)]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records))


class Sender:
    """One side of a connection: hands out segments and knows what it has sent."""

    def __init__(self, rng: random.Random, first: int) -> None:
        self.rng, self.next, self.sent = rng, first, b""
        self.first = first

    def segments(self) -> list[tuple[int, bytes]]:
        """Return new data as (sequence number, bytes), then some of it again, shifted and partly with other bytes."""
        fresh = []
        for _ in range(self.rng.randrange(1, 6)):
            data = self.rng.randbytes(self.rng.randrange(1, 40))
            fresh.append((self.next, data))
            self.sent += data
            self.next += len(data)
        return fresh


def disturb(rng: random.Random, segments: list[tuple[int, bytes]], loss: float) -> list[tuple[int, bytes]]:
    """Lose, repeat, overlap and reorder segments."""
    out = [segment for segment in segments if rng.random() >= loss]
    for seq, data in list(out):
        if rng.random() < 0.25:
            cut = rng.randrange(len(data))
            other = rng.randbytes(rng.randrange(0, 12)) if rng.random() < 0.3 else b""
            out.append((seq + cut, (data + other)[cut:]))
        if rng.random() < 0.1:
            out.append((seq, rng.randbytes(len(data))))
    if rng.random() < 0.6:
        rng.shuffle(out)
    return out


def conversation(seed: int, client_port: int) -> Iterator[Packet]:
    """Yield the packets of one connection as a capture might see them."""
    rng = random.Random(seed)
    loss = rng.choice([0.0, 0.0, 0.15])
    near_wrap = rng.random() < 0.4
    client = Sender(rng, 2**32 - rng.randrange(1, 200) if near_wrap else rng.randrange(1, 2**31))
    server = Sender(rng, 2**32 - rng.randrange(1, 200) if near_wrap else rng.randrange(1, 2**31))
    ports = {client: (client_port, SERVER_PORT), server: (SERVER_PORT, client_port)}
    if rng.random() < 0.7:  # otherwise the capture starts in the middle
        yield (*ports[client], client.first - 1, 0, SYN, b"")
        yield (*ports[server], server.first - 1, client.first, SYN | ACK, b"")
        yield (*ports[client], client.first, server.first, ACK, b"")
    for _ in range(rng.randrange(1, 8)):
        side, other = (client, server) if rng.random() < 0.5 else (server, client)
        fresh = side.segments()
        for seq, data in disturb(rng, fresh, loss):
            yield (*ports[side], seq, other.next, PSH | ACK, data)
        yield (*ports[other], other.next, side.next, ACK, b"")
        if rng.random() < 0.3:  # again, after it was acknowledged
            yield (*ports[side], fresh[0][0], other.next, PSH | ACK, fresh[0][1])
    for side, other in ((client, server), (server, client)):
        yield (*ports[side], side.next, other.next, FIN | ACK, b"")
        yield (*ports[other], other.next, side.next + 1, ACK, b"")


def follow(path: Path, streams: int) -> list[dict[bool, bytes]]:
    """Return what tshark's follow shows of each stream, by whether it is the client's side."""
    options = [word for i in range(streams) for word in ("-z", f"follow,tcp,raw,{i}")]
    command = ["tshark", "-n", "-r", str(path), "-q", *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = []
    for part in re.split(r"^=+\nFollow: tcp,raw\n", text, flags=re.MULTILINE)[1:]:
        client_first = re.search(r"^Node 0: .*:(\d+)$", part, re.MULTILINE)[1] != str(SERVER_PORT)
        sides = {True: b"", False: b""}
        for line in part.splitlines():
            if re.fullmatch(r"\t?(?:[0-9a-f]{2})+", line):
                sides[client_first != line.startswith("\t")] += bytes.fromhex(line.strip())
        index = int(re.search(r"^Filter: tcp.stream eq (\d+)$", part, re.MULTILINE)[1])
        found.append((index, sides))
    return [sides for _, sides in sorted(found, key=lambda item: item[0])]


def with_loss_marks(streams: StreamSet, index: int) -> bytes:
    """Return a stream with tshark's words where bytes are missing."""
    out = b""
    first = streams.segment_bounds[index]
    for segment, data in enumerate(streams.segments(index)):
        gap = streams.segment_gap[first + segment]
        out += (b"[%d bytes missing in capture file]\0" % gap if gap else b"") + data
    return out


@pytest.mark.parametrize("seed", range(4))
def test_streams_equal_those_of_tshark(tmp_path: Path, seed: int) -> None:
    """Reorder, overlap, repetition, loss, wrap, mid-flow start and port reuse give tshark's bytes and loss marks."""
    rng = random.Random(seed)
    flows = [list(conversation(seed * 1000 + i, 20000 + i)) for i in range(60)]
    for i in range(0, 60, 6):  # the same endpoints again
        flows[i] += list(conversation(seed * 1000 + 500 + i, 20000 + i))
    packets: list[Packet] = []
    queues = [iter(flow) for flow in flows]
    while queues:
        queue = rng.choice(queues)
        taken = list(itertools.islice(queue, 3))
        packets += taken
        if not taken:
            queues.remove(queue)
    path = tmp_path / "made.pcap"
    write_pcap(path, [tcp_frame(packet) for packet in packets])

    capture = read_capture(path)
    assert [group.name for group in capture.groups] == ["tcp_5000"]
    streams = capture.groups[0].streams
    ours: dict[int, dict[bool, bytes]] = {}
    for index in range(len(streams)):
        sides = ours.setdefault(int(streams.flow[index]), {True: b"", False: b""})
        sides[bool(streams.dport[index] == SERVER_PORT)] = with_loss_marks(streams, index)
    theirs = follow(path, 80)
    shown = [sides for sides in theirs if any(sides.values())]
    assert len(shown) > 55
    assert list(ours.values()) == shown


def test_a_connection_that_is_kept_alive_when_the_capture_starts_has_no_gap(tmp_path: Path) -> None:
    """Where a packet that asks for an acknowledged byte comes first, the stream starts behind it, as in tshark."""
    client, server = (20000, SERVER_PORT), (SERVER_PORT, 20000)
    packets: list[Packet] = [
        (*server, 5000, 900, ACK, b""),
        (*client, 899, 5000, ACK, b""),
        (*server, 5000, 900, ACK, b""),
        (*client, 900, 5000, PSH | ACK, b"question"),
        (*server, 5000, 908, PSH | ACK, b"answer"),
    ]
    path = tmp_path / "alive.pcap"
    write_pcap(path, [tcp_frame(packet) for packet in packets])
    streams = read_capture(path).groups[0].streams
    assert [with_loss_marks(streams, index) for index in range(2)] == [b"question", b"answer"]
    assert follow(path, 1) == [{True: b"question", False: b"answer"}]
