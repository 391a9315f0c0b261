"""A node keeps what it acknowledged, counts it once, and gives the same digest over any number of shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.actors.effects import Refusal
from qbitel.actors.kills import run_kills
from qbitel.actors.limits import ShardLimits
from qbitel.actors.node import Node
from qbitel.actors.routing import divide, shards_of
from qbitel.cluster.database import open_engine
from qbitel.cluster.manifest import Manifest, Stream
from qbitel.cluster.storage import Storage
from qbitel.cluster.verify import verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings(sample_messages=64)
CAPTURE = "ab" * 32


class Place:
    """A state folder, and nodes on it."""

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(folder)
        self.manifest = Manifest(open_engine(folder / "catalog.sqlite", durable=True))

    def node(self, shards: int = 4, owner: str = "a", limits: ShardLimits | None = None) -> Node:
        """Take over all shards of the stream."""
        settings = SETTINGS.model_dump(mode="json")
        stream = self.manifest.add_stream(Stream("plant", shards, settings, None, 0))
        return Node(self.storage, self.manifest, stream, owner, limits=limits)

    def stream(self) -> Stream:
        """Return the stream."""
        return self.manifest.stream("plant")

    def objects(self) -> list[Path]:
        """Return the files of all objects."""
        return sorted(path for path in Path(self.storage.uri).glob("streams/*/*/*/*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give an empty state folder."""
    made = Place(tmp_path)
    yield made
    made.manifest.close()


def messages(count: int, seed: int = 1) -> MessageBatch:
    """Return random messages in 30 flows, some without a flow."""
    rng = np.random.default_rng(seed)
    payloads = [rng.bytes(int(rng.integers(1, 30))) for _ in range(count)]
    return MessageBatch.from_payloads(payloads, flow=rng.integers(0, 30, count).tolist(), number=list(range(count)))


def single(batch: MessageBatch) -> str:
    """Return the digest that one process without shards gets."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(batch, CAPTURE)
    return statistics.digest()


def feed(node: Node, batch: MessageBatch, parts: int = 5) -> None:
    """Add a batch in parts, each acknowledged."""
    size = -(-len(batch) // parts)
    for start in range(0, len(batch), size):
        receipt = node.append(batch.slice(start, size), f"k{start}", capture=CAPTURE)
        node.flush()
        assert receipt.acknowledged


@given(st.integers(1, 70), st.permutations(range(8)), st.integers(0, 50))
def test_messages_are_divided_by_flow(shards: int, order: list[int], seed: int) -> None:
    """Every message is on one shard, those of a flow are on the same, and the order they came in does not matter."""
    batch = messages(8, seed)
    owner = shards_of(batch, shards, 0)
    assert list(shards_of(batch.take(np.array(order)), shards, 0)) == list(owner[order])
    parts = divide(batch, shards, 0)
    assert sorted(n for part in parts.values() for n in part.view().number) == list(range(8))
    for shard, part in parts.items():
        assert set(shards_of(part, shards, 0)) == {shard}
    flows = batch.view().flow
    assert all(len(set(owner[flows == flow])) == 1 for flow in set(flows.tolist()) - {0})


@pytest.mark.parametrize("shards", [1, 2, 64])
def test_same_digest_over_any_number_of_shards(place: Place, shards: int) -> None:
    """One process, 1, 2 or 64 shards in another order, and the journal read offline: one digest."""
    batch = messages(200)
    shuffled = batch.take(np.random.default_rng(shards).permutation(200))
    node = place.node(shards)
    feed(node, shuffled)
    assert node.statistics().digest() == single(batch)
    node.close()
    found = verify_stream(place.storage, place.manifest, place.stream())
    assert found.sound
    assert (found.digest, found.messages, found.orphans) == (single(batch), 200, 0)


def test_what_was_acknowledged_outlives_the_node(place: Place) -> None:
    """A node that is simply gone loses nothing: the next one reads journal and snapshots."""
    batch = messages(120)
    first = place.node()
    feed(first, batch.slice(0, 60))
    first.upkeep()
    receipt = first.append(batch.slice(60), "rest", capture=CAPTURE)
    first.flush()
    assert receipt.acknowledged
    second = place.node(owner="b")
    assert second.statistics().digest() == single(batch)


def test_batch_is_counted_once(place: Place) -> None:
    """The same key again is acknowledged and not counted, by another node too; other content is refused."""
    batch = messages(40)
    node = place.node()
    feed(node, batch, parts=1)
    for again in (node, place.node(owner="b")):
        receipt = again.append(batch, "k0", capture=CAPTURE)
        again.flush()
        assert receipt.acknowledged
        assert receipt.fresh == 0
        assert again.append(messages(40, seed=2), "k0", capture=CAPTURE).refused is Refusal.CONFLICT
        assert again.statistics().digest() == single(batch)


def test_batch_that_was_half_registered_is_completed(place: Place) -> None:
    """Where only some shards took their part, the retry adds the others."""
    batch = messages(80)
    settings = SETTINGS.model_dump(mode="json")
    stream = place.manifest.add_stream(Stream("plant", 4, settings, None, 0))
    half = Node(place.storage, place.manifest, stream, "a", shards=(0, 1))
    receipt = half.append(batch, "k", capture=CAPTURE)
    half.flush()
    assert receipt.refused is Refusal.MOVED
    whole = place.node(owner="b")
    receipt = whole.append(batch, "k", capture=CAPTURE)
    whole.flush()
    assert receipt.acknowledged
    assert (receipt.again, receipt.fresh) == (2, 2)
    assert whole.statistics().digest() == single(batch)


def test_stale_node_acknowledges_nothing(place: Place) -> None:
    """After another node has taken the shards over, the first one writes orphans, says so, and they are swept."""
    batch = messages(60)
    stale = place.node()
    fresh = place.node(owner="b")
    receipt = stale.append(batch, "k", capture=CAPTURE)
    with pytest.raises(InputError, match="another process"):
        stale.flush()
    assert not receipt.acknowledged
    assert verify_stream(place.storage, place.manifest, place.stream()).orphans == 4
    feed(fresh, batch)
    third = place.node(owner="c")
    assert verify_stream(place.storage, place.manifest, place.stream()).orphans == 0
    assert third.statistics().digest() == single(batch)


def test_small_segments_are_merged(place: Place) -> None:
    """Merging leaves fewer segments, the same messages, and a journal that a node starts from."""
    batch = messages(200)
    node = place.node(2)
    feed(node, batch, parts=8)
    assert len(place.objects()) == 16
    node.upkeep()
    assert len(place.objects()) == 4  # a merged segment and a snapshot each
    found = verify_stream(place.storage, place.manifest, place.stream())
    assert found.sound
    assert (found.digest, found.orphans) == (single(batch), 0)
    assert place.node(2, owner="b").statistics().digest() == single(batch)


def test_damaged_segment_is_reported_and_the_rest_is_read(place: Place) -> None:
    """A flipped byte is found by verify and by the next node, which counts the other segments."""
    batch = messages(100)
    node = place.node(1)
    feed(node, batch)
    broken = place.objects()[2]
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    found = verify_stream(place.storage, place.manifest, place.stream())
    assert not found.sound
    assert str(broken) in found.problems[0]
    second = place.node(1, owner="b")
    assert [report for report in second.reports if str(broken) in report]
    assert second.statistics().total == 80
    assert broken.exists()
    assert [bool(entry.damaged) for entry in place.manifest.entries("plant", 0)] == [False, False, True, False, False]


def test_damaged_snapshot_is_counted_again_from_the_journal(place: Place) -> None:
    """A snapshot that cannot be read costs time and nothing else; verify names it."""
    batch = messages(100)
    node = place.node(1)
    feed(node, batch)
    node.close()
    (snapshot,) = (path for path in place.objects() if path.suffix == ".snapshot")
    snapshot.write_bytes(b"no")
    assert not verify_stream(place.storage, place.manifest, place.stream()).sound
    assert place.node(1, owner="b").statistics().digest() == single(batch)


def test_full_node_says_busy_until_it_is_flushed(place: Place) -> None:
    """Beyond the cap a batch is refused, and taken after a flush."""
    node = place.node(1, limits=ShardLimits(waiting_bytes=3000))
    receipts = [node.append(messages(20, seed), f"k{seed}") for seed in range(3)]
    assert receipts[-1].refused is Refusal.BUSY
    node.flush()
    receipt = node.append(messages(20, 2), "k2")
    node.flush()
    assert receipt.acknowledged


def test_killed_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    """Real processes are killed while they ingest; the sender's ledger holds against the journal on the disk."""
    killed, found = run_kills(tmp_path, kills=5, seed=1)
    assert found.sound, str(found)
    assert killed == 5
    assert found.acknowledged > 0


