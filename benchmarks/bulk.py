"""
Bulk ingest and discovery of captures larger than what they may take of memory: time, and memory of all processes.

    python -m benchmarks.bulk [--gigabytes 4] [--cap 3072] [--folder DIR]

Packets of 1,000 bytes between 2,000 pairs of hosts, over UDP, in files of 256 MB; and the same payloads as the rows of
a Parquet file with row groups of 131 MB. Each command runs as a person would run it, on a Ray of its own where it reads
with Ray Data (more than 256 MiB, or ``QBITEL_BULK_BYTES``), and is looked at four times a second. Memory is what
the command and all processes that it started have of their own and share with each other (anonymous and shared pages,
proportional); pages of files, which the kernel can drop, are left out. Exit code 1 where a command took more than the
cap, MiB, or failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from qbitel.train.evaluation.machine import page_head

PAYLOAD, HEADERS = 1000, 16 + 14 + 20 + 8
PAIRS = 2000
FILE, GROUP = 256_000_000, 1 << 17  # bytes of a capture file, rows of a row group
_AT_ONCE = 50_000
_LOOK_S = 0.25
_HERE, _THERE = str(1 << 50), "0"


@dataclass(frozen=True)
class Took:
    """What a command took: seconds, its exit code, and the most memory of all its processes and of one, MiB."""

    seconds: float
    code: int
    all: int
    one: int


def payloads(count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield messages of ``PAYLOAD`` bytes: a constant, one of a few types, a counter, noise, and one of a few texts."""
    rng = np.random.default_rng(5)
    texts = rng.integers(97, 123, (64, PAYLOAD), np.uint8)
    for start in range(0, count, _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, count))
        rows = texts[rng.integers(0, 64, len(numbers))]
        rows[:, 0], rows[:, 1] = 0x51, numbers % 5
        rows[:, 2:6] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)
        rows[:, 6:10] = rng.integers(0, 256, (len(numbers), 4), np.uint8)
        yield rows


def write_captures(folder: Path, count: int) -> None:
    """Write the messages as UDP in files of a rotated capture."""
    folder.mkdir()
    number = written = 0
    sink = None
    for rows in payloads(count):
        if sink is None or written > FILE:
            if sink:
                sink.close()
            sink, written = (folder / f"cap{number}.pcap").open("wb"), 0
            sink.write(np.array([0xA1B2C3D4, 0x00040002, 0, 0, 65535, 1], "<u4").tobytes())
            number += 1
        written += sink.write(packets(rows).tobytes())
    if sink:
        sink.close()


