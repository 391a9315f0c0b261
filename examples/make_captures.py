"""
Make the example captures with real protocol implementations.

    python examples/make_captures.py [--out examples/captures] [--seed 7]

``modbus.pcap``      pymodbus client and server, talking over a relay on the loopback that records both directions
``dns.pcap``         dnspython queries and responses, over UDP on the loopback through a recording relay
``plant.pcapng``     an invented telemetry protocol over UDP (see ``plant.py``): the unknown one of the tutorial
``plant_tcp.pcapng`` the same protocol over TCP, several messages to a segment, some segments cut, late or repeated

What is said is real or invented here; addresses, ports, sequence numbers and times come from the seed, so that the
same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from plant import conversation
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

START = 1_760_000_000.0
Said = tuple[bool, bytes]  # whether the client said it, and what


@dataclass
class Clock:
    """Time that goes on by random steps."""

    rng: random.Random
    now: float = START

    def step(self, mean: float) -> float:
        """Go on by a random step and return the time, in whole microseconds."""
        self.now += self.rng.expovariate(1 / mean)
        return round(self.now, 6)


Frame = tuple[float, bytes]


# Frames


def ends(client: bool, host: int, server: str) -> tuple[Ether, IP]:
    """Return the headers of a frame between client ``host`` and the server."""
    here, there = (f"192.0.2.{host}", f"02:00:5e:00:00:{host:02x}"), (server, "02:00:5e:00:01:01")
    (src, src_mac), (dst, dst_mac) = (here, there) if client else (there, here)
    return Ether(src=src_mac, dst=dst_mac), IP(src=src, dst=dst, id=0, flags="DF")


def udp_frame(client: bool, host: int, server: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """Return an Ethernet frame; ``ports`` are the client's and the server's."""
    ether, ip = ends(client, host, server)
    sport, dport = ports if client else ports[::-1]
    return bytes(ether / ip / UDP(sport=sport, dport=dport) / payload)


class Connection:
    """A TCP connection that is written down as frames."""

    def __init__(self, host: int, server: str, ports: tuple[int, int], clock: Clock) -> None:
        self.host, self.server, self.ports, self.clock = host, server, ports, clock
        self.next = {True: clock.rng.getrandbits(32), False: clock.rng.getrandbits(32)}

    def segment(self, client: bool, flags: str, payload: bytes = b"", mean: float = 0.002) -> Frame:
        """Return the frame that continues one side's stream."""
        ether, ip = ends(client, self.host, self.server)
        sport, dport = self.ports if client else self.ports[::-1]
        ack = self.next[not client] if "A" in flags else 0
        header = TCP(sport=sport, dport=dport, seq=self.next[client], ack=ack, flags=flags, window=8192)
        self.next[client] = (self.next[client] + len(payload) + ("S" in flags or "F" in flags)) % 2**32
        return self.clock.step(mean), bytes(ether / ip / header / payload)

    def open(self) -> Iterator[Frame]:
        """Yield the handshake."""
        yield self.segment(True, "S")
        yield self.segment(False, "SA")
        yield self.segment(True, "A")

    def close(self) -> Iterator[Frame]:
        """Yield the end of both sides."""
        yield self.segment(True, "FA")
        yield self.segment(False, "FA")
        yield self.segment(True, "A")


# Files


def write_pcap(path: Path, frames: list[Frame]) -> None:
    """Write a pcap file with microseconds, little-endian, Ethernet."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for time, frame in sorted(frames, key=lambda item: item[0]):
            second, micro = divmod(round(time * 1e6), 1_000_000)
            out.write(struct.pack("<IIII", second, micro, len(frame), len(frame)) + frame)


def write_pcapng(path: Path, frames: list[Frame]) -> None:
    """Write a pcapng file of one section with one Ethernet interface."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    with path.open("wb") as out:
        out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        out.write(block(1, struct.pack("<HHI", 1, 0, 262144)))
        for time, frame in sorted(frames, key=lambda item: item[0]):
            ticks = round(time * 1e6)
            head = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
            out.write(block(6, head + frame))


# Modbus


def modbus_device(rng: random.Random) -> SimDevice:
    """Return a device with 400 coils, discrete inputs, holding registers and input registers of random values."""
    bits = [[rng.random() < 0.5 for _ in range(400)] for _ in range(2)]
    words = [[rng.randrange(1 << 16) for _ in range(400)] for _ in range(2)]
    blocks = [SimData(0, values=values, datatype=DataType.BITS) for values in bits]
    blocks += [SimData(0, values=values, datatype=DataType.REGISTERS) for values in words]
    coils, inputs, holding, reading = ([block] for block in blocks)
    return SimDevice(0, simdata=(coils, inputs, holding, reading))


