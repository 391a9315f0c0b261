"""A made-up protocol on disk, and the command as a user runs it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qbitel.cli import main

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
    """Run ``qbitel`` as its entry point does, in this process: arguments in; output and exit code out."""

    def run_command(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        command = ["qbitel", *map(str, arguments)]
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        code: object = 0
        with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "argv", command):
            try:
                main()
            except SystemExit as stop:
                code = stop.code or 0
        told, complained = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))
        assert code == expect, f"exit {code}\n{told}\n{complained}"
        return subprocess.CompletedProcess(command, expect, told, complained)

    return run_command


@pytest.fixture(scope="session")
def plant(plant_file: Path, tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The result folder of the plant messages."""
    folder = tmp_path_factory.mktemp("results") / "plant"
    run("discover", plant_file, "--out", folder)
    return folder
