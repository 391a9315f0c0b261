"""A stream that keeps statistics only has all counts, a small sample, and nothing else of its messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qbitel.actors.discovery import discover_journal
from qbitel.actors.erasure import erase, eraser_here
from qbitel.actors.limits import ShardLimits
from qbitel.actors.node import Node
from qbitel.actors.offer import offer_of
from qbitel.cluster.buckets import BUCKET_S, Span
from qbitel.cluster.journal import read_records
from qbitel.cluster.manifest import Stream
from qbitel.cluster.privacy import StreamPrivacy
from qbitel.cluster.state import State
from qbitel.cluster.verify import verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics
from qbitel.evidence_text import claim_lines

SETTINGS = DiscoverySettings(sample_messages=256)
MERGING = ShardLimits(merge_count=3)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Give an empty state folder."""
    made = State(str(tmp_path / "state"), str(tmp_path / "state" / "catalog.sqlite"))
    yield made
    made.manifest.close()


def made_stream(state: State, shards: int, share: float = 0.05) -> Stream:
    """Return a stream that keeps statistics only."""
    privacy = StreamPrivacy(statistics_only=True, sample_share=share).document()
    settings = SETTINGS.model_dump(mode="json")
    return state.manifest.add_stream(Stream(f"s{shards}", shards, settings, None, privacy=privacy))


def messages(count: int, bucket: int = 3, seed: int = 1) -> MessageBatch:
    """Return distinct messages of a simple protocol in 40 flows, all of one bucket."""
    rng = np.random.default_rng(seed)
    bodies = [rng.bytes(int(rng.integers(2, 12))) for _ in range(count)]
    payloads = [b"\x51\x42\x00" + bytes([1 + len(body) % 2, len(body)]) + body for body in bodies]
    ts = (bucket * BUCKET_S + rng.uniform(0, BUCKET_S - 1, count)).tolist()
    return MessageBatch.from_payloads(payloads, flow=rng.integers(1, 40, count).tolist(), ts=ts)


def feed(node: Node, batch: MessageBatch, parts: int) -> None:
    """Add a batch in parts, each acknowledged."""
    size = -(-len(batch) // parts)
    for start in range(0, len(batch), size):
        receipt = node.append(batch.slice(start, size), f"k{start}")
        node.flush()
        assert receipt.acknowledged


def test_counts_are_of_everything_and_the_sample_is_small(state: State) -> None:
    """Histograms and lengths are those of all messages; of the payloads only about the stated share is kept."""
    batch, stream = messages(1000), made_stream(state, 2)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, batch, 3)
    whole = MessageStatistics(SETTINGS)
    whole.update(batch)
    found = node.statistics()
    for name in ("bytes", "pairs", "bits", "lengths", "directions"):
        mine, theirs = getattr(found, name).to_arrays(), getattr(whole, name).to_arrays()
        assert all(np.array_equal(mine[key], theirs[key]) for key in theirs)
    kept = len(found.messages.payloads)
    assert 15 < kept < 120
    for shard in range(2):
        for entry in state.manifest.entries(stream.name, shard):
            assert all(len(record.batch) == 0 for record in read_records(state.storage, entry))


def test_digest_does_not_depend_on_shards_order_and_merging(state: State) -> None:
    """1 and 3 shards, other batches, other order, merged segments, the journal read offline: one digest."""
    batch = messages(400)
    digests = set()
    for shards in (1, 3):
        stream = made_stream(state, shards)
        node = Node(state.storage, state.manifest, stream, "a", limits=MERGING)
        feed(node, batch.take(np.random.default_rng(shards).permutation(400)), 2 + shards)
        for _ in range(2):
            node.upkeep()
            digests.add(node.statistics().digest())
        node.close()
        found = verify_stream(state.storage, state.manifest, stream)
        assert found.sound, found.problems
        assert found.messages == 400
        digests.add(found.digest)
    assert len(digests) == 1
    assert len(state.manifest.entries("s1", 0)) == 1


def test_buckets_are_erased_whole(state: State) -> None:
    """Without messages to look at, erasing goes by the bucket that was counted."""
    stream = made_stream(state, 2)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, MessageBatch.concatenate([messages(60, 3), messages(60, 8, seed=2)]), 1)
    node.close()
    done = erase(state, stream, Span(end=5), eraser_here(state, "e", pytest.fail))
    assert (done.messages, bool(done.rewritten)) == (60, True)
    other = made_stream(state, 1)
    fresh = Node(state.storage, state.manifest, other, "a")
    feed(fresh, messages(60, 8, seed=2), 1)
    assert verify_stream(state.storage, state.manifest, stream).digest == fresh.statistics().digest()


def test_specification_is_marked_unconfirmed(state: State) -> None:
    """The document says so, so does a note, and the evidence names the sample in place of all messages."""
    stream = made_stream(state, 1, share=0.3)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, messages(600), 1)
    node.close()
    result = discover_journal(state, stream)
    assert result.spec.unconfirmed
    assert b'"unconfirmed":true' in result.spec.to_bytes()
    assert any(note.startswith("unconfirmed: ") for note in result.notes)
    lines = "\n".join(line for claim in result.spec.evidence for line in claim_lines(result.spec, claim))
    assert "  the sample    " in lines
    assert "  all messages  1" not in lines


def test_too_small_a_sample_is_refused(state: State) -> None:
    """Where the hash drew no message there is nothing to propose from, and that is said."""
    stream = made_stream(state, 1, share=1e-9)
    node = Node(state.storage, state.manifest, stream, "a")
    feed(node, messages(20), 1)
    with pytest.raises(InputError, match="none of them in the sample"):
        discover_journal(state, stream)


def test_sender_divides_off_what_is_counted(state: State) -> None:
    """A batch that is sent to holders carries statistics, too; no message leaves the sender but the sample's."""
    stream = made_stream(state, 2)
    offer = offer_of(stream, messages(100), "k")
    records = [body.record for body in offer.bodies().values()]
    assert [len(record.batch) for record in records] == [0, 0]
    assert sum(record.key.messages for record in records) == 100
