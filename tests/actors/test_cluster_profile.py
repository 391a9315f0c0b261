"""A stream whose segments lie in an object store and whose catalog is on a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

import ray

from qbitel.actors.fleet import Fleet
from qbitel.actors.limits import ShardLimits
from qbitel.actors.node import Node
from qbitel.cluster.manifest import Stream
from qbitel.cluster.state import State
from qbitel.cluster.verify import verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings(sample_messages=64)
STREAM = Stream("plant", 3, SETTINGS.model_dump(mode="json"), None, 0)
LIMITS = ShardLimits(snapshot_bytes=3_000, merge_below=20_000, merge_count=3)


def test_stream_is_kept_in_an_object_store_and_on_a_server(
    object_store: str, server_catalog: str, tmp_path: Path
) -> None:
    """Segments are put, merged, read by the next holder and swept; the stale holder registers nothing."""
    state = State(f"{object_store}/{tmp_path.name}", server_catalog)
    stream = state.manifest.add_stream(STREAM)
    rng = np.random.default_rng(4)
    payloads = [rng.bytes(20) for _ in range(300)]
    batch = MessageBatch.from_payloads(payloads, flow=rng.integers(1, 20, 300).tolist())
    stale = Node(state.storage, state.manifest, stream, "stale", limits=LIMITS)
    for start in range(0, 200, 25):
        stale.append(batch.slice(start, 25), f"k{start}")
        stale.flush()
    node = Node(state.storage, state.manifest, stream, "next", limits=LIMITS)
    receipt = stale.append(batch.slice(200, 100), "late")
    with pytest.raises(InputError, match="held by another"):
        stale.flush()
    assert not receipt.acknowledged
    for key, start, length in (("late", 200, 100), ("k0", 0, 25)):
        receipt = node.append(batch.slice(start, length), key)
        node.flush()
        assert receipt.acknowledged
    node.close()
    expected = MessageStatistics(SETTINGS)
    expected.update(batch)
    found = verify_stream(state.storage, state.manifest, stream)
    assert (found.problems, found.digest, found.messages) == ([], expected.digest(), 300)
    Node(state.storage, state.manifest, stream, "last", limits=LIMITS).close()
    assert verify_stream(state.storage, state.manifest, stream).orphans == 0
    assert found.snapshots == 3
    state.manifest.close()


def test_file_as_catalog_is_refused_where_ray_has_several_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An SQLite file is of one machine; a server is for all, and is not asked before it is needed."""
    hosts = [{"NodeManagerHostname": name, "Alive": name != "gone"} for name in ("a", "b", "gone")]
    monkeypatch.setattr(ray, "nodes", lambda: hosts)
    with pytest.raises(InputError, match=r"a Ray of 2 machines.*QBITEL_CATALOG=postgresql"):
        Fleet(State(str(tmp_path), str(tmp_path / "catalog.sqlite")))
    Fleet(State("s3://bucket/x", "postgresql://u@nowhere/db"))
    del hosts[1]
    Fleet(State(str(tmp_path), str(tmp_path / "catalog.sqlite")))
