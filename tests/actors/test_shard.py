"""A shard acknowledges what is registered, looks up what it cannot know, and stops when another holds its lease."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qbitel.actors import effects as do
from qbitel.actors import events as on
from qbitel.actors.effects import Effect, Refusal
from qbitel.actors.limits import ShardLimits
from qbitel.actors.shard import Phase, Shard
from qbitel.cluster.buckets import NO_TIMES, Span, Times
from qbitel.cluster.entries import NEVER, BatchKey, Change, Entry, Registered, Rejected, SnapshotEntry, Superseded

TIMES = Times(10.0, 20.0)


def opened(limits: ShardLimits | None = None) -> Shard:
    """Return a shard that has taken over an empty journal under epoch 1."""
    shard = Shard(limits)
    assert shard.handle(on.Start()) == [do.TakeLease(None)]
    assert shard.handle(on.LeaseTaken(1)) == [do.ReadManifest(-1, True)]
    assert shard.handle(on.ManifestRead(None, ())) == [do.LoadSnapshot(None)]
    assert shard.handle(on.SnapshotLoaded()) == [do.Sweep(1)]
    return shard


def batch(key: str, digest: str = "d", division: int = 0) -> BatchKey:
    """Return the key of a batch of one message."""
    return BatchKey(key, NEVER, digest, 1, division)


def append(shard: Shard, request: int, key: str, *, size: int = 1, digest: str = "d") -> list[Effect]:
    """Offer a batch."""
    return shard.handle(on.Append(request, batch(key, digest), key, size))


def written(shard: Shard, sequence: int) -> list[Effect]:
    """Say that a segment is durable."""
    return shard.handle(on.SegmentWritten(sequence, f"p{sequence}", 1, "00", TIMES))


def answered(shard: Shard, outcome: Registered | Rejected | Superseded) -> list[Effect]:
    """Give the catalog's answer."""
    return shard.handle(on.RegistrationAnswered(outcome))


def test_acknowledged_only_when_registered() -> None:
    """Neither receiving nor writing acknowledges; registration counts, then acknowledges."""
    shard = opened()
    assert append(shard, 7, "a") == []
    assert shard.handle(on.Flush()) == [do.WriteSegment(1, 0, ("a",))]
    assert written(shard, 0) == [do.Register(1, 0, "p0", 1, "00", (batch("a"),), TIMES)]
    assert answered(shard, Registered(0)) == [do.Count(0, ("a",)), do.Acknowledge(7, False)]
    assert (shard.position, shard.held_bytes) == (0, 0)


def test_what_arrives_meanwhile_is_written_together() -> None:
    """Batches that come while a segment is in flight go into the next one, which begins by itself."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    for number, key in enumerate("bc"):
        assert append(shard, 2 + number, key) == []
    written(shard, 0)
    assert answered(shard, Registered(0))[-1] == do.WriteSegment(1, 1, ("b", "c"))


def test_same_batch_twice_is_written_once_and_answered_twice() -> None:
    """A repetition joins the batch in flight; after it, it is acknowledged at once; other content is refused."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    assert append(shard, 2, "a") == []
    assert append(shard, 3, "a", digest="other") == [do.Refuse(3, Refusal.CONFLICT)]
    written(shard, 0)
    assert answered(shard, Registered(0))[1:] == [do.Acknowledge(1, False), do.Acknowledge(2, False)]
    assert append(shard, 4, "a") == [do.Acknowledge(4, True)]
    assert append(shard, 5, "a", digest="other") == [do.Refuse(5, Refusal.CONFLICT)]


def test_full_shard_says_busy() -> None:
    """Beyond its cap a shard refuses with a reason to come back; a single batch above the cap is still taken."""
    shard = opened(ShardLimits(waiting_bytes=10, segment_bytes=100))
    assert append(shard, 1, "large", size=50) == []
    assert append(shard, 2, "next") == [do.Refuse(2, Refusal.BUSY)]
    assert Refusal.BUSY.retry
    assert not Refusal.CONFLICT.retry


def test_rejected_segment_is_written_again_without_what_stood_against_it() -> None:
    """Known batches are acknowledged, conflicting and forgotten ones refused, the rest goes into a new segment."""
    shard = opened()
    for number, key in enumerate("abcd"):
        append(shard, number, key)
    shard.handle(on.Flush())
    written(shard, 0)
    rejected = Rejected(frozenset("a"), frozenset("b"), frozenset("c"))
    assert answered(shard, rejected) == [
        do.Discard("p0"), do.Acknowledge(0, True), do.Refuse(1, Refusal.CONFLICT), do.Refuse(2, Refusal.FORGOTTEN),
        do.WriteSegment(1, 1, ("d",)),
    ]  # fmt: skip


