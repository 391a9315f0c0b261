"""
Load on the service, beside a deployment on the same transport that does nothing.

    python -m benchmarks.service [--transport haproxy|proxy] [--seconds 2] [--pairs 5] [--json]

Starts Ray, the service and a FastAPI deployment that reads the body and answers ``{}``, on a free port. Requests of one
message of 128 bytes, and cached discoveries of 200, are sent to both in turn, so that what else the machine does meets
both; the median of the pairs counts. The client, a closed loop over kept sockets, shares the machine's cores with
proxy, gateway and worker. Half-load rows are an open loop: latency counts from when a request was due. With ``--json``
the last line is one document; its ``ratio_to_noop`` is that of the cached classification.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from qbitel.cluster.ray_start import free_port, ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app import running_service
from qbitel.train.evaluation.machine import page_head

from .idle import NOTHING, running_idle
from .requests import alone, as_arrow, compared, fresh, messages, nothing
from .wire import ARROW, Load, Measured, closed_loop, open_loop
from .zipf import hit_ratios

PACKAGES = ("qbitel", "ray", "fastapi", "uvicorn", "pyarrow", "numba")
CONNECTIONS = 16
WARM_S = 0.5


@dataclass
class Compared:
    """One request beside the deployment that does nothing: requests/s of each pair, and p99 at half of its rate."""

    name: str
    messages: int
    ours: list[float] = field(default_factory=list)
    nothing: list[float] = field(default_factory=list)
    errors: int = 0
    half: Measured | None = None

    @property
    def rate(self) -> float:
        """Requests/s, the median."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """Median over the pairs of ours ÷ nothing."""
        return statistics.median(a / b for a, b in zip(self.ours, self.nothing, strict=True))


@dataclass
class Figures:
    """All that was measured."""

    transport: str
    busy: float
    compared: list[Compared] = field(default_factory=list)
    alone: list[tuple[Load, int, Measured]] = field(default_factory=list)
    zipf: dict[int, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the document of ``--json``."""
        rows = {row.name: row for row in self.compared}
        single = {load.name: measured for load, connections, measured in self.alone if connections}
        cached = rows["classify, cached"]
        return {
            "transport": self.transport, "load_average": self.busy,
            "cached_rps": cached.rate, "classify_rps": single["classify, not cached"].requests_per_s,
            "ratio_to_noop": cached.ratio,
            "compared": [
                {"name": row.name, "messages": row.messages, "rps": row.rate, "ratio": row.ratio, "errors": row.errors,
                 "noop_rps": statistics.median(row.nothing), "half_load": row.half and asdict(row.half)}
                for row in self.compared
            ],
            "alone": [
                {"name": load.name, "messages": load.messages, "connections": connections, **asdict(measured)}
                for load, connections, measured in self.alone
            ],
            "zipf_hit_ratio": self.zipf,
        }  # fmt: skip


def discovered(address: str) -> str:
    """Discover the protocol that is measured and return the id of its specification."""
    with httpx.Client(base_url=address, timeout=180) as client:
        body = as_arrow(messages(1000, seed=7))
        answer = client.post("/v1/discoveries", content=body, headers={"Content-Type": ARROW})
        found = answer.raise_for_status().json()
        while found["status"] in ("waiting", "running"):
            found = client.get(found["links"]["self"]).json()
        return str(found["results"][0]["id"])


def measure(address: str, figures: Figures, seconds: float, pairs: int) -> None:
    """Put every load on the service."""
    # The client holds Ray and all that it imports: to look through that for garbage takes a fifth of a second, which
    # would count as the service's.
    gc.collect()
    gc.freeze()
    spec_id = discovered(address)
    for load in compared(spec_id):
        row, idle = Compared(load.name, load.messages), nothing(load, NOTHING)
        for each in (load, idle):
            asyncio.run(closed_loop(address, each, CONNECTIONS, WARM_S))
        for _ in range(pairs):
            ours = asyncio.run(closed_loop(address, load, CONNECTIONS, seconds))
            row.ours.append(ours.requests_per_s)
            row.nothing.append(asyncio.run(closed_loop(address, idle, CONNECTIONS, seconds)).requests_per_s)
            row.errors += ours.errors
        row.half = asyncio.run(open_loop(address, load, row.rate / 2, 2 * seconds))
        figures.compared.append(row)
    for load, connections in alone(spec_id):
        asyncio.run(closed_loop(address, load, 1, WARM_S))
        figures.alone.append((load, connections, asyncio.run(closed_loop(address, load, connections, 2 * seconds))))
    load = fresh()
    asyncio.run(closed_loop(address, load, 1, 2 * WARM_S))
    for connections in (1, 4):
        # Half a minute each at the default: a p99 of fewer is one request.
        figures.alone.append((load, connections, asyncio.run(closed_loop(address, load, connections, 15 * seconds))))
    figures.zipf = hit_ratios()


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.service", description="Measure the service.")
    options.add_argument("--transport", choices=("haproxy", "proxy"), default="haproxy")
    options.add_argument("--seconds", type=float, default=2.0, help="of each measurement; some take a multiple")
    options.add_argument("--pairs", type=int, default=5, help="of the service and the deployment that does nothing")
    options.add_argument("--json", action="store_true", dest="as_json")
    chosen = options.parse_args()
    figures = Figures(chosen.transport, os.getloadavg()[0])
    with tempfile.TemporaryDirectory(prefix="qbitel-load-") as folder:
        settings = ServiceSettings(port=free_port(), data_dir=Path(folder), transport=chosen.transport)
        with ray_cluster(settings), running_service(settings) as address, running_idle():
            measure(address, figures, chosen.seconds, chosen.pairs)
    if chosen.as_json:
        sys.stdout.write(json.dumps(figures.document()) + "\n")
        return
    from .page import markdown

    sys.stdout.write(page_head("The service under load", PACKAGES) + markdown(figures))


if __name__ == "__main__":
    main()
