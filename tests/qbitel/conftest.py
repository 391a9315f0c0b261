"""A made-up protocol on disk, and the command as a user runs it."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def plant_messages(count: int, seed: int = 3) -> list[bytes]:
    """
    Messages of three types: magic, type, counter, length of the rest, body, CRC-32 of all before it.

    Type 1 holds a reading (identifier, float), type 2 a list of 3-byte entries, type 3 a length-prefixed name.
    """
    rng = np.random.default_rng(seed)
    messages = []
    for number in range(count):
        kind = int(rng.integers(1, 4))
        if kind == 1:
            body = struct.pack(">Hf", int(rng.integers(1, 40)), float(rng.normal(20, 3)))
        elif kind == 2:
            entries = int(rng.integers(1, 6))
            body = bytes([entries]) + b"".join(
                struct.pack(">BH", int(rng.integers(0, 8)), int(rng.integers(0, 900))) for _ in range(entries)
            )
        else:
            name = b"pump-" + bytes(rng.integers(97, 123, int(rng.integers(2, 9)), dtype=np.uint8))
            body = bytes([len(name)]) + name + struct.pack(">I", int(rng.integers(0, 5)))
        head = b"PL" + bytes([kind]) + struct.pack(">HH", number & 0xFFFF, len(body) + 4)
        messages.append(head + body + struct.pack(">I", zlib.crc32(head + body)))
    return messages


@pytest.fixture(scope="session")
def plant_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 300 messages in order, in alternating directions of one stream."""
    messages = plant_messages(300)
    path = tmp_path_factory.mktemp("captures") / "plant.parquet"
    table = pa.table(
        {
            "payload": pa.array(messages, pa.binary()),
            "ts": [1_700_000_000 + 0.5 * i for i in range(len(messages))],
            "stream": ["s"] * len(messages),
            "direction": ["c2s" if i % 2 == 0 else "s2c" for i in range(len(messages))],
        }
    )
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="session")
def run() -> Run:
    """Run ``qbitel`` in its own process."""

    def run_command(
        *arguments: str | Path, expect: int = 0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "qbitel.cli", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=300)
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run_command


@pytest.fixture(scope="session")
def plant(plant_file: Path, tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The result folder of the plant messages."""
    folder = tmp_path_factory.mktemp("results") / "plant"
    run("discover", plant_file, "--out", folder)
    return folder
