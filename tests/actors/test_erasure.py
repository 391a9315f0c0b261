"""What is erased is nowhere in the state folder, and everything else is as if it had never been there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbitel.actors.discovery import Watch, discover_journal
from qbitel.actors.effects import Removed
from qbitel.actors.erasure import Erased, erase, eraser_here, outdated
from qbitel.actors.limits import ShardLimits
from qbitel.actors.node import Node
from qbitel.cluster.buckets import BUCKET_S, Span
from qbitel.cluster.catalog import Catalog
from qbitel.cluster.manifest import Stream
from qbitel.cluster.state import State
from qbitel.cluster.verify import verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings(sample_messages=64)
MARKER = b"marker-of-a-secret"
CAPTURE = "ab" * 32
MERGING = ShardLimits(merge_count=3)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Give an empty state folder."""
    made = State(str(tmp_path / "state"), str(tmp_path / "state" / "catalog.sqlite"))
    yield made
    made.manifest.close()


def made_stream(state: State, shards: int = 4, tenant: str = "") -> Stream:
    """Return the stream of these tests."""
    settings = SETTINGS.model_dump(mode="json")
    return state.manifest.add_stream(Stream("plant", shards, settings, None, 0, tenant))


def messages(count: int, bucket: int | None, marker: bytes = b"", seed: int = 1) -> MessageBatch:
    """Return messages in 12 flows, all of one bucket or without a time."""
    rng = np.random.default_rng(seed)
    payloads = [marker + rng.bytes(int(rng.integers(4, 20))) for _ in range(count)]
    ts = [None] * count if bucket is None else (bucket * BUCKET_S + rng.uniform(0, BUCKET_S - 1, count)).tolist()
    return MessageBatch.from_payloads(payloads, flow=rng.integers(0, 12, count).tolist(), ts=ts)


def feed(node: Node, **batches: MessageBatch) -> None:
    """Add batches under these keys."""
    for key, batch in batches.items():
        receipt = node.append(batch, key, capture=CAPTURE)
        node.flush()
        assert receipt.acknowledged


def digest(*batches: MessageBatch) -> str:
    """Return the digest of messages in one process."""
    statistics = MessageStatistics(SETTINGS)
    for batch in batches:
        statistics.update(batch, CAPTURE)
    return statistics.digest()


def erased(state: State, stream: Stream, span: Span) -> Erased:
    """Erase in this process."""
    return erase(state, stream, span, eraser_here(state, "eraser", pytest.fail))


def with_marker(state: State) -> list[Path]:
    """Return the files of the state folder that hold the marker, as it is or as hexadecimal digits."""
    files = [path for path in Path(state.uri).rglob("*") if path.is_file()]
    return [path for path in files if MARKER in (data := path.read_bytes()) or MARKER.hex().encode() in data]


def verified(state: State, stream: Stream) -> str:
    """Return the digest of a journal that is sound and has nothing beside it."""
    found = verify_stream(state.storage, state.manifest, stream)
    assert found.sound, found.problems
    assert found.orphans == 0
    return found.digest


def test_erased_messages_are_nowhere(state: State) -> None:
    """Segments, merged segments, snapshots, specifications, the database and its log: none of them has the bytes."""
    stream = made_stream(state)
    old, young, both = messages(60, 3, MARKER), messages(60, 9, seed=2), messages(40, 4, seed=3)
    mixed = MessageBatch.concatenate([messages(30, 3, MARKER, seed=4), both])
    node = Node(state.storage, state.manifest, stream, "a", limits=MERGING)
    feed(node, old=old, young=young, mixed=mixed)
    node.upkeep()
    node.close()
    catalog = Catalog(state.engine)
    catalog.add_specification("qs1", "d1", "plant", 1, b'{"value": "' + MARKER.hex().encode() + b'"}', "plant")
    catalog.add_specification("qs2", "d2", "other", 1, b"{}", "other")
    assert len(with_marker(state)) > 4
    done = erased(state, stream, Span.between(None, 4 * BUCKET_S))
    assert (done.messages, done.specifications, done.unread) == (90, ("qs1",), ())
    assert done.rewritten
    assert done.segments >= done.rewritten
    assert with_marker(state) == []
    assert verified(state, stream) == digest(young, both)
    assert catalog.specification("qs2") is not None


def test_whole_stream_goes(state: State) -> None:
    """Without a time all messages go, those without a time too; the stream goes on under its name."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, old=messages(30, 3, MARKER), untimed=messages(20, None, MARKER, seed=2))
    node.close()
    partly = erased(state, stream, Span.between(None, 1e12))
    assert (partly.messages, partly.untimed) == (30, 20)
    assert erased(state, stream, Span.everything()).messages == 20
    assert with_marker(state) == []
    assert verified(state, stream) == digest()
    again = Node(state.storage, state.manifest, stream, "a")
    feed(again, more=messages(10, 5, seed=3))
    assert again.statistics().digest() == digest(messages(10, 5, seed=3))


def test_late_retry_does_not_bring_erased_messages_back(state: State) -> None:
    """The keys of erased batches are known: a retry adds nothing, from this process or another."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    old, young = messages(30, 3, MARKER), messages(30, 9, seed=2)
    feed(node, old=old, young=young)
    assert node.erase(Span(end=5), sorted(node.held)).messages == 30
    for each in (node, Node(state.storage, state.manifest, stream, "b")):
        feed(each, old=old)
        assert each.statistics().digest() == digest(young)
    assert with_marker(state) == []