def packets(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return records of a capture file: Ethernet, IPv4 and UDP around each message, of a pair of hosts each."""
    made = np.zeros((len(rows), HEADERS + PAYLOAD), np.uint8)
    number = rows[:, 2:6].copy().view(">u4").reshape(-1).astype(np.int64)
    record = np.stack([number // 10_000, number % 10_000 * 100, *[np.full(len(rows), 42 + PAYLOAD)] * 2], 1)
    made[:, :16] = record.astype("<u4").view(np.uint8).reshape(-1, 16)
    made[:, 28:30] = (0x08, 0x00)
    made[:, 30], made[:, 38], made[:, 39] = 0x45, 64, 17
    made[:, 32:34] = np.frombuffer((28 + PAYLOAD).to_bytes(2, "big"), np.uint8)
    pair = (number * 7919 % PAIRS).astype(">u2").view(np.uint8).reshape(-1, 2)
    for at, net in ((42, 1), (46, 2)):
        made[:, at], made[:, at + 1], made[:, at + 2 : at + 4] = 10, net, pair
    made[:, 50:54] = np.array([40000, 9000], ">u2").view(np.uint8)
    made[:, 54:56] = np.frombuffer((8 + PAYLOAD).to_bytes(2, "big"), np.uint8)
    made[:, HEADERS:] = rows
    return made


def write_parquet(path: Path, count: int) -> None:
    """Write the messages as rows with the flow they belong to."""
    schema = pa.schema([("payload", pa.binary()), ("stream", pa.int64())])
    kept: list[pa.RecordBatch] = []
    offsets = np.arange(_AT_ONCE + 1, dtype=np.int32) * PAYLOAD
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for number, rows in enumerate(payloads(count)):
            buffers = [None, pa.py_buffer(offsets), pa.py_buffer(rows)]
            payload = pa.Array.from_buffers(pa.binary(), len(rows), buffers)
            stream = pa.array((number * _AT_ONCE + np.arange(len(rows))) % PAIRS)
            kept.append(pa.record_batch([payload, stream], schema=schema))
            if sum(batch.num_rows for batch in kept) >= GROUP:
                writer.write_table(pa.Table.from_batches(kept), row_group_size=GROUP)
                kept.clear()
        if kept:
            writer.write_table(pa.Table.from_batches(kept), row_group_size=GROUP)


def run(words: Sequence[str], bulk: str) -> Took:
    """Run a command of ``qbitel`` and watch it."""
    begin, most, one = time.perf_counter(), 0, 0
    env = {**os.environ, "QBITEL_BULK_BYTES": bulk}
    with subprocess.Popen([sys.executable, "-m", "qbitel.cli", *words], env=env, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            sizes = [_own_memory(pid) for pid in _family(running.pid)]
            most, one = max(most, sum(sizes)), max(one, *sizes, 0)
            time.sleep(_LOOK_S)
    return Took(time.perf_counter() - begin, running.returncode, most >> 10, one >> 10)


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _own_memory(pid: int) -> int:
    """Return KiB of anonymous and shared pages, what several processes share divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def measure(folder: Path, size: int, cap: int) -> bool:
    """Make the captures, run the commands on them, and print; return whether all kept within the cap."""
    small, large, table = folder / "small", folder / "large", folder / "rows.parquet"
    write_captures(small, 250_000_000 // (HEADERS + PAYLOAD))
    write_captures(large, size // (HEADERS + PAYLOAD))
    write_parquet(table, size // PAYLOAD)
    ingest, found = ["--state", str(folder / "state"), "--stream"], ["--out", str(folder / "found")]
    runs = [
        ("ingest, in one process", small, ["ingest", str(small), *ingest, "a"], _HERE),
        ("ingest, in one process", table, ["ingest", str(table), *ingest, "b"], _HERE),
        ("ingest, Ray Data", table, ["ingest", str(table), *ingest, "c"], _THERE),
        ("ingest, Ray Data", large, ["ingest", str(large), *ingest, "d"], _THERE),
        ("discover, Ray Data", large, ["discover", str(large), *found, "--on", "local"], _THERE),
    ]
    print("| command | input | GB | seconds | MB/s | all processes, MiB | the largest, MiB | load |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    kept = True
    for what, source, words, bulk in runs:
        took, load = run(words, bulk), os.getloadavg()[0]
        files = [source] if source.is_file() else list(source.iterdir())
        size = sum(file.stat().st_size for file in files)
        form = "Parquet" if source.is_file() else f"{len(files)} pcap"
        failed = f" (exit code {took.code})" if took.code else ""
        print(f"| {what}{failed} | {form} | {size / 1e9:.2f} | {took.seconds:.0f} | {size / took.seconds / 1e6:.0f} "
              f"| {took.all:,} | {took.one:,} | {load:.1f} |", flush=True)  # fmt: skip
        kept &= took.code == 0 and took.all <= cap
    print(f"\nThe cap was {cap:,} MiB for all processes of a command: {'kept' if kept else 'NOT kept'}.")
    return kept


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and memory of bulk ingest and discovery.")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="of the large capture")
    parser.add_argument("--cap", type=int, default=3072, help="MiB that a command may take")
    parser.add_argument("--folder", help="where captures and journals are written: four times the capture")
    arguments = parser.parse_args()
    print(page_head("Bulk", ("qbitel", "ray", "numpy", "numba", "pyarrow")))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        return 0 if measure(Path(folder), int(arguments.gigabytes * 1e9), arguments.cap) else 1


if __name__ == "__main__":
    sys.exit(main())
