"""
Ingest to acknowledgement by holders on a real Ray: speed, CPU time with one and two of them, growth, memory.

    python -m benchmarks.ingest [--messages 1000000] [--repeats 3] [--growth 10000000] [--plot FILE] [--folder DIR]

Messages of 100 bytes in 2,000 flows and batches of 1 MB, with a counter, four random bytes and a time that goes on, so
that no two batches are alike; segments, catalog and folders are flushed to the disk. A process of its own makes the
batches, divides and sends them; each holder is bound to one core. A batch is acknowledged when it is in the journal;
what was acknowledged is counted within the time too, but for the last megabyte or so of each virtual shard: ``digest``
is the time of counting that and merging all shards. CPU time is that of the kernel's books, of all threads. Memory is a
holder's own (anonymous) pages, without code and the object store that it shares.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.message_statistics import batch
from qbitel.actors.fleet import Fleet
from qbitel.actors.fleet_feed import FleetTaker
from qbitel.actors.ingest import Keyed
from qbitel.cluster.manifest import Stream
from qbitel.cluster.ray_start import ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.cluster.state import State
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.train.evaluation.machine import page_head
from qbitel.train.evaluation.plot import growth_plot

ROWS = (1 << 20) // 100  # messages of a batch
WARM = 100 * ROWS  # messages that are taken before anything is measured
STEPS = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
_TICKS = os.sysconf("SC_CLK_TCK")


class Traffic:
    """Messages without end; ``take`` gives the next ones in batches."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self._like, self._sent, self._batches = batch("structured", ROWS, seed), 0, 0
        self._rows = self._like.view().data.reshape(ROWS, 100).copy()
        self._flows = self._rng.integers(1, 2001, ROWS).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)

    def take(self, messages: int) -> Iterator[Keyed]:
        """Yield so many messages under keys of their own."""
        while messages > 0:
            count = min(messages, ROWS)
            yield Keyed(f"bench/{self._batches}", "0" * 16, self._next().slice(0, count))
            messages -= count

    def _next(self) -> MessageBatch:
        numbers = np.arange(self._sent, self._sent + ROWS)
        rows = self._rows.copy()
        rows[:, 5], rows[:, 6] = numbers >> 8 & 255, numbers & 255
        rows[:, 96:] = self._rng.integers(0, 256, (ROWS, 4), np.uint8)
        self._sent, self._batches = self._sent + ROWS, self._batches + 1
        _, offsets, _ = self._like.table.column("payload").chunk(0).buffers()
        payload = pa.Array.from_buffers(pa.large_binary(), ROWS, [None, offsets, pa.py_buffer(rows)])
        columns = {"payload": payload, "ts": numbers / 1e4, "flow": self._rng.permutation(self._flows)}
        direction = self._like.table.column("direction")
        return MessageBatch(pa.table({**columns, "direction": direction, "number": numbers}))


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of CPU time: the holders', the sender's."""

    clock: float
    holders: float
    sender: float

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.clock - other.clock, self.holders - other.holders, self.sender - other.sender)


class Held:
    """Holders that are fed one stream, each bound to a core, and what they spend."""

    def __init__(self, folder: str, holders: int) -> None:
        state = State(folder, str(Path(folder) / "catalog.sqlite"))
        self.fleet = Fleet(state)
        self.fleet.rescale(holders)
        stream = Stream("bench", 64, DiscoverySettings().model_dump(mode="json"), None)
        self._taker, self._traffic = FleetTaker(self.fleet, stream), Traffic()
        self.pids = [self.fleet.ask(name, "ready") for name in self.fleet.names()]
        self.feed(WARM)
        cores = sorted(os.sched_getaffinity(0))
        for number, pid in enumerate(self.pids):
            _bind(pid, {cores[-1 - number % len(cores)]})

    def feed(self, messages: int) -> Spent:
        """Add messages; return when all are acknowledged, with what it took."""
        before = self._spent()
        done = self._taker.ingest(self._traffic.take(messages))
        if done.messages != messages:
            sys.exit(f"{done.messages} of {messages} messages acknowledged: {done.refused}")
        return self._spent() - before

    def counted(self) -> Spent:
        """Let the holders count what they have taken, and merge it."""
        before = self._spent()
        self._taker.digest()
        return self._spent() - before

    def memory(self) -> int:
        """Return the memory that the largest holder has of its own, MiB; taken is seldom given back."""
        return max(_status(pid, "RssAnon") for pid in self.pids) >> 10

    def merged(self) -> int:
        """Return the bytes of the stream's statistics."""
        return self.fleet.statistics(self.fleet.state.manifest.stream("bench"))[0].nbytes

    def _spent(self) -> Spent:
        return Spent(time.perf_counter(), sum(map(_seconds, self.pids)), time.process_time())


