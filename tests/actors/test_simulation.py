"""The crash campaign finds nothing, and finds what is wrong where a guard is taken away."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qbitel.actors.effects import Effect
from qbitel.actors.simulation.campaign import run_campaign
from qbitel.actors.simulation.world import Guards, SimulatedCatalog
from qbitel.cluster.buckets import Span
from qbitel.cluster.database import open_engine
from qbitel.cluster.entries import BatchKey, Change, Erasure, Merge, Registration, SnapshotEntry
from qbitel.cluster.ledger import Ledger
from qbitel.cluster.manifest import Manifest, Stream
from qbitel.cluster.redirects import Redirect


def test_nothing_is_lost_or_doubled() -> None:
    """Schedules with faults at every kind of step lose nothing, double nothing, miscount nothing; erased is erased."""
    campaign = run_campaign(120)
    assert campaign.sound, str(campaign)
    assert campaign.events["erasures done"] > 150
    assert campaign.events["redirects"] > 150
    assert campaign.events["divided"] > 30
    assert campaign.acknowledged > 8_000
    stopped = {step for step, _ in campaign.places}
    never = {effect.__name__ for effect in Effect.__args__} - stopped
    assert never <= {"WriteMerged", "RegisterMerged", "Quarantine", "GiveBack", "NotErased"}


@pytest.mark.parametrize(
    ("guards", "symptom"),
    [
        (Guards(compare_epoch=False), "lost"), (Guards(unique_keys=False), "doubled"),
        (Guards(forget_snapshot=False), "wrong_memory"), (Guards(one_division=False), "doubled"),
    ],
)  # fmt: skip
def test_campaign_reports_a_missing_guard(guards: Guards, symptom: str) -> None:
    """
    Without the epochs' comparison messages are lost; without unique keys, or where each retry is divided anew, doubled.

    With old snapshots they are not erased.
    """
    assert getattr(run_campaign(40, guards=guards), symptom) > 0


def test_same_seed_gives_the_same_campaign() -> None:
    """A schedule is its seed."""
    assert str(run_campaign(5, seed=77)) == str(run_campaign(5, seed=77))


def test_ledger_counts_what_is_missing_and_what_is_too_much() -> None:
    """Missing is counted for acknowledged batches only; too much for all; unknown keys are foreign."""
    ledger = Ledger()
    for key in "abc":
        ledger.send(key, ["x", "x", "y"])
    ledger.acknowledge("a")
    ledger.acknowledge("b")
    rows = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "x"), ("b", "y"), ("b", "y"), ("c", "x"), ("d", "x")]
    verdict = ledger.judge(rows)
    assert (verdict.acknowledged, verdict.lost, verdict.doubled, verdict.foreign) == (6, 1, 1, 1)
    assert not verdict.sound


def test_ledger_lets_erased_messages_be_missing() -> None:
    """What somebody wanted erased may be missing; once that was done, what is still there is counted."""
    ledger = Ledger()
    for key in "ab":
        ledger.send(key, ["x", "x", "y"])
        ledger.acknowledge(key)
    ledger.erase("a", ["x", "y"], done=False)
    ledger.erase("b", ["x"], done=True)
    assert ledger.judge([("a", "x"), ("b", "x"), ("b", "y")]).sound
    verdict = ledger.judge([("a", "x"), ("b", "x"), ("b", "x")])
    assert (verdict.lost, verdict.kept) == (1, 1)


class CatalogsAgree(RuleBasedStateMachine):
    """The catalog of the simulation and the one on SQLite give the same answers to the same questions."""

    @initialize()
    def begin(self) -> None:
        """Make both empty."""
        self.folder = TemporaryDirectory()
        self.real = Manifest(open_engine(Path(self.folder.name) / "catalog.sqlite"))
        self.real.add_stream(Stream("s", 2, {}, None, 0))
        self.model = SimulatedCatalog()
        self.number = 0

    def teardown(self) -> None:
        """Close the database."""
        self.real.close()
        self.folder.cleanup()

    @rule(shard=st.integers(0, 1), expected=st.none() | st.integers(1, 3))
    def take(self, shard: int, expected: int | None) -> None:
        """Take a lease, perhaps only from an expected epoch."""
        assert self.real.take_lease("s", shard, "o", expected) == self.model.take_lease(shard, expected)

    @rule(
        shard=st.integers(0, 1), epoch=st.integers(1, 3),
        keys=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 4)), unique_by=lambda k: k[0], min_size=1),
        digest=st.sampled_from("xxxy"), division=st.sampled_from((0, 0, 0, 1)),
    )  # fmt: skip
    def register(self, shard: int, epoch: int, keys: list[tuple[str, int]], digest: str, division: int) -> None:
        """Register a segment."""
        held = tuple(BatchKey(key, made, digest, 1, division) for key, made in keys)
        self.number += 1
        request = Registration("s", shard, epoch, self.number, f"p{self.number}", 1, "00", held)
        assert self.real.register([request]) == [self.model.register(request)]

    @rule(own=st.integers(0, 1), to=st.sampled_from(((0,), (1,), (1, 0))))
    def redirect(self, own: int, to: tuple[int, ...]) -> None:
        """Redirect a range."""
        redirect = Redirect(own, to)
        assert self.real.redirect("s", redirect) == self.model.redirect(redirect)

    @rule(before=st.integers(0, 4))
    def forget(self, before: int) -> None:
        """Raise the horizon."""
        assert self.real.forget("s", before) == self.model.forget(before)

    @rule(
        shard=st.integers(0, 1), epoch=st.integers(1, 3), positions=st.sets(st.integers(0, 3), min_size=1),
        left=st.booleans(), stale=st.booleans(),
    )  # fmt: skip
    def erase(self, shard: int, epoch: int, positions: set[int], *, left: bool, stale: bool) -> None:
        """Erase from entries, all of them or all but one message, as they are or as they were before."""
        there = {entry.position: entry.path for entry in self.model.entries(shard)}
        self.number += 1
        changes = []
        for p in sorted(positions):
            rest = (f"e{self.number}.{p}", 1, "00", 1) if left else ()
            changes.append(Change(p, "other" if stale else there.get(p, "none"), *rest))
        erasure = Erasure("s", shard, epoch, Span.everything(), tuple(changes))
        assert self.real.erase(erasure) == self.model.erase(erasure)

    @rule(shard=st.integers(0, 1), epoch=st.integers(1, 3), position=st.integers(0, 4))
    def snapshot(self, shard: int, epoch: int, position: int) -> None:
        """Add a snapshot."""
        self.number += 1
        snapshot = SnapshotEntry(position, epoch, f"s{self.number}", 1, "00")
        assert self.real.add_snapshot("s", shard, snapshot) == self.model.add_snapshot(shard, snapshot)

    @rule(shard=st.integers(0, 1), epoch=st.integers(1, 3), first=st.integers(0, 3), count=st.integers(0, 3))
    def merge(self, shard: int, epoch: int, first: int, count: int) -> None:
        """Merge entries."""
        self.number += 1
        merge = Merge("s", shard, epoch, first, first + count, self.number, f"m{self.number}", 1, "00")
        assert self.real.merge(merge) == self.model.merge(merge)

    @invariant()
    def same_journal(self) -> None:
        """Entries, snapshots, known paths, known batches and redirects are the same."""
        known = {key: found for key in "abcd" if (found := self.model.known(key))}
        assert self.real.known("s", "abcd") == known
        assert self.real.redirects("s") == tuple(self.model.redirected)
        for shard in range(2):
            assert self.real.entries("s", shard) == self.model.entries(shard)
            assert self.real.snapshot("s", shard) == self.model.snapshot(shard)
            assert self.real.referenced("s", shard) == self.model.referenced(shard)


TestCatalogsAgree = CatalogsAgree.TestCase
TestCatalogsAgree.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