def test_evenly_fed_shards_come_due_at_different_times() -> None:
    """Each shard has limits of its own, between a half of those given and all of them."""
    limits = [ShardLimits(merge_count=32).of(shard, 64) for shard in range(64)]
    assert {each.merge_count for each in limits} == set(range(16, 33))
    assert len({each.snapshot_bytes for each in limits}) == 64
    assert max(each.snapshot_bytes for each in limits) == ShardLimits().snapshot_bytes
    assert ShardLimits(merge_count=2).of(63, 64).merge_count == 2


def test_memory_stays_below_its_cap(place: Place) -> None:
    """Where the cap is less than one shard takes, all are packed or on the disk; the digest is that of one process."""
    cap, batch = 1 << 20, messages(3000)
    node = place.node(12)
    node.limit(cap)
    for round_, start in enumerate(range(0, 3000, 500)):
        receipt = node.append(batch.slice(start, 500), f"k{start}", capture=CAPTURE)
        node.flush()
        assert receipt.acknowledged
        if round_ % 2:
            node.upkeep()  # counts every shard for its snapshot
        node.statistics()
        assert node.memory <= cap
        assert node.spilled > 0
    assert node.statistics().digest() == single(batch)
    node.close()
    again = Node(place.storage, place.manifest, place.stream(), "b", memory=cap)
    assert again.memory <= cap
    assert again.statistics().digest() == single(batch)


def test_what_waits_is_bounded_for_all_shards_together(place: Place) -> None:
    """Batches beyond a quarter of the memory are refused until the others are registered; one alone is always taken."""
    node = place.node(8)
    node.limit(64 << 10)
    batch = messages(400)
    first = node.append(batch, "k0", capture=CAPTURE)
    assert first.refused is None
    second = node.append(messages(400, seed=2), "k1", capture=CAPTURE)
    assert second.refused is Refusal.BUSY
    node.flush()
    assert first.acknowledged
    assert node.append(messages(400, seed=2), "k1", capture=CAPTURE).refused is None
    node.flush()
