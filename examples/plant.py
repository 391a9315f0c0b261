"""
The plant protocol: invented telemetry of field stations, the unknown protocol of the tutorial.

A message is a header, a body, and a checksum; numbers are big-endian but for the checksum::

    0   2  magic 50 4C ("PL")          6   2  counter, echoed in the response
    2   1  version 1                   8   4  station (identifier)
    3   1  type                        12  4  time, seconds since 1970
    4   2  length of the whole message 16     body; then 2 bytes CRC-16/MODBUS, low byte first

Bodies: HELLO firmware (2), name (length-prefixed); READ count, tags (2 each); VALUES count, then tag (2), quality (1)
and float (4) each; WRITE tag (2), float; ACK status; EVENT severity and TLVs (tag, length, value); PING empty.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

HELLO, READ, VALUES, WRITE, ACK, EVENT, PING = 1, 2, 3, 4, 5, 6, 7
TEXTS = ["pressure high", "pressure low", "valve stuck", "pump started", "pump stopped", "door open"]


def crc16_modbus(data: bytes) -> int:
    """Return CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def message(kind: int, counter: int, station: int, time: float, body: bytes = b"") -> bytes:
    """Return a whole message."""
    head = struct.pack(">2sBBHHII", b"PL", 1, kind, 18 + len(body), counter & 0xFFFF, station, int(time))
    return head + body + struct.pack("<H", crc16_modbus(head + body))


def hello(rng: random.Random, number: int) -> bytes:
    """Return the body of HELLO."""
    name = f"station-{number:02d}-{rng.choice(['boiler', 'intake', 'filter', 'tank'])}".encode()
    return bytes([2, rng.randrange(1, 6), len(name)]) + name


def read_body(tags: list[int]) -> bytes:
    """Return the body of READ."""
    return bytes([len(tags)]) + b"".join(struct.pack(">H", tag) for tag in tags)


def values_body(rng: random.Random, tags: list[int]) -> bytes:
    """Return the body of VALUES."""
    records = [struct.pack(">HBf", tag, rng.choice([0, 0, 0, 0, 1, 4]), rng.gauss(tag % 90, 4)) for tag in tags]
    return bytes([len(tags)]) + b"".join(records)


def event_body(rng: random.Random) -> bytes:
    """Return the body of EVENT: a severity, then a text, a number and a reading, each or not."""
    parts = [(1, rng.choice(TEXTS).encode()), (2, struct.pack(">I", rng.randrange(100000)))]
    parts.append((3, struct.pack(">f", rng.gauss(20, 5))))
    chosen = [part for part in parts if rng.random() < 0.7] or parts[:1]
    return bytes([rng.randrange(4)]) + b"".join(bytes([tag, len(value)]) + value for tag, value in chosen)


def conversation(
    rng: random.Random, number: int, exchanges: int, now: Callable[[], float]
) -> Iterator[tuple[bool, bytes]]:
    """Yield (whether the station's controller asks, message): HELLO, then reads, writes, pings, and events between."""
    station, counter, seen = 0x0A3C0000 + rng.randrange(1 << 16), rng.randrange(1 << 12), rng.randrange(1 << 12)
    yield True, message(HELLO, counter, station, now(), hello(rng, number))
    yield False, message(ACK, counter, station, now(), b"\0")
    for _ in range(exchanges):
        counter += 1
        kind = rng.choices([READ, WRITE, PING], [6, 2, 1])[0]
        tags = sorted(rng.sample(range(100, 140), rng.randrange(1, 9)))
        body = {READ: read_body(tags), WRITE: struct.pack(">Hf", tags[0], rng.gauss(50, 9)), PING: b""}[kind]
        yield True, message(kind, counter, station, now(), body)
        answer = values_body(rng, tags) if kind == READ else bytes([rng.choice([0, 0, 0, 2, 5])])
        yield False, message(VALUES if kind == READ else ACK, counter, station, now(), answer)
        if rng.random() < 0.3:
            seen += 1
            yield False, message(EVENT, seen, station, now(), event_body(rng))
