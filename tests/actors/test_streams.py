"""Windows of a stream, its versions, and what drifted between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra [cluster]")

from qbitel.actors.ingest import Keyed
from qbitel.actors.streams import Streams
from qbitel.cluster.buckets import BUCKET_S, Span
from qbitel.cluster.state import State
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.orchestrator import Known
from qbitel.discovery.statistics import MessageStatistics

START = 1_750_000_200.0  # where a bucket begins
KNOWN = Known("plant")


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[Streams]:
    """Give the streams of an empty state, two virtual shards each."""
    made = Streams(State(str(tmp_path), str(tmp_path / "catalog.sqlite")), "test", shards=2)
    yield made
    made.close()


def batch(kinds: list[int], start: float | None, seed: int = 1, count: int = 600) -> MessageBatch:
    """Return messages of a kind byte, a state, a big-endian length and that many letters, a second apart."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        body = bytes(random.integers(97, 123, int(random.integers(3, 12))).astype(np.uint8))
        kind = kinds[number % len(kinds)]
        rows.append(bytes([0x5A, kind, int(random.integers(0, 4))]) + len(body).to_bytes(2, "big") + body)
    ts = pa.array([None if start is None else start + number / 10 for number in range(count)], pa.float64())
    flow = np.arange(count, dtype=np.uint64) % 7
    made = MessageBatch.from_payloads(rows).to_arrow()
    names = made.schema.names
    for name, column in (("ts", ts), ("flow", pa.array(flow))):
        made = made.set_column(names.index(name), made.schema.field(name), column.cast(made.schema.field(name).type))
    return MessageBatch(made)


def test_windows_merged_are_the_whole(streams: Streams) -> None:
    """Every message is in one bucket or in none; statistics of all parts merge to those of the stream."""
    parts = [batch([1, 2], START, 1), batch([1, 2], START + BUCKET_S, 2), batch([1, 2], None, 3)]
    for number, part in enumerate(parts):
        assert streams.append("plant", KNOWN, Keyed(f"b{number}", "", part)).messages == 600
    assert streams.append("plant", KNOWN, Keyed("b0", "", parts[0])).known == 600
    first = int(START // BUCKET_S)
    spans = [Span(first, first + 1), Span(first + 1, first + 2), Span(0, 0, untimed=True)]
    merged = MessageStatistics()
    for span, part in zip(spans, parts, strict=True):
        found = streams.statistics("plant", span)
        alone = MessageStatistics()
        alone.update(part)
        assert found.digest() == alone.digest()
        merged = merged.merge(found)
    assert merged.digest() == streams.statistics("plant").digest()
    assert streams.window("plant", "50s") == spans[1]
    assert streams.window("plant", "5m") == Span(first, first + 2)
    assert streams.window("plant", "600messages") == spans[1]
    assert streams.window("plant", "601messages") == Span(first, first + 2)
    assert streams.window("plant", "2025-06-15T15:10/2025-06-15T15:15") == spans[0]
    with pytest.raises(InputError):
        streams.window("plant", "yesterday")


def test_drift_between_windows_is_an_event(streams: Streams) -> None:
    """A new value and bytes that moved in the last window are events of the next version; erasure takes them."""
    streams.append("plant", KNOWN, Keyed("a", "", batch([1, 2], START, 1)))
    first = streams.discover("plant").spec
    assert streams.discover("plant").spec.version == first.version == 1
    assert streams.versions.events("plant") == []
    streams.append("plant", KNOWN, Keyed("b", "", batch([1, 1, 1, 1, 2, 9, 9, 9], START + BUCKET_S, 2)))
    found = streams.discover("plant", "50s")
    assert found.spec.version == 2
    assert found.spec.provenance.parent == first.digest
    events = streams.versions.events("plant")
    assert {event.version for event in events} == {2}
    assert any((event.kind, event.after) == ("grew", "0x09") for event in events), events
    (moved,) = (event for event in events if event.path == "byte 1")
    assert moved.kind == "moved"
    assert moved.evidence["distance"] > moved.evidence["bound"] + moved.evidence["tolerance"]
    two, one = streams.versions.all("plant")
    assert (two.identity, two.number, one.number) == (one.identity, 2, 1)
    assert streams.erase("plant", Span.everything()).messages == 1200
    assert streams.versions.all("plant") == []
    assert streams.versions.events("plant") == []


def test_stream_that_another_takes_is_taken_back(streams: Streams) -> None:
    """Two processes that feed one stream in turns lose nothing: each takes the shards back and sends again."""
    other = Streams(streams.state, "other", shards=2)
    for number in range(4):
        who = (streams, other)[number % 2]
        assert who.append("plant", KNOWN, Keyed(f"k{number}", "", batch([1], START, number, 50))).messages == 50
    assert other.statistics("plant").total == 200
    other.close()
