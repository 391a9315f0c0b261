"""``qbitel backup``, as a user runs it: what comes back is what was there, and what is damaged is told."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("psycopg", reason="needs the extra [cluster]")
from safetensors.numpy import save

from qbitel.cluster.buckets import ALL_TIME
from qbitel.cluster.catalog import Catalog
from qbitel.cluster.registry import Registry
from qbitel.cluster.state import State
from qbitel.cluster.versions import Drift, Version, Versions

Run = Callable[..., subprocess.CompletedProcess[str]]
WEIGHTS = save({"w": np.arange(4, dtype=np.float32)})


def fill(run: Run, state: Path, capture: Path) -> str:
    """Make a state with a stream, a specification, a version with events, and a model; return the stream's digest."""
    told = run("ingest", capture, "--stream", "dns", "--state", state, "--shards", "4", "--json")
    here = State(str(state), str(state / "catalog.sqlite"))
    catalog = Catalog(here.engine)
    catalog.add_job("job-1", {"context": {}})
    catalog.add_specification("spec-1", "digest-1", "dns", 600, b"\x00{}\xff")
    moment = catalog.job("job-1").created  # type: ignore[union-attr]
    version = Version(1, "spec-1", "digest-1", "dns", 600, moment, ALL_TIME)
    Versions(here.engine).add("dns", version, [Drift("added", f"f{n}") for n in range(3)])
    Registry(here.engine, here.storage).register("toy", WEIGHTS, {"run": "r"}, {"f1": 0.5})
    catalog.close()
    digest: str = json.loads(told.stdout)["digest"]
    return digest


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_what_is_restored_is_what_was_backed_up(
    target: str, run: Run, example_captures: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """Journal, specification, events and model come back by their digests, also into another kind of database."""
    state, backup, again = tmp_path / "state", tmp_path / "backup", tmp_path / "again"
    digest = fill(run, state, example_captures / "dns.pcap")
    made = json.loads(run("backup", "create", state, backup, "--json").stdout)
    assert made["streams"] == {"dns": digest}
    assert run("backup", "verify", backup).stdout.startswith(f"{digest}  dns\nsound: ")
    catalog = str(again / "catalog.sqlite")
    if target == "postgresql":
        catalog = request.getfixturevalue("server_catalog")
        monkeypatch.setenv("QBITEL_CATALOG", catalog)
    restored = json.loads(run("backup", "restore", backup, again, "--json").stdout)
    assert (restored["streams"], restored["problems"], restored["rows"]) == ({"dns": digest}, [], made["rows"])
    assert restored["seconds"] > 0
    (found,) = json.loads(run("shards", "verify", again, "--json").stdout)
    assert (found["digest"], found["problems"]) == (digest, [])
    here = State(str(again), catalog)
    kept = Catalog(here.engine)
    assert kept.waiting() == ["job-1"]
    assert kept.document("digest-1") == b"\x00{}\xff"
    assert Registry(here.engine, here.storage).weights("toy@1") == WEIGHTS
    versions = Versions(here.engine)
    first = versions.one("dns")
    versions.add("dns", Version(2, "s", "d", "dns", 600, first.stored, ALL_TIME), [Drift("added", "later")])
    assert [each.path for each in versions.events("dns")] == ["f0", "f1", "f2", "later"]
    kept.close()
    run("backup", "restore", backup, again, expect=3)  # there is a state now


def test_damage_of_a_backup_is_found(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """A flipped byte of an object, a changed row, and an object that is gone are each an exit code of 1, and named."""
    state, backup = tmp_path / "state", tmp_path / "backup"
    fill(run, state, example_captures / "dns.pcap")
    run("backup", "create", state, backup)
    run("backup", "create", state, backup, expect=3)  # never over another
    model = next((backup / "objects" / "models").iterdir())
    data = model.read_bytes()
    model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    told = run("backup", "verify", backup, expect=1)
    assert model.name in told.stderr
    run("backup", "restore", backup, tmp_path / "other", expect=3)
    model.write_bytes(data)
    segment = next(path for path in (backup / "objects" / "streams").rglob("*") if path.is_file())
    segment.unlink()
    told = run("backup", "verify", backup, expect=1)
    assert segment.name in told.stderr
    assert "stream dns: damaged" in told.stderr
    with sqlite3.connect(backup / "catalog.sqlite") as connection:
        connection.execute("UPDATE specifications SET protocol = 'other'")
    connection.close()
    assert "table specifications" in run("backup", "verify", backup, expect=1).stderr
