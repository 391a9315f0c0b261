"""
Speed of the statistics: update with every component on, small updates, merging, bytes and digest.

    python -m benchmarks.message_statistics [--messages 200000] [--repeats 7]

Prints machine, versions, command, and the median with the lowest and highest of the repeats. Payloads are generated:
``structured`` (a constant header, a counter, a few types, text), ``random`` (every byte uniform).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics
from qbitel.train.evaluation.machine import page_head, peak_mebibytes


def batch(kind: str, n: int, seed: int = 1) -> MessageBatch:
    """Return n messages of 100 bytes in 2,000 flows."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (n, 100), np.uint8)
    if kind == "structured":
        rows[:, :4] = (0x51, 0x42, 1, 100)
        rows[:, 4] = rng.integers(0, 12, n)
        rows[:, 6], rows[:, 5] = np.arange(n) & 255, np.arange(n) >> 8 & 255
        rows[:, 8:60] = rng.integers(32, 127, (64, 52), np.uint8)[rng.integers(0, 64, n)]
        rows[:, 60:96] = 0
    offsets = pa.py_buffer(np.arange(0, 100 * n + 1, 100, dtype=np.int64))
    payload = pa.Array.from_buffers(pa.large_binary(), n, [None, offsets, pa.py_buffer(rows)])
    flow = rng.integers(1, 2001, n).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return MessageBatch(
        pa.table(
            {
                "payload": payload, "ts": np.arange(n) / 1e4, "flow": flow,
                "direction": rng.integers(1, 3, n).astype(np.int8), "number": np.arange(n),
            }
        )
    )  # fmt: skip


def timed(run: Callable[[], object], repeats: int) -> list[float]:
    """Return the seconds of each repeat after one warm-up."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def updated(messages: MessageBatch) -> MessageStatistics:
    """Return fresh statistics of the messages."""
    made = MessageStatistics(DiscoverySettings())
    made.update(messages, "0" * 16)
    return made


def measure(n: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return name → median, low, high; rates in messages/s, times in ms."""
    results: dict[str, dict[str, float]] = {}

    def note(name: str, values: list[float]) -> None:
        results[name] = {"median": statistics.median(values), "low": min(values), "high": max(values)}

    for kind in ("structured", "random"):
        large, small = batch(kind, n), batch(kind, 200)
        note(f"update {kind}, messages/s", [n / s for s in timed(lambda b=large: updated(b), repeats)])
        note(f"200 {kind} messages, ms", [1e3 * s for s in timed(lambda b=small: updated(b), 5 * repeats)])
        held, other = updated(large), updated(small)
        note(f"200 {kind} into {n}, ms", [1e3 * s for s in timed(lambda h=held, b=small: h.update(b), 5 * repeats)])
        note(f"sample and digest of 200 {kind}, ms",
             [1e3 * s for s in timed(lambda o=other: (o.sample(), o.digest()), 5 * repeats)])  # fmt: skip
        note(f"merge {kind}, ms", [1e3 * s for s in timed(lambda h=held: h.merge(h), repeats)])
        text = held.to_bytes()
        note(f"to_bytes {kind} ({len(text) / 1e6:.1f} MB), ms", [1e3 * s for s in timed(held.to_bytes, repeats)])
        note(
            f"from_bytes {kind}, ms", [1e3 * s for s in timed(lambda t=text: MessageStatistics.from_bytes(t), repeats)]
        )
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of the statistics.")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    results = measure(arguments.messages, arguments.repeats)
    print(page_head("Statistics"))
    print("Messages of 100 bytes on one core: the median of the repeats, the lowest and the highest.\n")
    print("| what | median | lowest to highest |\n|---|--:|--:|")
    for name, row in results.items():
        print(f"| {name} | {row['median']:,.2f} | {row['low']:,.2f} to {row['high']:,.2f} |")
    print(f"| largest resident size, MiB | {peak_mebibytes():,} | |")


if __name__ == "__main__":
    main()
