"""Speed of a discovery, in process and warm: small ones, and how the time grows with the number of messages."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...discovery.batch import MessageBatch
from ...discovery.orchestrator import ProtocolDiscoveryOrchestrator
from .machine import Timing, machine_lines, peak_mebibytes, timed

SIZES = (200, 1_000, 3_000, 10_000, 30_000, 100_000)
MILLION = 1_000_000
_STARTS = {
    "import qbitel": "import qbitel",
    "qbitel --help": "import runpy, sys; sys.argv = ['q', '--help']; runpy.run_module('qbitel.cli')",
}


@dataclass
class SpeedReport:
    """Figures of one run: ``rows`` of (what, figure, goal)."""

    machine: list[str]
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    growth: list[tuple[int, float]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {"machine": self.machine, "rows": self.rows, "growth": self.growth}

    def to_markdown(self) -> str:
        """Return the tables with the machine above them."""
        lines = ["```", *self.machine, "```", "", "| what | measured | goal |", "|---|---|---|"]
        lines += [f"| {what} | {figure} | {goal} |" for what, figure, goal in self.rows]
        lines += ["", "| messages | seconds | ns per message and log2(messages) |", "|--:|--:|--:|"]
        lines += [f"| {n:,} | {s:.3f} | {1e9 * s / (n * math.log2(n)):.0f} |" for n, s in self.growth]
        return "\n".join(lines) + "\n"


def request_response(count: int, seed: int) -> MessageBatch:
    """
    Return messages of a made-up protocol, at most 128 bytes long.

    Magic, type (4), transaction id, length, then registers, readings, a name or a status, and a 16-bit sum; each
    request is followed by its response in one of 16 flows.
    """
    rng = np.random.default_rng(seed)
    payloads, flows, directions = [], [], []
    for number in range(count):
        kind = 1 + (number // 2) % 4
        body = _body(kind, number % 2, rng)
        head = struct.pack(">HBHH", 0x5142, kind | (number % 2) << 7, number // 2 & 0xFFFF, len(body) + 2)
        total = sum(head + body) & 0xFFFF
        payloads.append(head + body + struct.pack(">H", total))
        flows.append(1 + number // 2 % 16)
        directions.append(1 + number % 2)
    ts = [1.7e9 + 0.01 * i for i in range(count)]
    return MessageBatch.from_payloads(payloads, flow=flows, direction=directions, ts=ts)


def _body(kind: int, response: int, rng: np.random.Generator) -> bytes:
    if kind == 1:
        words = int(rng.integers(1, 24)) if response else 2
        return bytes([2 * words]) + rng.integers(0, 1000, words).astype(">u2").tobytes()
    if kind == 2:
        return struct.pack(">If", int(rng.integers(0, 64)), float(rng.normal(50, 5)))
    if kind == 3:
        name = bytes(rng.integers(97, 123, int(rng.integers(3, 20)), dtype=np.uint8))
        return bytes([len(name)]) + name + bytes(3)
    return struct.pack(">BBH", response, int(rng.integers(0, 4)), int(rng.integers(0, 900)))


def measure_speed(full: bool = False, repeats: int = 60) -> SpeedReport:
    """Time discoveries; ``full`` adds the run over a million messages."""
    report = SpeedReport(machine_lines())
    for what, code in _STARTS.items():
        timing = timed(partial(_start, code), 7)
        report.rows.append((f"{what}, a new process", str(timing), "< 0.3 s"))
    batches = [request_response(200, seed) for seed in range(repeats)]
    remaining = iter([*batches[:3], *batches])
    small = timed(lambda: discover_once(next(remaining)), repeats, warmups=3)
    report.rows.append(("200 messages, p50", f"{1e3 * small.median:.0f} ms", "< 100 ms"))
    report.rows.append((f"200 messages, p99 of {repeats}", f"{1e3 * small.quantile(0.99):.0f} ms", "< 500 ms"))
    for size in SIZES:
        timing = _timed_size(size)
        report.growth.append((size, timing.median))
        if size == 10_000:
            report.rows.append(("10,000 messages", str(timing), "< 3 s"))
    if full:
        timing = _timed_size(MILLION, 1)
        report.growth.append((MILLION, timing.median))
        report.rows.append(("1,000,000 messages", f"{timing.median:.1f} s", "< 60 s"))
        report.rows.append(("largest resident size", f"{peak_mebibytes():,} MiB", "< 2,048 MiB"))
    return report


def _start(code: str) -> None:
    """Run a line of Python in a new process."""
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)


def _timed_size(size: int, repeats: int = 3) -> Timing:
    batch = request_response(size, 1)
    return timed(lambda: discover_once(batch), repeats, warmups=0)


def discover_once(batch: MessageBatch) -> None:
    """Run one discovery with the default settings."""
    ProtocolDiscoveryOrchestrator().discover(batch)
