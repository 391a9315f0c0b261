"""
A long run at half of what the service can take, then twice as much: errors, memory, files, threads, and recovery.

    python -m benchmarks.soak [--seconds 3600] [--transport haproxy|proxy] [--json]

Four kinds of requests in turn (parse, validate, a cached and a new classification, now and then a new discovery) arrive
at times drawn beforehand. First a closed loop says how many a second the service answers; half of it arrives for the
given time, then twice of it for 20 seconds. Memory is the least-squares slope over the second half of the run, of each
process of the service. Exit code 1 where a request of the half load failed, a process came to hold more than
``MOST_FILES`` more files, memory grew by more than ``MOST_GROWTH`` MiB a hour in a run of ten minutes or more, an
overload was answered with anything but 200, 429 and 503, or the service was not itself again after 30 seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from qbitel.cluster.ray_start import free_port, ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app import running_service
from qbitel.train.evaluation.machine import page_head

from .service.__main__ import discovered
from .service.requests import as_arrow, as_json, messages
from .service.wire import ARROW, JSON, Connection, Load, closed_loop, wire

PACKAGES = ("qbitel", "ray", "fastapi", "uvicorn")
EVERY_S = 5.0
SETTLE_S = 10.0  # idle connections of HAProxy to a gateway are closed after five
OVERLOAD_S = 20.0
RECOVERED_MS, RECOVERED_IN_S = 250.0, 30.0
MOST_FILES, MOST_GROWTH, LONG_S = 24, 64.0, 600.0
_MIB = 1 << 20


@dataclass
class Process:
    """One process of the service, looked at again and again: seconds, MiB, open files and threads."""

    name: str
    seen: list[tuple[float, float, int, int]] = field(default_factory=list)

    def slope(self) -> float:
        """Return MiB an hour, over the second half."""
        half = np.array(self.seen[len(self.seen) // 2 : -1])
        return 3600 * float(np.polyfit(half[:, 0], half[:, 1], 1)[0]) if len(half) > 2 else 0.0

    def more_files(self) -> int:
        """Return the growth of open files between the two looks while no connection is open."""
        return self.seen[-1][2] - self.seen[0][2]


@dataclass
class Soak:
    """What was seen."""

    rate: float
    statuses: Counter[int] = field(default_factory=Counter)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    overload: Counter[int] = field(default_factory=Counter)
    recovered_s: float = float("inf")
    processes: dict[int, Process] = field(default_factory=dict)

    def faults(self, seconds: float) -> list[str]:
        """Return what went wrong."""
        errors = sum(count for status, count in self.statuses.items() if status != 200)
        found = [f"{errors} errors at half load"] if errors else []
        found += [f"overload answered with {s}" for s in self.overload if s not in (200, 429, 503)]
        if self.recovered_s > RECOVERED_IN_S:
            found.append("not recovered")
        for each in self.processes.values():
            if each.more_files() > MOST_FILES:
                found.append(f"{each.name}: {each.more_files()} more files")
            if seconds >= LONG_S and each.slope() > MOST_GROWTH:
                found.append(f"{each.name}: {each.slope():.0f} MiB an hour")
        return found


def mix(spec_id: str) -> Load:
    """Return the requests in turn."""
    (one,), numbers = messages(1), itertools.count(1)
    fixed = [
        wire("POST", "/v1/parse", as_json([one], protocol=spec_id), JSON),
        wire("POST", "/v1/validate", as_json([one], protocol=spec_id), JSON),
        wire("POST", "/v1/classify", as_json([one]), JSON),
    ]

    def asked(_: int) -> bytes:
        number = next(numbers)
        if number % 400 == 0:
            return wire("POST", "/v1/discoveries", as_arrow(messages(60, seed=number)), ARROW)
        if number % 8 == 0:
            return wire("POST", "/v1/classify", as_json(messages(1, seed=number)), JSON)
        return fixed[number % 3]

    return Load("mix", 1, asked)


def look(found: Soak, at: float) -> None:
    """Look at every process of the service that this one has started."""
    for pid, words in descendants().items():
        name = words.split("\0")[0].split("/")[-1]
        if "ServeReplica:qbitel" not in name and "ProxyActor" not in name and name != "haproxy":
            continue
        path = Path(f"/proc/{pid}")
        with suppress(OSError):  # it has ended
            memory = int((path / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB
            files, threads = len(list((path / "fd").iterdir())), len(list((path / "task").iterdir()))
            found.processes.setdefault(pid, Process(name)).seen.append((at, memory, files, threads))


def descendants() -> dict[int, str]:
    """Return the command lines of the processes below this one, by id: others may run a service here too."""
    parents, words = dict[int, int](), dict[int, str]()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words[int(path.name)] = (path / "cmdline").read_text(errors="replace")
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below and pid not in below}:
        below |= more
    return {pid: words[pid] for pid in below if pid in words}


async def arrive(address: str, load: Load, rate: float, seconds: float, watch: Soak | None) -> list[tuple[float, int]]:
    """Let requests arrive at that rate, whatever is answered; return (seconds since it was due, status) of each."""
    rng, began, done = np.random.default_rng(0), perf_counter(), list[tuple[float, int]]()
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for _ in range(1024):
        free.put_nowait(Connection(address))

    async def ask(at: float) -> None:
        connection = await free.get()
        status = await connection.ask(load.request(0))
        done.append((perf_counter() - began - at, status))
        free.put_nowait(connection)

    due, looked, flying = 0.0, 0.0, set[asyncio.Task[None]]()
    while due < seconds:
        await asyncio.sleep(max(0.0, began + due - perf_counter()))
        task = asyncio.create_task(ask(due))
        flying.add(task)
        task.add_done_callback(flying.discard)
        due += float(rng.exponential(1 / rate))
        if watch is not None and due >= looked:
            look(watch, due)
            looked += EVERY_S
    await asyncio.gather(*flying)
    while not free.empty():
        free.get_nowait().close()
    return done


async def recovery(address: str, load: Load) -> float:
    """Return the seconds until ten requests in a row are answered well."""
    connection, began, well = Connection(address), perf_counter(), 0
    while well < 10 and perf_counter() - began < 2 * RECOVERED_IN_S:
        sent = perf_counter()
        good = await connection.ask(load.request(0)) == 200 and (perf_counter() - sent) * 1000 < RECOVERED_MS
        well = well + 1 if good else 0
        await asyncio.sleep(0.05)
    connection.close()
    return perf_counter() - began if well >= 10 else float("inf")


def soak(address: str, seconds: float) -> Soak:
    """Run it."""
    load = mix(discovered(address))
    asyncio.run(closed_loop(address, load, 16, 3.0))
    capacity = asyncio.run(closed_loop(address, load, 16, 10.0)).requests_per_s
    found = Soak(capacity / 2)
    idle(found, 0.0)
    done = asyncio.run(arrive(address, load, found.rate, seconds, found))
    found.statuses = Counter(status for _, status in done)
    found.p50_ms, found.p99_ms = (1000 * np.percentile([took for took, _ in done], [50, 99])).tolist()
    over = asyncio.run(arrive(address, load, 2 * capacity, OVERLOAD_S, None))
    found.overload = Counter(status for _, status in over)
    found.recovered_s = asyncio.run(recovery(address, load))
    idle(found, seconds)
    return found


def idle(found: Soak, at: float) -> None:
    """Look at the processes once they have seen that all connections are closed."""
    sleep(SETTLE_S)
    look(found, at)


def markdown(found: Soak, seconds: float) -> str:
    """Return the page."""
    told = ", ".join(f"{count:,} × {status}" for status, count in sorted(found.statuses.items()))
    over = ", ".join(f"{count:,} × {status or 'no answer'}" for status, count in sorted(found.overload.items()))
    lines = [
        page_head("A long run", PACKAGES),
        f"{seconds:g} s at {found.rate:,.0f} requests a second, half of what it took: {told};"
        f" p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms from when a request was due.", "",
        f"Twice of what it took, for {OVERLOAD_S:g} s: {over}. Itself again after {found.recovered_s:.1f} s.", "",
        "| process | MiB, first | last | MiB an hour | files, first | last | threads, last |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for each in found.processes.values():
        first, last = each.seen[0], each.seen[-1]
        memory = f"{first[1]:.0f} | {last[1]:.0f} | {each.slope():.0f}"
        lines.append(f"| {each.name} | {memory} | {first[2]} | {last[2]} | {last[3]} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the soak."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Run the service for long.")
    options.add_argument("--seconds", type=float, default=3600.0)
    options.add_argument("--transport", choices=("haproxy", "proxy"), default="haproxy")
    options.add_argument("--json", action="store_true", dest="as_json")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="qbitel-soak-") as folder:
        settings = ServiceSettings(port=free_port(), data_dir=Path(folder), transport=chosen.transport)
        with ray_cluster(settings), running_service(settings) as address:
            found = soak(address, chosen.seconds)
    faults = found.faults(chosen.seconds)
    if chosen.as_json:
        sys.stdout.write(json.dumps({**asdict(found), "faults": faults}) + "\n")
    else:
        sys.stdout.write(markdown(found, chosen.seconds) + "".join(f"\nFAULT: {fault}" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