def test_holder_goes_on_while_it_erases(state: State) -> None:
    """A node that holds the shards erases without letting them go, and what waits is added after."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    old, young = messages(30, 3, MARKER), messages(30, 9, seed=2)
    feed(node, old=old)
    receipt = node.append(young, "young", capture=CAPTURE)
    node.erase(Span(end=5), range(4))
    node.flush()
    assert receipt.acknowledged
    assert node.statistics().digest() == digest(young)
    assert with_marker(state) == []
    node.close()
    assert verified(state, stream) == digest(young)


def test_nothing_is_taken_over_where_nothing_is_to_be_erased(state: State) -> None:
    """Retention that finds nothing disturbs nobody."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, young=messages(30, 9))
    before = state.manifest.leases("plant")
    assert erased(state, stream, Span(end=5)).messages == 0
    assert state.manifest.leases("plant") == before


def test_retention_is_a_rule_of_the_stream(state: State) -> None:
    """A stream keeps messages for so long, by their own time, in whole buckets; or for ever."""
    stream = made_stream(state)
    assert outdated(stream, 1e9) is None
    state.manifest.keep("plant", 2 * BUCKET_S)
    stream = state.manifest.stream("plant")
    assert outdated(stream, 10.5 * BUCKET_S) == Span(end=8)


def test_segment_that_cannot_be_read_is_told_or_goes_whole(state: State) -> None:
    """Damaged and wholly in the span it is deleted; in part nobody can say what it holds, and it is named."""
    stream = made_stream(state, shards=1)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, both=MessageBatch.concatenate([messages(10, 3), messages(10, 8, seed=2)]))
    node.close()
    (segment,) = Path(state.uri).glob("streams/plant/*/*/*.segment")
    segment.write_bytes(b"x")
    eraser = eraser_here(state, "e", lambda problem: None)
    assert erase(state, stream, Span(end=5), eraser).unread == (str(segment),)
    assert segment.exists()
    assert erase(state, stream, Span(end=9), eraser).segments == 1
    assert not segment.exists()
    assert verified(state, stream) == digest()


def test_erasure_that_fails_is_done_by_the_next(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the catalog fails it says so, names a shard, and leaves a journal that is sound; then it is repeated."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    old, young = messages(30, 3, MARKER), messages(30, 9, seed=2)
    feed(node, both=MessageBatch.concatenate([old, young]))
    node.close()
    with monkeypatch.context() as broken:
        broken.setattr(type(state.storage), "create", _full)
        with pytest.raises(InputError, match="nothing was erased from"):
            erased(state, stream, Span(end=5))
    assert verify_stream(state.storage, state.manifest, stream).sound
    assert erased(state, stream, Span(end=5)).messages == 30
    assert verified(state, stream) == digest(young)


def _full(*_: Any) -> None:
    raise InputError("no space left", where="disk")


def test_objects_left_by_a_crash_are_swept(state: State) -> None:
    """Files that a process left which ended before it deleted them are taken by the next erasure."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, old=messages(30, 3, MARKER))
    left = {path: path.read_bytes() for path in with_marker(state) if path.suffix == ".segment"}
    node.close()
    erased(state, stream, Span.everything())
    for path, data in left.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert erased(state, stream, Span.everything()).messages == 0
    assert with_marker(state) == []


def test_discovery_of_what_is_erased_meanwhile_is_refused(state: State) -> None:
    """A specification that was proposed from messages which are gone by now is not given out."""
    stream = made_stream(state)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, old=messages(60, 3), young=messages(60, 9, seed=2))
    node.close()

    def meanwhile(*_: Any) -> None:
        if not state.manifest.stream("plant").erasures:
            erased(state, stream, Span(end=5))

    with pytest.raises(InputError, match="erased while it was read"):
        discover_journal(state, stream, watch=Watch(meanwhile))


def test_entries_say_when_their_messages_were_sent(state: State) -> None:
    """The catalog knows the times of each segment, merged ones too, so that nothing is read in vain."""
    stream = made_stream(state, shards=1)
    node = Node(state.storage, state.manifest, stream, "a", limits=MERGING)
    batches = [messages(5, bucket, seed=bucket) for bucket in (2, 7, 4)]
    feed(node, **{f"k{number}": batch for number, batch in enumerate(batches)})
    for _ in range(2):
        node.upkeep()
        (times, *_) = (entry.times for entry in state.manifest.entries("plant", 0))
    moments = np.concatenate([batch.view().ts for batch in batches])
    assert (times.earliest, times.latest, times.untimed) == (moments.min(), moments.max(), 0)


def test_database_has_no_trace_of_deleted_rows(state: State) -> None:
    """The catalog's file overwrites what is deleted."""
    (found,) = state.engine.raw_connection().cursor().execute("PRAGMA secure_delete").fetchone()
    assert found == 1
    assert Removed(1, 1, 0, 5, ("a",)) + Removed(2, 1, 1, 6) == Removed(3, 2, 1, 11, ("a",))