@pytest.mark.parametrize("happened", [True, False])
def test_unknown_outcome_is_looked_up_under_a_new_epoch(happened: bool) -> None:
    """The epoch is raised first, so that the lost transaction cannot happen after the manifest was read."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    written(shard, 0)
    assert shard.handle(on.RegistrationUnknown()) == [do.TakeLease(1)]
    assert shard.handle(on.LeaseTaken(2)) == [do.ReadManifest(-1, False)]
    entry = Entry(0, 0, 1, 0, "p0", 1, "00", 1)
    if happened:
        assert shard.handle(on.ManifestRead(None, (entry,))) == [do.CountSegment(entry)]
        assert shard.handle(on.SegmentCounted(0, (batch("a"),))) == [do.Acknowledge(1, True), do.Sweep(2)]
    else:
        assert shard.handle(on.ManifestRead(None, ())) == [do.Sweep(2), do.WriteSegment(2, 0, ("a",))]


def test_shard_whose_lease_is_gone_stops() -> None:
    """Everything that waits is refused with a reason to come back, and nothing is done any more."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    append(shard, 2, "b")
    written(shard, 0)
    assert answered(shard, Superseded(2)) == [do.Refuse(1, Refusal.MOVED), do.Refuse(2, Refusal.MOVED)]
    assert shard.phase is Phase.STOPPED
    assert append(shard, 3, "c") == [do.Refuse(3, Refusal.MOVED)]
    assert shard.handle(on.Flush()) == []


def test_damaged_segment_is_quarantined_and_the_rest_is_counted() -> None:
    """A segment that cannot be read is reported; those before and after it are counted."""
    shard = Shard()
    shard.handle(on.Start())
    shard.handle(on.LeaseTaken(4))
    entries = tuple(Entry(n, n, 1, n, f"p{n}", 1, "00", 1) for n in range(3))
    shard.handle(on.ManifestRead(None, entries))
    assert shard.handle(on.SnapshotLoaded()) == [do.CountSegment(entries[0])]
    shard.handle(on.SegmentCounted(0, ()))
    told = shard.handle(on.SegmentDamaged(1, "checksum"))
    assert told == [do.Quarantine(1, "p1", "checksum"), do.CountSegment(entries[2])]
    shard.handle(on.SegmentCounted(2, ()))
    assert (shard.phase, shard.position, shard.damaged) == (Phase.OPEN, 2, {1})


def test_damaged_snapshot_is_made_again_from_the_journal() -> None:
    """A snapshot that cannot be read is reported, and the whole journal is counted."""
    shard = Shard()
    shard.handle(on.Start())
    shard.handle(on.LeaseTaken(2))
    assert shard.handle(on.ManifestRead(SnapshotEntry(5, 1, "s", 1, "00"), ())) == [
        do.LoadSnapshot(SnapshotEntry(5, 1, "s", 1, "00"))
    ]
    assert shard.handle(on.SnapshotDamaged("checksum"))[-1] == do.ReadManifest(-1, False)
    assert shard.handle(on.ManifestRead(None, ())) == [do.LoadSnapshot(None)]


def test_drained_shard_finishes_snapshots_and_gives_back() -> None:
    """Nothing new is taken; what was taken is finished; the last thing is a snapshot, then the lease."""
    shard = opened()
    append(shard, 1, "a")
    assert shard.handle(on.Drain()) == [do.WriteSegment(1, 0, ("a",))]
    assert append(shard, 2, "b") == [do.Refuse(2, Refusal.MOVED)]
    written(shard, 0)
    assert answered(shard, Registered(0))[-1] == do.WriteSnapshot(1, 1, 0)
    snapshot = SnapshotEntry(0, 1, "s", 1, "00")
    assert shard.handle(on.SnapshotWritten(1, 1, snapshot)) == [do.RegisterSnapshot(1, snapshot)]
    assert shard.handle(on.SnapshotAnswered(1, 1, 0, ("old",))) == [do.Discard("old"), do.GiveBack(1)]
    shard.handle(on.GivenBack())
    assert shard.phase is Phase.GIVEN_BACK


