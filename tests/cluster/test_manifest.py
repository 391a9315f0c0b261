"""The manifest takes a segment from the holder of the lease only, and each batch once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from qbitel.cluster.buckets import NO_TIMES, Span, Times
from qbitel.cluster.database import OutcomeUnknownError, open_engine, transaction
from qbitel.cluster.entries import (
    NEVER,
    BatchKey,
    Change,
    Erasure,
    KnownBatch,
    Merge,
    Outcome,
    Registered,
    Registration,
    Rejected,
    SnapshotEntry,
    Superseded,
    object_path,
)
from qbitel.cluster.manifest import Manifest, Stream
from qbitel.cluster.manifest_tables import KeyRow, StreamRow
from qbitel.cluster.redirects import MOST_TARGETS, Redirect
from qbitel.discovery.errors import InputError, LimitError, NotFoundError


@pytest.fixture
def manifest(catalog_address: str) -> Iterator[Manifest]:
    """Give an empty manifest with the stream "plant"."""
    opened = Manifest(open_engine(catalog_address, durable=True))
    opened.add_stream(Stream("plant", 64, {"seed": 0}, None, 0))
    yield opened
    opened.close()


def segment(
    *keys: str, shard: int = 3, epoch: int = 1, sequence: int = 0, digest: str = "d", made: int = NEVER
) -> Registration:
    """Return a segment of batches of two messages each."""
    path = object_path("plant", shard, epoch, sequence, "segment")
    held = tuple(BatchKey(key, made, digest, 2) for key in keys)
    return Registration("plant", shard, epoch, sequence, path, 10, "00", held)


def registered(manifest: Manifest, *segments: Registration) -> list[Outcome]:
    """Register segments under the leases they name."""
    return manifest.register(segments)


def test_segments_get_positions_without_gaps(manifest: Manifest) -> None:
    """Each shard counts for itself, and the journal is read from a position on."""
    for shard in (3, 4):
        manifest.take_lease("plant", shard, "a")
    given = registered(manifest, segment("k"), segment("l", sequence=1), segment("k", shard=4))
    assert given == [Registered(0), Registered(1), Registered(0)]
    assert [entry.position for entry in manifest.entries("plant", 3, after=0)] == [1]
    assert [entry.messages for entry in manifest.entries("plant", 4)] == [2]
    assert manifest.known("plant", ["k", "l", "m"]) == {
        "k": KnownBatch("d", 0, frozenset({3, 4})), "l": KnownBatch("d", 0, frozenset({3})),
    }  # fmt: skip


def test_former_holder_registers_nothing(manifest: Manifest) -> None:
    """Once another has taken the lease, what the first one wrote stays out of the journal; so does its snapshot."""
    assert manifest.take_lease("plant", 3, "a") == 1
    assert manifest.take_lease("plant", 3, "b") == 2
    assert registered(manifest, segment("k", epoch=1)) == [Superseded(2)]
    assert manifest.add_snapshot("plant", 3, SnapshotEntry(0, 1, "p", 1, "00")) is None
    assert registered(manifest, segment("k", epoch=2)) == [Registered(0)]
    assert manifest.take_lease("plant", 3, "a", expected=1) is None
    assert manifest.take_lease("plant", 3, "b", expected=2) == 3


def test_shard_that_nobody_holds_takes_nothing(manifest: Manifest) -> None:
    """Without a lease there is no epoch to compare with."""
    assert registered(manifest, segment("k")) == [Superseded(0)]


def test_batch_is_taken_once(manifest: Manifest) -> None:
    """A segment with one known key is rejected whole, and says which keys are known or of other content."""
    manifest.take_lease("plant", 3, "a")
    manifest.take_lease("plant", 4, "a")
    registered(manifest, segment("k"))
    assert registered(manifest, segment("k", "new", sequence=1)) == [Rejected(known=frozenset({"k"}))]
    assert registered(manifest, segment("new", sequence=2)) == [Registered(1)]
    other = segment("k", "l", shard=4, digest="other")
    assert registered(manifest, other) == [Rejected(conflicting=frozenset({"k"}))]


def test_same_key_in_one_transaction_must_have_one_content(manifest: Manifest) -> None:
    """Segments decided together see each other."""
    manifest.take_lease("plant", 3, "a")
    manifest.take_lease("plant", 4, "a")
    given = registered(manifest, segment("k"), segment("k", shard=4, digest="other"))
    assert given == [Registered(0), Rejected(conflicting=frozenset({"k"}))]


def test_key_older_than_the_horizon_is_refused(manifest: Manifest) -> None:
    """What was forgotten is never taken again, the horizon never falls, and keys without an age stay known."""
    manifest.take_lease("plant", 3, "a")
    registered(manifest, segment("old", made=50), segment("file", sequence=1))
    assert manifest.forget("plant", 100) == 100
    assert manifest.forget("plant", 10) == 100
    assert registered(manifest, segment("old", sequence=2, made=50)) == [Rejected(forgotten=frozenset({"old"}))]
    assert registered(manifest, segment("file", sequence=3)) == [Rejected(known=frozenset({"file"}))]
    assert registered(manifest, segment("young", sequence=4, made=100)) == [Registered(2)]


def test_newest_snapshot_names_what_it_replaces(manifest: Manifest) -> None:
    """A later snapshot replaces an earlier one; one that is not later replaces nothing and names itself."""
    manifest.take_lease("plant", 3, "a")
    first, second = SnapshotEntry(4, 1, "first", 1, "00"), SnapshotEntry(9, 1, "second", 1, "00")
    assert manifest.add_snapshot("plant", 3, first) == []
    assert manifest.add_snapshot("plant", 3, second) == ["first"]
    assert manifest.add_snapshot("plant", 3, first) == ["first"]
    assert manifest.snapshot("plant", 3) == second


def test_merged_segment_stands_for_those_it_was_made_of(manifest: Manifest) -> None:
    """Entries are merged only where the snapshot holds them, so that no replay reads half of a merged segment."""
    manifest.take_lease("plant", 3, "a")
    registered(manifest, *(segment(f"k{n}", sequence=n) for n in range(4)))
    merge = Merge("plant", 3, 1, 1, 2, 9, "merged", 20, "00")
    assert manifest.merge(merge) is None
    manifest.add_snapshot("plant", 3, SnapshotEntry(2, 1, "snapshot", 1, "00"))
    assert manifest.merge(merge) == [object_path("plant", 3, 1, n, "segment") for n in (1, 2)]
    kept = [(entry.first, entry.position, entry.messages) for entry in manifest.entries("plant", 3)]
    assert kept == [(0, 0, 2), (1, 2, 4), (3, 3, 2)]
    assert manifest.referenced("plant", 3) == {
        "snapshot", "merged", *(object_path("plant", 3, 1, n, "segment") for n in (0, 3)),
    }  # fmt: skip


def test_damaged_entry_is_never_merged_away(manifest: Manifest) -> None:
    """An entry in quarantine keeps its row and its object."""
    manifest.take_lease("plant", 3, "a")
    registered(manifest, *(segment(f"k{n}", sequence=n) for n in range(2)))
    manifest.add_snapshot("plant", 3, SnapshotEntry(1, 1, "snapshot", 1, "00"))
    assert manifest.mark_damaged("plant", 3, manifest.entries("plant", 3)[1].path, "checksum")
    assert manifest.merge(Merge("plant", 3, 1, 0, 1, 9, "merged", 20, "00")) is None
    assert [entry.damaged for entry in manifest.entries("plant", 3)] == ["", "checksum"]


def test_stream_keeps_its_settings(manifest: Manifest) -> None:
    """A stream is added once; adding it with other settings is refused, asking for another is not found."""
    assert manifest.add_stream(Stream("plant", 64, {"seed": 0}, None, 7)).horizon == 0
    with pytest.raises(InputError, match="other shards"):
        manifest.add_stream(Stream("plant", 8, {"seed": 0}, None, 0))
    with pytest.raises(NotFoundError):
        manifest.stream("other")
    for name in ("../plant", "", "a/b", ".hidden"):
        with pytest.raises(InputError, match="not a name"):
            manifest.add_stream(Stream(name, 64, {}, None, 0))


def test_of_many_that_register_one_batch_one_does(manifest: Manifest) -> None:
    """Eight threads that offer the same batch get one position and seven rejections."""
    manifest.take_lease("plant", 3, "a")
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda n: manifest.register([segment("k", sequence=n)])[0], range(8)))
    assert given.count(Registered(0)) == 1
    assert given.count(Rejected(known=frozenset({"k"}))) == 7


def test_of_many_that_take_a_shard_each_has_an_epoch_of_its_own(manifest: Manifest) -> None:
    """Eight threads that take a shard nobody had get the epochs from 1 to 8; the last one holds it."""
    with ThreadPoolExecutor(8) as pool:
        epochs = list(pool.map(lambda n: manifest.take_lease("plant", 3, f"o{n}"), range(8)))
    assert sorted(epochs) == list(range(1, 9))
    (lease,) = manifest.leases("plant")
    assert (lease.epoch, lease.owner) == (8, f"o{epochs.index(8)}")


def test_of_two_contents_under_one_key_one_is_taken(manifest: Manifest) -> None:
    """Two shards that register other messages under the same keys at once do not both succeed."""
    for shard in (3, 4):
        manifest.take_lease("plant", shard, "a")
    pairs = [(n, shard) for n in range(12) for shard in (3, 4)]
    with ThreadPoolExecutor(8) as pool:
        given = pool.map(
            lambda at: manifest.register([segment(f"k{at[0]}", shard=at[1], sequence=at[0], digest=f"d{at[1]}")])[0],
            pairs,
        )
    taken = [at for at, outcome in zip(pairs, given, strict=True) if isinstance(outcome, Registered)]
    assert sorted(number for number, _ in taken) == list(range(12))


def test_registration_waits_for_who_forgets_keys(manifest: Manifest) -> None:
    """A key that is being forgotten while it is offered again is refused: it is never taken a second time."""
    manifest.take_lease("plant", 3, "a")
    registered(manifest, segment("old", made=50))
    with ThreadPoolExecutor(1) as pool:
        with transaction(manifest._engine, "plant") as connection:
            connection.execute(update(StreamRow).values(horizon=100))
            connection.execute(delete(KeyRow))
            answer = pool.submit(manifest.register, [segment("old", sequence=1, made=50)])
            assert not wait([answer], timeout=0.2).done
        assert answer.result() == [Rejected(forgotten=frozenset({"old"}))]


def test_database_that_does_not_answer_is_an_unknown_outcome(tmp_path: Path) -> None:
    """Where the database is locked for too long nobody knows what happened; the error says so."""
    path = tmp_path / "catalog.sqlite"
    manifest = Manifest(open_engine(path, durable=True, patience_s=0.05))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(OutcomeUnknownError):
            manifest.take_lease("plant", 0, "a")
    finally:
        other.close()
        manifest.close()


def test_object_that_nobody_needs_any_more_damages_nothing(manifest: Manifest) -> None:
    """A reader of an old manifest that misses a part of a merge does not put the merged segment in quarantine."""
    manifest.take_lease("plant", 3, "a")
    registered(manifest, *(segment(f"k{n}", sequence=n) for n in range(2)))
    old = manifest.entries("plant", 3)[1].path
    manifest.add_snapshot("plant", 3, SnapshotEntry(1, 1, "snapshot", 1, "00"))
    assert manifest.merge(Merge("plant", 3, 1, 0, 1, 9, "merged", 20, "00")) is not None
    assert not manifest.mark_damaged("plant", 3, old, "missing")
    assert [entry.damaged for entry in manifest.entries("plant", 3)] == [""]


def test_erased_entries_keep_their_place_and_their_keys(manifest: Manifest) -> None:
    """An entry is emptied or replaced, the snapshot goes, keys stay known, and the stream counts the erasure."""
    manifest.take_lease("plant", 3, "a")
    times = [Times(10.0, 20.0), Times(10.0, 900.0, 1), NO_TIMES]
    parts = [replace(segment(key, sequence=n), times=times[n]) for n, key in enumerate("klm")]
    assert registered(manifest, *parts) == [Registered(0), Registered(1), Registered(2)]
    assert [entry.times for entry in manifest.entries("plant", 3)] == times
    manifest.add_snapshot("plant", 3, SnapshotEntry(2, 1, "snapshot", 1, "00"))
    changes = (Change(0, parts[0].path), Change(1, parts[1].path, "left", 5, "11", 1, Times(900.0, 900.0)))
    span = Span(end=1)
    assert not manifest.erase(Erasure("plant", 3, 2, span, changes))
    assert not manifest.erase(Erasure("plant", 3, 1, span, (Change(0, "another"),)))
    assert manifest.snapshot("plant", 3) is not None
    assert manifest.erase(Erasure("plant", 3, 1, span, changes))
    first, second, third = manifest.entries("plant", 3)
    assert (first.path, first.messages, first.erased, first.times) == ("", 0, 2, NO_TIMES)
    assert (second.path, second.messages, second.erased, second.times) == ("left", 1, 1, Times(900.0, 900.0))
    assert third.path == parts[2].path
    assert manifest.snapshot("plant", 3) is None
    assert manifest.referenced("plant", 3) == {"left", parts[2].path}
    assert manifest.stream("plant").erasures == 1
    assert registered(manifest, segment("k", sequence=9)) == [Rejected(known=frozenset("k"))]


def test_retention_and_tenant_are_of_the_stream(manifest: Manifest) -> None:
    """How long messages are kept is changed at any time; whose they are, never."""
    manifest.keep("plant", 60)
    assert manifest.stream("plant").keep_s == 60
    manifest.keep("plant", None)
    assert manifest.stream("plant").keep_s is None
    with pytest.raises(NotFoundError):
        manifest.keep("nothing", 60)
    owned = Stream("owned", 1, {}, None, tenant="acme", privacy={"support": 5})
    assert manifest.add_stream(owned) == manifest.add_stream(Stream("owned", 1, {}, None)) == owned
    with pytest.raises(InputError, match="other tenant"):
        manifest.add_stream(Stream("owned", 1, {}, None, tenant="other"))


def divided(division: int, *, shard: int, made: int = NEVER) -> Registration:
    """Return a segment of the batch "k", divided under so many redirects."""
    whole = segment("k", shard=shard, made=made)
    return replace(whole, keys=tuple(replace(key, division=division) for key in whole.keys))


def test_first_part_fixes_how_a_batch_is_divided(manifest: Manifest) -> None:
    """Parts of another division are refused on every virtual shard, also on the one where a part of the batch is."""
    for shard in (3, 4, 5):
        manifest.take_lease("plant", shard, "a")
    both = [divided(1, shard=3, made=5), divided(2, shard=4, made=5)]
    assert registered(manifest, *both) == [Registered(0), Rejected(divided=frozenset("k"))]
    assert registered(manifest, divided(0, shard=3)) == [Rejected(divided=frozenset("k"))]
    assert registered(manifest, divided(1, shard=3)) == [Rejected(known=frozenset("k"))]
    assert registered(manifest, divided(1, shard=5, made=5)) == [Registered(0)]
    assert manifest.known("plant", ["k"]) == {"k": KnownBatch("d", 1, frozenset({3, 5}))}
    manifest.forget("plant", 6)
    assert registered(manifest, divided(2, shard=4, made=5)) == [Rejected(forgotten=frozenset("k"))]


def test_parts_of_two_divisions_at_the_same_time_are_of_one(manifest: Manifest) -> None:
    """Two senders, two divisions, many shards at once: one of them has all that is registered."""
    shards = range(8)
    for shard in shards:
        manifest.take_lease("plant", shard, "a")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(registered, manifest, divided(shard % 2, shard=shard)) for shard in shards]
        wait(asked)
    taken = {shard for shard, each in enumerate(asked) if each.result() == [Registered(0)]}
    found = manifest.known("plant", ["k"])["k"]
    assert taken == found.shards == {shard for shard in shards if shard % 2 == found.division}


def test_redirects_are_a_list_that_grows(manifest: Manifest) -> None:
    """Each is appended; those of no such range, shard or number of shards are refused."""
    given = [Redirect(17, (17, 3)), Redirect(5, (0,)), Redirect(17, (17,))]
    assert [manifest.redirect("plant", each) for each in given] == [1, 2, 3]
    assert manifest.redirects("plant") == tuple(given)
    assert manifest.redirects("other") == ()
    for wrong in (Redirect(64, (0,)), Redirect(0, (1, 64)), Redirect(0, ()), Redirect(0, (1, 1))):
        with pytest.raises(InputError):
            manifest.redirect("plant", wrong)
    manifest.add_stream(Stream("wide", 512, {}, None, 0))
    with pytest.raises(LimitError):
        manifest.redirect("wide", Redirect(0, tuple(range(MOST_TARGETS + 1))))
    with pytest.raises(NotFoundError):
        manifest.redirect("other", Redirect(0, (1,)))
    assert manifest.redirects("plant") == tuple(given)
