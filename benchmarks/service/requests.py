"""The requests that are measured: messages of 128 bytes of a made-up protocol."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from collections.abc import Sequence
from random import Random

import pyarrow as pa

from .wire import ARROW, JSON, Load, same, wire

SIZE = 128


def messages(count: int, seed: int = 0) -> list[bytes]:
    """Return messages of 128 bytes: magic, kind, number, time, then numbers, a name, or both, by the kind."""
    draw, made = Random(seed), []
    for number in range(count):
        kind = draw.choice((1, 1, 2, 3))
        sequence = (seed * 1_000_003 + number) % (1 << 32)
        head = struct.pack(">HBBIId", 0x51B1, kind, draw.randrange(4), sequence, 1_700_000_000, 0.25)
        numbers = struct.pack(">8H", *(draw.randrange(1000) for _ in range(8)))
        name = f"pump-{draw.randrange(40):02d}".encode().ljust(16, b"\0")
        body = {1: numbers, 2: name, 3: numbers + name}[kind]
        made.append((head + body).ljust(SIZE, b"\0"))
    return made


def as_json(payloads: Sequence[bytes], **more: object) -> bytes:
    """Return a JSON body of messages."""
    return json.dumps({"messages": [base64.b64encode(each).decode() for each in payloads], **more}).encode()


def as_arrow(payloads: Sequence[bytes]) -> bytes:
    """Return an Arrow body of messages."""
    table = pa.table({"payload": pa.array(payloads, pa.binary())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    taken: bytes = sink.getvalue().to_pybytes()
    return taken


def compared(spec_id: str) -> list[Load]:
    """Return the requests that are measured beside the deployment that does nothing, which gets the same bodies."""
    (one,), many = messages(1), messages(200)
    known = {"protocol": spec_id}
    return [
        Load("parse", 1, same(wire("POST", "/v1/parse", as_json([one], **known), JSON))),
        Load("validate", 1, same(wire("POST", "/v1/validate", as_json([one], **known), JSON))),
        Load("classify, cached", 1, same(wire("POST", "/v1/classify", as_json([one]), JSON))),
        Load("discovery, cached", 200, same(wire("POST", "/v1/discoveries", as_arrow(many), ARROW))),
    ]


def nothing(load: Load, path: str) -> Load:
    """Return the same bodies for the deployment that does nothing."""
    head, _, body = load.request(0).partition(b"\r\n\r\n")
    kind = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Type")).partition(": ")[2]
    return Load("nothing", load.messages, same(wire("POST", path, body, kind)))


def alone(spec_id: str) -> list[tuple[Load, int]]:
    """Return the requests that are measured by themselves, with the number of connections."""
    single = [as_json([each]) for each in messages(512, seed=1)]
    batch = messages(10_000)
    parsed = wire("POST", f"/v1/parse?protocol={spec_id}", as_arrow(batch), ARROW, Accept=ARROW)
    judged = wire("POST", f"/v1/validate?protocol={spec_id}", as_arrow(batch[:1000]), ARROW)
    each = wire("POST", "/v1/classify", as_arrow(batch[:4096]), ARROW, Accept=ARROW, Cache_Control="no-cache")

    def classified(number: int) -> bytes:
        return wire("POST", "/v1/classify", single[number % len(single)], JSON, Cache_Control="no-cache")

    return [
        (Load("classify, not cached", 1, classified), 8),
        (Load("parse, Arrow to Arrow", 10_000, same(parsed)), 4),
        (Load("validate, Arrow", 1000, same(judged)), 4),
        (Load("classify, Arrow to Arrow", 4096, same(each)), 4),
    ]


def fresh() -> Load:
    """Return discoveries of 200 messages that nobody has asked for before."""

    seeds = itertools.count(1)  # over all measurements: what was asked once is cached

    def asked(_: int) -> bytes:
        return wire("POST", "/v1/discoveries", as_arrow(messages(200, seed=next(seeds))), ARROW)

    return Load("discovery, fresh", 200, asked)
