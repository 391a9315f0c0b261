"""Captures in an object store, read by a Ray of three raylets that this process is a client of, or submits jobs to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("ray")

from qbitel.actors.partition.servers import Raylets, raylets
from qbitel.cluster.state import State
from qbitel.cluster.storage import Storage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
HERE = str(1 << 40)  # bytes: more than any test has


@dataclass(frozen=True)
class There:
    """A Ray, and captures in a bucket whose one bad file has a reason of its own."""

    ray: Raylets
    captures: str
    folder: Path
    digests: dict[str, str] = field(default_factory=dict)

    def qbitel(self, *words: str, bulk: str = "0", job: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command here, or as a job; inputs of more than ``bulk`` bytes are read with Ray Data."""
        command = [sys.executable, "-m", "qbitel.cli", *words]
        if job:
            env = json.dumps({"env_vars": {"QBITEL_BULK_BYTES": bulk}})
            submit = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", self.ray.jobs]
            command = [*submit, "--runtime-env-json", env, "--", *command]
        env_here = {**os.environ, "QBITEL_BULK_BYTES": bulk}
        return subprocess.run(command, env=env_here, capture_output=True, text=True, check=False, timeout=600)

    def ingest(self, stream: str, *words: str, bulk: str = "0", job: bool = False) -> str:
        """Ingest the captures into a stream of a state of its own; return what was said."""
        state = ["--stream", stream, "--state", str(self.folder / "state")]
        done = self.qbitel("ingest", self.captures, *state, *words, bulk=bulk, job=job)
        assert "bad.pcap: no known format" in done.stdout + done.stderr, done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def there(object_store: str, example_captures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """Give a Ray whose workers reach the object store, where a capture lies rotated into four files, and a bad one."""
    storage = Storage(f"{object_store}/caps")
    data = (example_captures / "modbus.pcap").read_bytes()
    ends, at = [24], 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        ends.append(at)
    for number in range(4):
        begin, end = ends[len(ends) * number // 4], ends[min(len(ends) * (number + 1) // 4, len(ends) - 1)]
        storage.write(f"cap{number}.pcap", data[:24] + data[begin:end])
    storage.write("bad.pcap", bytes(40))
    with raylets(2, 1, serves=True) as running:
        given = There(running, f"{object_store}/caps/", tmp_path_factory.mktemp("bulk"))
        given.digests["here"] = digest_in(given.ingest("here", bulk=HERE))
        yield given


def digest_in(said: str) -> str:
    """Return the digest that a command printed."""
    return next(line.split()[1] for line in said.splitlines() if line.startswith("digest "))


@pytest.mark.parametrize("way", ["client", "job"])
def test_captures_in_an_object_store_are_ingested_by_ray_as_in_one_process(there: There, way: str) -> None:
    """By a client and by a job the digest is that of one process, and a second run finds everything there."""
    words = ("--on", there.ray.client if way == "client" else "auto")
    said = there.ingest(way, *words, job=way == "job")
    assert "960 messages added\n" in said
    assert digest_in(said) == there.digests["here"]
    again = there.ingest(way, *words, job=way == "job")
    assert "0 messages added, 960 are there" in again.replace("were there before", "are there")
    (letter,) = Storage(str(there.folder / "state")).read(f"dead-letters/{way}.jsonl").splitlines()
    assert json.loads(letter)["uri"].endswith("/bad.pcap")


@pytest.mark.parametrize("way", ["client", "job"])
def test_captures_in_an_object_store_are_discovered_by_ray_as_in_one_process(there: There, way: str) -> None:
    """The specification is the same bytes, and the bad file is told."""
    documents = []
    for bulk, job, on in ((HERE, False, "local"), ("0", way == "job", there.ray.client if way == "client" else "auto")):
        out = there.folder / f"found-{way}-{bulk}"
        done = there.qbitel("discover", there.captures, "--on", on, "--out", str(out), bulk=bulk, job=job)
        assert "bad.pcap: no known format" in done.stdout + done.stderr, done.stderr[-2000:]
        documents.append((out / "tcp_502" / "spec.json").read_bytes())
    assert documents[0] == documents[1]


def test_ingest_that_was_killed_goes_on_and_shows_how_far_it_is(there: There) -> None:
    """Blocks of a table that were acknowledged before are not added again; on a terminal there are two bars."""
    rows, table = 400_000, there.captures.replace("/caps/", "/table.parquet")
    payloads = [number.to_bytes(4, "big") * 25 for number in range(rows)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"payload": payloads, "sport": [number % 999 for number in range(rows)]}), sink)
    Storage(there.captures.removesuffix("caps/")).write("table.parquet", sink.getvalue().to_pybytes())
    words = ["ingest", table, "--stream", "killed", "--state", str(there.folder / "state"), "--on", there.ray.client]
    reader, terminal = os.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "qbitel.cli", *words], env={**os.environ, "QBITEL_BULK_BYTES": "0"},
        stdout=subprocess.DEVNULL, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    drawn = bytearray()
    manifest = State(str(there.folder / "state"), str(there.folder / "state" / "catalog.sqlite")).manifest
    while not any(manifest.entries("killed", shard) for shard in range(64)):
        assert running.poll() is None
        drawn += os.read(reader, 1 << 16)
    running.send_signal(signal.SIGKILL)
    running.wait()
    os.close(reader)
    assert b"reading" in drawn and b"adding" in drawn
    done = there.qbitel(*words)
    assert done.returncode == 0, done.stderr
    added = int(done.stdout.partition(" messages added")[0].rsplit(" ", 1)[1])
    assert 0 < added < rows
    here = there.qbitel(*[{"killed": "whole"}.get(word, word) for word in words], bulk=HERE)
    assert f"{rows} messages added" in here.stdout
    assert digest_in(done.stdout) == digest_in(here.stdout)