def _bind(pid: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _seconds(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def holders(count: int, folder: str | None) -> Iterator[Held]:
    """Give holders of a state of their own."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        held = Held(inside, count)
        try:
            yield held
        finally:
            held.fleet.stop()


def speed(counts: Sequence[int], messages: int, repeats: int, folder: str | None) -> None:
    """Print the speed of so many holders, alternating, and how their CPU times compare."""
    runs: dict[int, list[tuple[Spent, Spent, int, float]]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            with holders(count, folder) as held:
                runs[count].append((held.feed(messages), held.counted(), held.memory(), os.getloadavg()[0]))
    print("| holders | messages/s to acknowledgement | CPU s a million, holders | of the sender | digest, s "
          "| CPU s of it | memory of a holder, MiB | load |\n|--:|--:|--:|--:|--:|--:|--:|--:|")  # fmt: skip
    million = messages / 1e6
    for count, found in runs.items():
        cells = [
            _spread([messages / fed.clock for fed, *_ in found], ",.0f"),
            _spread([fed.holders / million for fed, *_ in found], ".2f"),
            _spread([fed.sender / million for fed, *_ in found], ".2f"),
            _spread([after.clock for _, after, *_ in found], ".2f"),
            _spread([after.holders for _, after, *_ in found], ".2f"),
            _spread([memory for *_, memory, _ in found], ".0f"), _spread([load for *_, load in found], ".1f"),
        ]  # fmt: skip
        print(f"| {count} | {' | '.join(cells)} |")
    if len(counts) > 1:
        fed, after = ([statistics.median(run[part].holders for run in runs[n]) for n in counts] for part in (0, 1))
        whole = (fed[1] + after[1]) / (fed[0] + after[0])
        print(f"\nCPU time of {counts[1]} holders: {fed[1] / fed[0]:.2f} times that of {counts[0]}; with the digest "
              f"{whole:.2f} times.\n")  # fmt: skip


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def growth(most: int, folder: str | None) -> list[tuple[int, float]]:
    """Print how long one holder takes for a stream that grows; return (messages, seconds) from its beginning."""
    print("| messages | seconds | messages/s in this row | CPU s a million | memory, MiB |\n|--:|--:|--:|--:|--:|")
    points: list[tuple[int, float]] = []
    total, clock = 0, 0.0
    with holders(1, folder) as held:
        for step in (step for step in STEPS if step <= most):
            spent = held.feed(step - total)
            clock += spent.clock
            rate, cpu = (step - total) / spent.clock, 1e6 * spent.holders / (step - total)
            total = step
            points.append((total, clock))
            print(f"| {total:,} | {clock:.2f} | {rate:,.0f} | {cpu:.2f} | {held.memory()} |", flush=True)
        settings, size = held.fleet.settings, held.merged()
    early = [point for point in points if point[0] <= total // 10][-1:] or points[:1]
    slope = (points[-1][1] - early[0][1]) / max(total - early[0][0], 1) * early[0][0] / early[0][1]
    print(f"\nTime a message beyond the first {early[0][0]:,}: {slope:.2f} times that of those.")
    reserved, cap = settings.memory >> 20, settings.limits.memory >> 20
    print(f"A holder reserves {reserved} MiB, of which statistics may take {cap}.")
    print(f"Those of this stream, merged, take {size / 1e6:.1f} MB. Load at the end: {os.getloadavg()[0]:.1f}.")
    return points


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of ingest to acknowledgement.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", type=int, default=STEPS[-1], help="messages of the longest stream; 0 leaves it out")
    parser.add_argument("--plot", type=Path, help="where the picture of growth is written")
    parser.add_argument("--holders", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", help="where journals are written; its disk is part of what is measured")
    arguments = parser.parse_args()
    print(page_head("Ingest", ("qbitel", "ray", "numpy", "numba", "pyarrow", "SQLAlchemy")))
    with ray_cluster(ServiceSettings()):
        speed(arguments.holders, arguments.messages, arguments.repeats, arguments.folder)
        if arguments.growth:
            points = growth(arguments.growth, arguments.folder)
            if arguments.plot:
                arguments.plot.write_text(growth_plot(points, linear=True), encoding="utf-8")
                print(f"\n![Seconds over messages]({arguments.plot.name})")


if __name__ == "__main__":
    main()
