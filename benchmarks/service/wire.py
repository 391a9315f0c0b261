"""HTTP/1.1 over plain sockets that are kept: requests as bytes, answers read to their last byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"


@dataclass(frozen=True)
class Load:
    """One kind of request: its name, how many messages it carries, and its bytes on the wire, of the n-th request."""

    name: str
    messages: int
    request: Callable[[int], bytes]


@dataclass(frozen=True)
class Measured:
    """What a load gave; latencies are milliseconds, errors are answers other than 200."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int


def wire(method: str, path: str, body: bytes = b"", kind: str = "", **headers: str) -> bytes:
    """Return a request that keeps its connection; ``Cache_Control="no-cache"`` is a header of that name."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    head += [f"Content-Type: {kind}"] if kind else []
    head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, "", ""]).encode() + body


def same(request: bytes) -> Callable[[int], bytes]:
    """Return a load's requests where all are the same."""
    return lambda _: request


class Connection:
    """One connection, opened when it is first used and again where it was closed."""

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request and return the status of its answer; 0 where the connection broke."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._place.hostname, self._place.port, limit=1 << 26)
            reader, writer = self._streams
            writer.write(request)
            await writer.drain()
            return await _answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if fields.get("transfer-encoding", "") == "chunked":
        while size := int((await reader.readline()).strip() or b"0", 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(fields.get("content-length", "0")))
    return int(head[0].split()[1])


async def closed_loop(address: str, load: Load, connections: int, seconds: float) -> Measured:
    """Keep so many connections busy: each sends its next request when the answer to the one before has come."""
    began, number, done = perf_counter(), 0, list[tuple[float, int]]()

    async def keep_busy(connection: Connection) -> None:
        nonlocal number
        while (sent := perf_counter()) < began + seconds:
            number += 1
            status = await connection.ask(load.request(number))
            done.append((perf_counter() - sent, status))
        connection.close()

    await asyncio.gather(*(keep_busy(Connection(address)) for _ in range(connections)))
    return _measured(done, perf_counter() - began)


async def open_loop(address: str, load: Load, rate: float, seconds: float, connections: int = 64) -> Measured:
    """
    Send requests at times drawn beforehand (Poisson, seed 0), whatever is answered meanwhile.

    Latency is from the time a request was due, so that a stall counts for all that it kept waiting (no coordinated
    omission).
    """
    due = np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))).tolist()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(Connection(address))
    began, done = perf_counter(), list[tuple[float, int]]()

    async def ask(number: int, at: float) -> None:
        connection = await free.get()
        status = await connection.ask(load.request(number))
        done.append((perf_counter() - began - at, status))
        free.put_nowait(connection)

    asked = []
    for number, at in enumerate(due):
        await asyncio.sleep(max(0.0, began + at - perf_counter()))
        asked.append(asyncio.create_task(ask(number, at)))
    await asyncio.gather(*asked)
    while not free.empty():
        free.get_nowait().close()
    return _measured(done, perf_counter() - began)


def _measured(done: Sequence[tuple[float, int]], elapsed: float) -> Measured:
    milliseconds = 1000 * np.array([took for took, _ in done] or [np.nan])
    p50, p99 = np.percentile(milliseconds, [50, 99]).tolist()
    return Measured(len(done) / elapsed, p50, p99, len(done), sum(status != 200 for _, status in done))