async def modbus_session(rng: random.Random, requests: int) -> list[Said]:
    """Let a pymodbus client and server talk through a relay; return what each said, in order."""
    address = ("127.0.0.1", free_port())
    server = ModbusTcpServer(modbus_device(rng), address=address)
    await server.listen()
    said: list[Said] = []
    over = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection(*address)
        await asyncio.gather(pump(reader, ahead, True, said), pump(behind, writer, False, said))
        over.set()

    front = await asyncio.start_server(relay, "127.0.0.1", 0)
    host, port = front.sockets[0].getsockname()
    client = AsyncModbusTcpClient(host, port=port, framer=FramerType.SOCKET, retries=0)
    await client.connect()
    for _ in range(requests):
        await ask(client, rng)
    client.close()
    await over.wait()
    front.close()
    await server.shutdown()  # type: ignore[no-untyped-call]
    return said


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: bool, said: list[Said]) -> None:
    """Pass on what one side says and write it down."""
    while data := await reader.read(65536):
        said.append((client, data))
        writer.write(data)
        await writer.drain()
    writer.close()


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def ask(client: AsyncModbusTcpClient, rng: random.Random) -> None:
    """Send one request of a random kind; one in twenty-five asks for an address that does not exist."""
    address, count = rng.randrange(300), rng.randrange(1, 40)
    if rng.random() < 0.04:
        address = 5000
    values = [rng.randrange(1 << 16) for _ in range(rng.randrange(1, 12))]
    unit = rng.choice([1, 1, 1, 2, 17])
    kinds: list[Callable[[], object]] = [
        lambda: client.read_holding_registers(address, count=count, device_id=unit),
        lambda: client.read_input_registers(address, count=count, device_id=unit),
        lambda: client.read_coils(address, count=count, device_id=unit),
        lambda: client.read_discrete_inputs(address, count=count, device_id=unit),
        lambda: client.write_register(address, values[0], device_id=unit),
        lambda: client.write_registers(address, values, device_id=unit),
        lambda: client.write_coil(address, rng.random() < 0.5, device_id=unit),
        lambda: client.write_coils(address, [v > 1 << 15 for v in values], device_id=unit),
        lambda: client.mask_write_register(address=address, and_mask=values[0], or_mask=255, device_id=unit),
    ]
    weights = [6, 4, 2, 2, 3, 3, 2, 1, 1]
    await rng.choices(kinds, weights)[0]()  # type: ignore[misc]


def modbus_frames(seed: int) -> list[Frame]:
    """Return four Modbus/TCP connections."""
    frames: list[Frame] = []
    for index in range(4):
        rng = random.Random(f"modbus {seed} {index}")
        clock = Clock(rng, START + index * 0.7)
        connection = Connection(20 + index % 2, "192.0.2.10", (rng.randrange(32768, 61000), 502), clock)
        frames += connection.open()
        for client, data in asyncio.run(modbus_session(rng, 120)):
            frames.append(connection.segment(client, "PA", data, 0.2 if client else 0.004))
        frames += connection.close()
    return frames


# DNS


def answer(query: dns.message.Message, rng: random.Random) -> dns.message.Message:
    """Return a response with records of the kind that was asked for, or that the name does not exist."""
    response = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    if rng.random() < 0.12:
        response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns1.example. admin.example. {rng.randrange(10**9)} 7200 900 1209600 300"
        response.authority.append(dns.rrset.from_text("example.", 300, "IN", "SOA", soa))
        return response
    ttl, count = rng.choice([60, 300, 3600, 86400]), rng.randrange(1, 4)
    if rng.random() < 0.25 and kind in ("A", "AAAA"):
        response.answer.append(dns.rrset.from_text(name, ttl, "IN", "CNAME", f"edge{rng.randrange(9)}.{name}"))
        name = f"edge.{name}"
    texts = {
        "A": lambda: f"198.51.100.{rng.randrange(1, 255)}",
        "AAAA": lambda: f"2001:db8::{rng.randrange(1, 65536):x}:{rng.randrange(1, 65536):x}",
        "MX": lambda: f"{rng.randrange(1, 6) * 10} mail{rng.randrange(5)}.{name}",
        "TXT": lambda: f'"v=spf1 ip4:198.51.100.{rng.randrange(255)} -all"',
        "NS": lambda: f"ns{rng.randrange(1, 5)}.{name}",
        "SRV": lambda: f"10 {rng.randrange(100)} 5060 sip{rng.randrange(4)}.{name}",
    }
    values = dict.fromkeys(texts[kind]() for _ in range(count))
    response.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, *values))
    return response