def test_erasure_raises_the_epoch_and_counts_what_is_left() -> None:
    """It waits for the segment in flight, lets nothing new begin, and forgets statistics and snapshot."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    span = Span(end=1)
    assert shard.handle(on.Erase(5, span)) == []
    assert append(shard, 2, "b") == []
    assert shard.handle(on.Flush()) == []
    written(shard, 0)
    assert answered(shard, Registered(0)) == [do.Count(0, ("a",)), do.Acknowledge(1, False), do.TakeLease(1)]
    assert shard.handle(on.LeaseTaken(2)) == [do.ReadManifest(-1, False)]
    entry = Entry(0, 0, 1, 0, "p0", 1, "00", 1, times=TIMES)
    assert shard.handle(on.ManifestRead(None, (entry,))) == [do.WriteErasure(2, 0, (entry,), span)]
    gone = (Change(0, "p0"),)
    assert shard.handle(on.ErasureWritten(2, gone, ())) == [do.RegisterErasure(2, span, gone)]
    assert shard.handle(on.ErasureAnswered(2, True)) == [
        do.Sweep(2), do.Erased(5, do.Removed(1, 1, 0, 1)), do.ReadManifest(-1, True),
    ]  # fmt: skip
    shard.handle(on.ManifestRead(None, (replace(entry, path="", messages=0, times=NO_TIMES, erased=1),)))
    assert shard.handle(on.SnapshotLoaded()) == [do.Sweep(2), do.WriteSegment(2, 1, ("b",)), do.WriteSnapshot(2, 2, 0)]


def test_erasure_of_unknown_outcome_is_looked_up() -> None:
    """Where the lost transaction has happened, its messages are told as removed; they are counted no longer."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    written(shard, 0)
    answered(shard, Registered(0))
    assert shard.handle(on.Erase(5, Span.everything())) == [do.TakeLease(1)]
    shard.handle(on.LeaseTaken(2))
    entry = Entry(0, 0, 1, 0, "p0", 9, "00", 3, times=TIMES)
    shard.handle(on.ManifestRead(None, (entry,)))
    shard.handle(on.ErasureWritten(2, (Change(0, "p0"),), ()))
    assert shard.handle(on.ErasureUnknown(2)) == [do.TakeLease(2)]
    shard.handle(on.LeaseTaken(3))
    after = replace(entry, path="", size=0, messages=0, times=NO_TIMES)
    assert shard.handle(on.ManifestRead(None, (after,))) == [do.WriteErasure(3, 0, (), Span.everything())]
    told = do.Erased(5, do.Removed(3, 1, 0, 9))
    assert shard.handle(on.ErasureWritten(3, (), ())) == [do.Sweep(3), told, do.ReadManifest(-1, True)]


def test_erasure_that_failed_or_lost_its_lease_is_told() -> None:
    """Who asked hears that nothing was erased, and the shard goes on or stops."""
    shard = opened()
    shard.handle(on.Erase(5, Span.everything()))
    shard.handle(on.LeaseTaken(2))
    shard.handle(on.ManifestRead(None, ()))
    assert shard.handle(on.ErasureFailed(2, "disk full")) == [do.NotErased(5, "disk full"), do.ReadManifest(-1, False)]
    shard.handle(on.ManifestRead(None, ()))
    assert shard.phase is Phase.OPEN
    shard.handle(on.Erase(6, Span.everything()))
    assert do.NotErased(6, Refusal.MOVED.value) in shard.handle(on.LeaseLost())
    assert shard.handle(on.Erase(7, Span.everything())) == [do.NotErased(7, Refusal.MOVED.value)]


def test_batch_of_another_division_is_refused() -> None:
    """Neither what waits nor what is registered is an answer to a part of another division, nor is it a conflict."""
    shard = opened()
    other = on.Append(2, batch("a", division=1), "a", 1)
    refused = [do.Refuse(2, Refusal.DIVIDED)]
    append(shard, 1, "a")
    assert shard.handle(other) == refused
    shard.handle(on.Flush())
    assert shard.handle(other) == refused
    written(shard, 0)
    answered(shard, Registered(0))
    assert append(shard, 3, "a") == [do.Acknowledge(3, True)]
    assert shard.handle(other) == []  # the catalog decides: it may have forgotten the key
    shard.handle(on.Flush())
    written(shard, 1)
    assert answered(shard, Rejected(divided=frozenset("a")))[1] == refused[0]


def test_division_that_the_catalog_refuses_is_refused() -> None:
    """Of a group the part of another division is refused for now, and the rest is written again."""
    shard = opened()
    append(shard, 1, "a")
    append(shard, 2, "b")
    shard.handle(on.Flush())
    written(shard, 0)
    done = answered(shard, Rejected(divided=frozenset("a")))
    assert do.Refuse(1, Refusal.DIVIDED) in done
    assert do.WriteSegment(1, 1, ("b",)) in done
    assert Refusal.DIVIDED.retry


def test_replayed_part_of_another_division_acknowledges_nothing() -> None:
    """After an unknown outcome a waiting batch is acknowledged by the same part alone, not by one of its key."""
    shard = opened()
    append(shard, 1, "a")
    shard.handle(on.Flush())
    written(shard, 0)
    assert shard.handle(on.RegistrationUnknown()) == [do.TakeLease(1)]
    shard.handle(on.LeaseTaken(2))
    entry = Entry(0, 0, 1, 0, "p0", 1, "00", 1)
    assert shard.handle(on.ManifestRead(None, (entry,))) == [do.CountSegment(entry)]
    done = shard.handle(on.SegmentCounted(0, (batch("a", division=1),)))
    assert not [effect for effect in done if isinstance(effect, do.Acknowledge)]
    assert do.WriteSegment(2, 0, ("a",)) in done
