"""
Load on the service: requests per second and how long they take, over HTTP on the loopback.

    python -m benchmarks.service [--seconds 5] [--connections 1,8,32] [--json]

Starts Ray and the service on a free port, discovers the example capture, and then keeps so many connections busy: each
sends its next request when the answer to the one before has come (a closed loop), over plain sockets with keep-alive.
Latency is from the first byte sent to the last byte read. Client, proxy, gateway and worker share the machine's cores.
``healthz`` is the floor: what proxy and gateway cost alone. A request that is not answered with 200 is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa

from qbitel.cluster.ray_start import free_port, ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.discovery.captures import read_capture
from qbitel.serve_app import running_service
from qbitel.train.evaluation.machine import page_head

CAPTURE = Path(__file__).parents[1] / "examples" / "captures" / "plant.pcapng"
ARROW = "application/vnd.apache.arrow.stream"
PACKAGES = ("qbitel", "ray", "fastapi", "uvicorn", "pyarrow", "numba")


@dataclass(frozen=True)
class Load:
    """One kind of request: its name, how many messages it carries, and its bytes on the wire."""

    name: str
    messages: int
    request: bytes


@dataclass(frozen=True)
class Measured:
    """What one load on so many connections gave; latencies are milliseconds."""

    name: str
    messages: int
    connections: int
    requests_per_s: float
    messages_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int


def wire(method: str, path: str, body: bytes = b"", kind: str = "", accept: str = "*/*") -> bytes:
    """Return an HTTP/1.1 request that keeps its connection."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Accept: {accept}", f"Content-Length: {len(body)}"]
    if kind:
        head.append(f"Content-Type: {kind}")
    return "\r\n".join([*head, "", ""]).encode() + body


def loads(spec_id: str, payloads: Sequence[bytes]) -> list[Load]:
    """Return the requests that are measured."""
    texts = [base64.b64encode(payload).decode() for payload in payloads]

    def as_json(count: int, **more: object) -> bytes:
        return json.dumps({"messages": (texts * (count // len(texts) + 1))[:count], **more}).encode()

    def as_arrow(count: int) -> bytes:
        table = pa.table({"payload": pa.array((list(payloads) * (count // len(payloads) + 1))[:count], pa.binary())})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    parse, strict = "/v1/parse", "/v1/validate"
    kind, known = "application/json", {"protocol": spec_id}
    columns = wire("POST", f"{parse}?protocol={spec_id}", as_arrow(10_000), ARROW, ARROW)
    judged = wire("POST", f"{strict}?protocol={spec_id}&level=strict", as_arrow(1000), ARROW)
    return [
        Load("healthz", 0, wire("GET", "/healthz")),
        Load("parse, JSON", 1, wire("POST", parse, as_json(1, **known), kind)),
        Load("parse, JSON", 100, wire("POST", parse, as_json(100, **known), kind)),
        Load("parse, Arrow to Arrow", 10_000, columns),
        Load("validate strict, JSON", 1, wire("POST", strict, as_json(1, level="strict", **known), kind)),
        Load("validate strict, JSON", 100, wire("POST", strict, as_json(100, level="strict", **known), kind)),
        Load("validate strict, Arrow", 1000, judged),
        Load("discovery, inline", 200, wire("POST", "/v1/discoveries", as_json(200), kind)),
    ]


async def answer(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if fields.get("transfer-encoding", "") == "chunked":
        while size := int((await reader.readline()).strip() or b"0", 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(fields.get("content-length", "0")))
    return int(head[0].split()[1])


async def connection(address: str, request: bytes, until: float) -> list[tuple[float, int]]:
    """Send the request again and again until that time; return (seconds, status) of each."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 26)
    done = []
    while (began := perf_counter()) < until:
        writer.write(request)
        await writer.drain()
        status = await answer(reader)
        done.append((perf_counter() - began, status))
    writer.close()
    await writer.wait_closed()
    return done


async def run_load(address: str, load: Load, connections: int, seconds: float) -> Measured:
    """Keep the connections busy for that long."""
    began = perf_counter()
    each = await asyncio.gather(*(connection(address, load.request, began + seconds) for _ in range(connections)))
    elapsed = perf_counter() - began
    done = [one for several in each for one in several]
    milliseconds = 1000 * np.array([took for took, _ in done])
    rate = len(done) / elapsed
    p50, p99 = np.percentile(milliseconds, [50, 99]).tolist()
    errors = sum(status != 200 for _, status in done)
    return Measured(load.name, load.messages, connections, rate, rate * load.messages, p50, p99, len(done), errors)


def measure(address: str, connections: Sequence[int], seconds: float) -> list[Measured]:
    """Discover the example capture, and put every load on the service."""
    with httpx.Client(base_url=address, timeout=120) as client, CAPTURE.open("rb") as capture:
        found = client.post("/v1/discoveries", files={"capture": capture}).raise_for_status().json()
        while found["status"] in ("waiting", "running"):
            found = client.get(found["links"]["self"]).json()
    payloads = read_capture(CAPTURE).groups[0].batch.slice(0, 200).payloads()
    measured = []
    for load in loads(found["results"][0]["id"], payloads):
        asyncio.run(run_load(address, load, 1, min(seconds, 1.0)))  # parsers compiled, connections made
        measured += [asyncio.run(run_load(address, load, count, seconds)) for count in connections]
    return measured


def markdown(measured: Sequence[Measured], seconds: float, busy: float) -> str:
    """Return the page of figures."""
    lines = [
        page_head("The service under load", PACKAGES),
        f"A closed loop of {seconds:g} s a row; one gateway, one worker, Ray Serve's default proxy, one machine.",
        f"Load average of the machine when it began: {busy:.1f}.",
        "", "| request | messages | connections | requests/s | messages/s | p50 ms | p99 ms | requests | errors |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for row in measured:
        rates = f"{row.requests_per_s:,.1f} | {row.messages_per_s:,.0f} | {row.p50_ms:.1f} | {row.p99_ms:.1f}"
        lines.append(f"| {row.name} | {row.messages} | {row.connections} | {rates} | {row.requests} | {row.errors} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description="Measure the service under load.")
    options.add_argument("--seconds", type=float, default=5.0, help="of each row")
    options.add_argument("--connections", default="1,8,32", help="how many at a time, separated by commas")
    options.add_argument("--json", action="store_true", dest="as_json")
    chosen = options.parse_args()
    busy = os.getloadavg()[0]
    connections = [int(text) for text in chosen.connections.split(",")]
    with tempfile.TemporaryDirectory(prefix="qbitel-load-") as folder:
        settings = ServiceSettings(port=free_port(), data_dir=Path(folder))
        with ray_cluster(settings), running_service(settings) as address:
            measured = measure(address, connections, chosen.seconds)
    if chosen.as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in measured], indent=1) + "\n")
    else:
        sys.stdout.write(markdown(measured, chosen.seconds, busy))


if __name__ == "__main__":
    main()
