"""Virtual shards that move between holders while they are fed; holders of this process, a real journal and catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.actors.effects import Refusal
from qbitel.actors.holder import HolderLimits, ShardHolder, merged
from qbitel.actors.limits import ShardLimits
from qbitel.actors.moving import balance, drain, move, settle
from qbitel.actors.offer import Offer, offer_of
from qbitel.cluster.ledger import Ledger
from qbitel.cluster.manifest import Stream
from qbitel.cluster.placements import spread
from qbitel.cluster.redirects import Redirect
from qbitel.cluster.state import State
from qbitel.cluster.verify import journal_rows, verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings(sample_messages=32)
SHARDS = 5
LIMITS = HolderLimits(memory=64 << 20, shard=ShardLimits(snapshot_bytes=20_000, merge_below=10_000, merge_count=3))


class HoldersHere:
    """Holders as objects of this process; to kill one is to forget it, or to leave it as a stale twin."""

    def __init__(self, state: State, names: list[str]) -> None:
        self.state = state
        self.there = {name: ShardHolder(state, name, LIMITS) for name in names}
        self.stale: list[ShardHolder] = []

    def names(self) -> list[str]:
        """Return the names."""
        return sorted(self.there)

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method."""
        return getattr(self.there[name], method)(*arguments)

    def restart(self, name: str) -> None:
        """Start another process of that name; the first one lives on."""
        self.stale.append(self.there[name])
        self.there[name] = ShardHolder(self.state, name, LIMITS)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Give an empty state folder."""
    made = State(str(tmp_path), str(tmp_path / "catalog.sqlite"))
    yield made
    made.manifest.close()


def made(number: int) -> MessageBatch:
    """Return a batch of 20 messages in 8 flows."""
    rng = np.random.default_rng(number)
    payloads = [number.to_bytes(2, "big") + bytes([n]) + rng.bytes(8) for n in range(20)]
    return MessageBatch.from_payloads(payloads, flow=rng.integers(1, 9, 20).tolist())


def add_stream(state: State, name: str = "plant") -> Stream:
    """Add a stream of five virtual shards."""
    return state.manifest.add_stream(Stream(name, SHARDS, SETTINGS.model_dump(mode="json"), None, 0))


def send(holders: HoldersHere, stream: Stream, number: int, division: int = 0) -> bool:
    """
    Offer what is left of a batch to whoever its shards are placed with, four times; say whether all was taken.

    It is divided under so many redirects, or under those of its first part once a holder says that there is one.
    """
    offer = offered(holders.state, stream, number, division)
    left = set(offer.parts)
    for _ in range(4):
        placed, divided = settle(holders.state, holders, stream), False
        for name in sorted({placed[shard] for shard in left}):
            part = offer.only({shard for shard in left if placed[shard] == name})
            (receipt,) = holders.ask(name, "write", stream.name, [part])
            left -= part.parts.keys() - receipt.left
            divided = divided or receipt.refused is Refusal.DIVIDED
        if divided:
            known = holders.state.manifest.known(stream.name, [offer.key])
            offer = offered(holders.state, stream, number, known[offer.key].division)
            left = set(offer.parts)
    return not left


def offered(state: State, stream: Stream, number: int, division: int) -> Offer:
    """Divide a batch under the first redirects."""
    return offer_of(stream, made(number), f"k{number}", redirects=state.manifest.redirects(stream.name)[:division])


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["restart", "drain", "stale"]), st.integers(0, 2)),
        st.tuples(st.just("move"), st.integers(0, 3 * SHARDS - 1)),
        st.tuples(st.just("rescale"), st.integers(1, 3)),
        st.tuples(st.just("redirect"), st.integers(0, 3 * SHARDS - 1)),
    ),
    min_size=4,
    max_size=14,
)


@settings(max_examples=6)
@given(OPERATIONS)
def test_nothing_is_lost_or_doubled_while_shards_move(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int]]
) -> None:
    """Random schedules of sending, killing, draining, moving, rescaling, redirecting: ledger, journal, memory agree."""
    folder = tmp_path_factory.mktemp("moving")
    state = State(str(folder), str(folder / "catalog.sqlite"))
    stream, ledger, single = add_stream(state), Ledger(), MessageStatistics(SETTINGS)
    holders = HoldersHere(state, ["a", "b", "c"])
    sent: set[int] = set()
    for turn, (what, number) in enumerate(operations):
        name = holders.names()[number % 3]
        if what in ("send", "stale"):
            known = len(state.manifest.redirects(stream.name))
            offer = offered(state, stream, number, turn % (known + 1))  # the sender may know fewer than there are
            ledger.send(offer.key, [payload.hex() for payload in made(number).payloads()])
            if number not in sent:
                single.update(made(number))
            sent.add(number)
            if what == "stale" and holders.stale:
                holders.stale[-1].write(stream.name, [offer])
            assert send(holders, stream, number, known)
            ledger.acknowledge(offer.key)
        elif what == "restart":
            holders.restart(name)
        elif what == "drain":
            drain(state, holders, name)
        elif what == "move":
            move(state, holders, stream, {number % SHARDS: holders.names()[number // SHARDS]})
        elif what == "redirect":
            targets = (number % SHARDS, (number + 1 + number // SHARDS) % SHARDS)
            state.manifest.redirect(stream.name, Redirect((number * 2) % SHARDS, targets))
        elif what == "rescale":
            balance(state, holders, holders.names()[:number])
    settle(state, holders, stream)
    held = [holders.ask(name, "statistics", stream.name) for name in holders.names()]
    found = verify_stream(state.storage, state.manifest, stream)
    verdict = ledger.judge((key, payload.hex()) for key, payload in journal_rows(state.storage, state.manifest, stream))
    state.manifest.close()
    assert sorted(shard for each in held for shard in each.positions) == list(range(SHARDS))
    assert found.sound
    assert verdict.sound
    assert verdict.acknowledged == 20 * len(sent)
    assert merged(held, MessageStatistics(SETTINGS)).digest() == found.digest == single.digest()


def test_moved_shard_starts_from_a_snapshot(state: State) -> None:
    """The old holder leaves a snapshot of all it had and holds nothing; the new one goes on after it."""
    stream, holders = add_stream(state), HoldersHere(state, ["a", "b"])
    settle(state, holders, stream)
    assert send(holders, stream, 1)
    seen: list[tuple[str, int, str]] = []
    assert drain(state, holders, "a", lambda *each: seen.append(each)) == len(seen) > 0
    for name, shard, to in seen:
        assert (name, to) == ("plant", "b")
        snapshot, entries = state.manifest.snapshot("plant", shard), state.manifest.entries("plant", shard)
        assert (snapshot.position if snapshot else -1) == (entries[-1].position if entries else -1)
    assert holders.ask("a", "statistics", "plant").positions == {}
    assert len(holders.ask("b", "statistics", "plant").positions) == SHARDS


def test_left_over_twin_takes_nothing_back(state: State) -> None:
    """A process whose name another one bears finds its shards taken, says so, and leaves them there."""
    stream, holders = add_stream(state), HoldersHere(state, ["a"])
    settle(state, holders, stream)
    assert send(holders, stream, 1)
    holders.restart("a")
    assert len(holders.ask("a", "hold", "plant")) == SHARDS
    epochs = [lease.epoch for lease in state.manifest.leases("plant")]
    offer = offer_of(stream, made(2), "k2")
    for _ in range(2):
        (receipt,) = holders.stale[0].write("plant", [offer])
        assert receipt.left == offer.parts.keys()
    assert [lease.epoch for lease in state.manifest.leases("plant")] == epochs
    assert holders.stale[0].hold("plant") == {}


def test_call_beyond_the_limit_is_refused(state: State) -> None:
    """A holder says "busy" to more bytes in a call than it may take, and takes them one by one."""
    stream = add_stream(state)
    state.placements.place("plant", dict.fromkeys(range(SHARDS), "a"))
    holder = ShardHolder(state, "a", HolderLimits(call_bytes=1))
    offers = [offer_of(stream, made(number), f"k{number}") for number in range(2)]
    assert all(receipt.left for receipt in holder.write("plant", offers))
    assert not any(holder.write("plant", [offer])[0].left for offer in offers)


@given(
    placed=st.dictionaries(st.integers(0, 30), st.sampled_from("abcdx"), max_size=31),
    holders=st.sets(st.sampled_from("abcd"), min_size=1),
)
def test_shards_are_spread_with_the_fewest_moves(placed: dict[int, str], holders: set[str]) -> None:
    """Afterwards no holder has two shards more than another, and as many stay as can."""
    moves = spread(range(31), placed, holders)
    after = [{**placed, **moves}[shard] for shard in range(31)]
    counts = sorted(after.count(name) for name in holders)
    assert sum(counts) == 31
    assert counts[-1] - counts[0] <= 1
    before = sorted((list(placed.values()).count(name) for name in holders), reverse=True)
    share, more = divmod(31, len(holders))
    kept = sum(min(count, share + (n < more)) for n, count in enumerate(before))
    assert len(moves) == 31 - kept
