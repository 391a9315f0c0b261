"""
Message types on labelled captures: V-measure and adjusted Rand index against the true types.

    python -m benchmarks.message_types --corpus DIR [--half 0|1]

DIR holds one Parquet file a protocol with the columns payload and msg_type (optional: stream, direction, ts). Types are
found on the sample of a capture without its labels, and scored on its distinct messages. Protocols of one true type are
listed, but are not part of the mean. ``--half`` takes one of two random halves of the protocols.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numba
import numpy as np
import pyarrow.parquet as pq

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import find_types

DIRECTIONS = {"c2s": 1, "s2c": 2}
REPEATS = 5


@dataclass(frozen=True)
class Row:
    """The scores of one protocol; times are of finding and assigning, milliseconds, fastest and slowest."""

    protocol: str
    messages: int
    true_types: int
    types: int
    v: float
    ari: float
    fastest: float
    slowest: float


def v_measure(true: Sequence[str], found: Sequence[int]) -> float:
    """Return the V-measure (Rosenberg and Hirschberg, EMNLP 2007)."""
    n = len(true)
    both, rows, columns = Counter(zip(true, found, strict=True)), Counter(true), Counter(found)
    information = sum(c / n * log(c * n / (rows[t] * columns[f])) for (t, f), c in both.items())
    total = _entropy(rows, n) + _entropy(columns, n)
    return 2 * information / total if total else 1.0


def adjusted_rand(true: Sequence[str], found: Sequence[int]) -> float:
    """Return the adjusted Rand index (Hubert and Arabie, 1985)."""

    def pairs(counts: Counter[object]) -> float:
        return sum(c * (c - 1) / 2 for c in counts.values())

    together = pairs(Counter(zip(true, found, strict=True)))
    rows, columns, everything = pairs(Counter(true)), pairs(Counter(found)), len(true) * (len(true) - 1) / 2
    expected = rows * columns / everything if everything else 0.0
    largest = (rows + columns) / 2
    return (together - expected) / (largest - expected) if largest != expected else 1.0


def _entropy(counts: Counter[object], n: int) -> float:
    return -sum(c / n * log(c / n) for c in counts.values())


def read(path: Path, settings: DiscoverySettings) -> tuple[Sample, list[str]]:
    """Return the sample of a labelled capture and the true type of each of its messages."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    streams = {name: number + 1 for number, name in enumerate(dict.fromkeys(row.get("stream") for row in rows))}
    batch = MessageBatch.from_payloads(
        [row["payload"] for row in rows],
        flow=[streams[row.get("stream")] for row in rows],
        direction=[DIRECTIONS.get(row.get("direction"), 0) for row in rows],
        ts=[row.get("ts") for row in rows],
    )
    sample = StatisticalAnalyzer(settings).analyze(batch).sample()
    labels = {row["payload"]: row["msg_type"] for row in reversed(rows)}
    return sample, [labels[sample.view.payload(row)] for row in range(len(sample.view))]


def score(path: Path, settings: DiscoverySettings) -> Row:
    """Find and score the types of one capture."""
    sample, true = read(path, settings)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        model = find_types(sample, settings)
        found = model.assign(sample.view).tolist()
        times.append((time.perf_counter() - start) * 1e3)
    true_types = len(set(true))
    return Row(
        path.stem, len(true), true_types, len(model.types), v_measure(true, found), adjusted_rand(true, found),
        min(times), max(times),
    )  # fmt: skip


def in_half(name: str, half: int | None) -> bool:
    """Say whether a protocol is in the half asked for, by a hash of its name."""
    return half is None or hashlib.sha256(name.encode()).digest()[0] % 2 == half


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--half", type=int, choices=(0, 1))
    options = parser.parse_args(arguments)
    settings = DiscoverySettings()
    paths = [path for path in sorted(options.corpus.glob("*.parquet")) if in_half(path.stem, options.half)]
    rows = [score(path, settings) for path in paths]
    print(f"`python -m benchmarks.message_types {' '.join(arguments or sys.argv[1:])}`\n")
    print(f"{platform.processor() or platform.machine()}, {platform.system()} {platform.release()}; "
          f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}\n")  # fmt: skip
    print("| protocol | messages | true types | types | V | ARI | ms (of 5 runs) |\n|---|--:|--:|--:|--:|--:|--:|")
    for r in rows:
        print(f"| {r.protocol} | {r.messages} | {r.true_types} | {r.types} | {r.v:.3f} | {r.ari:.3f} "
              f"| {r.fastest:.1f}–{r.slowest:.1f} |")  # fmt: skip
    scored = [r for r in rows if r.true_types > 1]
    if scored:
        v, ari = np.array([r.v for r in scored]), np.array([r.ari for r in scored])
        print(f"\nmacro over {len(scored)} protocols with at least two types: V {v.mean():.3f} "
              f"(quartiles {np.quantile(v, 0.25):.3f}–{np.quantile(v, 0.75):.3f}), ARI {ari.mean():.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