def dns_frames(seed: int, queries: int = 300) -> list[Frame]:
    """Return queries of three clients and the responses of their server, through real sockets."""
    rng = random.Random(f"dns {seed}")
    random.seed(seed)  # dnspython shuffles the records of an answer
    clock = Clock(rng)
    words = ["pump", "valve", "historian", "mail", "www", "api", "time", "update", "cdn", "telemetry"]
    frames = []
    with socket.socket(type=socket.SOCK_DGRAM) as client, socket.socket(type=socket.SOCK_DGRAM) as server:
        for end in (client, server):
            end.bind(("127.0.0.1", 0))
            end.settimeout(5)
        for _ in range(queries):
            name = ".".join([rng.choice(words), *rng.sample(words, rng.randrange(2)), "example."])
            kind = rng.choices(["A", "AAAA", "MX", "TXT", "NS", "SRV"], [8, 5, 2, 2, 1, 1])[0]
            query = dns.message.make_query(name, kind, id=rng.getrandbits(16), use_edns=0 if rng.random() < 0.3 else -1)
            client.sendto(query.to_wire(), server.getsockname())
            asked, sender = server.recvfrom(65536)
            server.sendto(answer(dns.message.from_wire(asked), rng).to_wire(), sender)
            said, _ = client.recvfrom(65536)
            host, port = 20 + rng.randrange(3), rng.randrange(32768, 61000)
            for by_client, data in ((True, asked), (False, said)):
                frame = udp_frame(by_client, host, "192.0.2.53", (port, 53), data)
                frames.append((clock.step(0.3 if by_client else 0.01), frame))
    return frames


# The plant protocol


def plant_frames(seed: int) -> list[Frame]:
    """Return six stations that talk to their controller over UDP."""
    frames = []
    for station in range(6):
        rng = random.Random(f"plant {seed} {station}")
        clock = Clock(rng, START + station)
        ports = (rng.randrange(32768, 61000), 20547)
        for client, data in conversation(rng, station, 60, lambda clock=clock: clock.now):
            frame = udp_frame(client, 30 + station, "192.0.2.80", ports, data)
            frames.append((clock.step(0.4 if client else 0.02), frame))
    return frames


def plant_tcp_frames(seed: int) -> list[Frame]:
    """Return three stations over TCP: messages share segments, and some segments are cut, late or repeated."""
    frames: list[Frame] = []
    for station in range(3):
        rng = random.Random(f"plant tcp {seed} {station}")
        clock = Clock(rng, START + station)
        connection = Connection(30 + station, "192.0.2.80", (rng.randrange(32768, 61000), 20547), clock)
        frames += connection.open()
        waiting: dict[bool, bytes] = {True: b"", False: b""}
        for client, data in conversation(rng, station, 90, lambda clock=clock: clock.now):
            waiting[client] += data
            if rng.random() < 0.6:
                frames += segments(connection, client, waiting, rng)
        for client in (True, False):
            frames += segments(connection, client, waiting, rng)
        frames += connection.close()
    return frames


def segments(connection: Connection, client: bool, waiting: dict[bool, bytes], rng: random.Random) -> list[Frame]:
    """Send what waits as one segment or two; exchange the times of two at random, or repeat one."""
    data, waiting[client] = waiting[client], b""
    cut = rng.randrange(1, len(data)) if len(data) > 1 and rng.random() < 0.08 else len(data)
    sent = [connection.segment(client, "PA", part, 0.3) for part in (data[:cut], data[cut:]) if part]
    if len(sent) == 2 and rng.random() < 0.4:
        sent = [(sent[1][0], sent[0][1]), (sent[0][0], sent[1][1])]
    elif sent and rng.random() < 0.02:
        sent.append((connection.clock.step(0.01), sent[0][1]))
    return sent


def make_captures(out: Path, seed: int = 7) -> list[Path]:
    """Write all captures and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    write_pcap(out / "modbus.pcap", modbus_frames(seed))
    write_pcap(out / "dns.pcap", dns_frames(seed))
    write_pcapng(out / "plant.pcapng", plant_frames(seed))
    write_pcapng(out / "plant_tcp.pcapng", plant_tcp_frames(seed))
    return sorted(out.glob("*.pcap*"))


def main() -> None:
    """Make the captures from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "captures")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for path in make_captures(options.out, options.seed):
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
