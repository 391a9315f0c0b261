"""A redirected range goes somewhere else from then on: nothing is doubled, and nothing that is there is divided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.actors.discovery import discover_journal, known_of
from qbitel.actors.effects import Refusal
from qbitel.actors.ingest import Keyed
from qbitel.actors.kills import run_kills
from qbitel.actors.node import Node
from qbitel.actors.offer import offer_of
from qbitel.actors.routing import divide, shards_of
from qbitel.actors.streams import Streams
from qbitel.cluster.buckets import Span
from qbitel.cluster.load import HOT, hot, taken, takers
from qbitel.cluster.manifest import Stream
from qbitel.cluster.privacy import StreamPrivacy
from qbitel.cluster.redirects import Redirect
from qbitel.cluster.state import State
from qbitel.cluster.verify import verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.orchestrator import Known, ProtocolDiscoveryOrchestrator
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings(sample_messages=128)
CAPTURE = "ab" * 32
SHARDS = 4


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Give an empty state folder."""
    made = State(str(tmp_path), str(tmp_path / "catalog.sqlite"))
    yield made
    made.manifest.close()


def add_stream(state: State, **more: object) -> Stream:
    """Add a stream of four virtual shards."""
    return state.manifest.add_stream(Stream("plant", SHARDS, SETTINGS.model_dump(mode="json"), None, **more))


def node_of(state: State, owner: str = "a", shards: tuple[int, ...] | None = None) -> Node:
    """Take over shards of the stream."""
    return Node(state.storage, state.manifest, state.manifest.stream("plant"), owner, shards=shards)


def messages(count: int, seed: int = 1) -> MessageBatch:
    """Return messages of a length and as many bytes in 40 flows, an hour of them, some without a flow."""
    rng = np.random.default_rng(seed)
    payloads = [b"\xca\xfe" + bytes([n]) + rng.bytes(n) for n in rng.integers(3, 20, count).tolist()]
    flow, ts = rng.integers(0, 41, count).tolist(), np.sort(rng.uniform(0, 3600, count)).tolist()
    return MessageBatch.from_payloads(payloads, flow=flow, number=list(range(count)), ts=ts)


def single(*batches: MessageBatch) -> str:
    """Return the digest that one process without shards gets."""
    statistics = MessageStatistics(SETTINGS)
    for batch in batches:
        statistics.update(batch, CAPTURE)
    return statistics.digest()


def put(node: Node, batch: MessageBatch, key: str) -> None:
    """Add a batch, acknowledged."""
    receipt = node.append(batch, key, capture=CAPTURE)
    node.flush()
    assert receipt.acknowledged


REDIRECTS = st.lists(
    st.builds(
        Redirect, st.integers(0, SHARDS - 1),
        st.lists(st.integers(0, SHARDS - 1), min_size=1, max_size=SHARDS, unique=True).map(tuple),
    ),
    max_size=6,
)  # fmt: skip


@given(REDIRECTS)
def test_flows_of_a_range_go_where_its_newest_redirect_says(redirects: list[Redirect]) -> None:
    """Others stay; a flow is on one shard, and each shard that takes over gets an equal part of the hash."""
    flows = list(range(1, 2001))
    batch = MessageBatch.from_payloads([b"x"] * 4000, flow=flows * 2)
    plain, owner = shards_of(batch, SHARDS, 0), shards_of(batch, SHARDS, 0, redirects)
    assert (owner[:2000] == owner[2000:]).all()
    for own in range(SHARDS):
        to = next((each.to for each in reversed(redirects) if each.range == own), (own,))
        found, counts = np.unique(owner[plain == own], return_counts=True)
        assert set(found.tolist()) == set(to)
        assert counts.min() > counts.sum() / len(to) * 0.7
    assert sorted(n for part in divide(batch, SHARDS, 0, redirects).values() for n in part.view().flow) == sorted(
        flows * 2
    )


def test_redirected_stream_has_the_digest_and_specification_of_another(state: State) -> None:
    """What was there stays, what comes goes by the newest list; a node that takes over reads all of it."""
    add_stream(state)
    batch, node = messages(900), node_of(state)
    put(node, batch.slice(0, 300), "k0")
    before = [entry.messages for entry in (state.manifest.entries("plant", shard)[0] for shard in range(SHARDS))]
    state.manifest.redirect("plant", Redirect(1, (0, 2, 3)))
    put(node, batch.slice(300, 300), "k1")
    state.manifest.redirect("plant", Redirect(1, (1,)))
    state.manifest.redirect("plant", Redirect(0, (3, 1)))
    put(node, batch.slice(600), "k2")
    assert [state.manifest.entries("plant", shard)[0].messages for shard in range(SHARDS)] == before
    assert len(state.manifest.entries("plant", 1)) == 2
    assert node.statistics().digest() == single(batch)
    node.upkeep()
    assert node_of(state, "b").statistics().digest() == single(batch)
    found = verify_stream(state.storage, state.manifest, state.manifest.stream("plant"))
    assert (found.sound, found.digest) == (True, single(batch))
    stream = state.manifest.stream("plant")
    plain = ProtocolDiscoveryOrchestrator(SETTINGS).discover({CAPTURE[:16]: batch}, known=known_of(stream)).spec
    assert discover_journal(state, stream).spec.to_bytes() == plain.to_bytes()


def test_batch_that_was_half_registered_is_completed_as_it_was_divided(state: State) -> None:
    """A sender that died between two parts is followed by one that knows a newer list: nothing lands elsewhere."""
    add_stream(state)
    batch = messages(200)
    half = node_of(state, shards=(0, 1))
    assert half.append(batch, "k", capture=CAPTURE).refused is Refusal.MOVED
    half.flush()
    for shard in range(SHARDS):
        state.manifest.redirect("plant", Redirect(shard, ((shard + 1) % SHARDS,)))
    whole = node_of(state, "b")
    put(whole, batch, "k")
    assert whole.statistics().digest() == single(batch)
    put(whole, batch, "k")
    assert whole.statistics().digest() == single(batch)
    put(whole, messages(50, 2), "l")
    known = state.manifest.known("plant", ["k", "l"])
    assert (known["k"].division, known["l"].division) == (0, 4)
    assert whole.append(messages(200, 3), "k", capture=CAPTURE).refused is Refusal.CONFLICT


def test_key_that_comes_twice_in_a_group_is_divided_alike(state: State) -> None:
    """A redirect between two batches that wait together does not divide the second of one key otherwise."""
    add_stream(state)
    batch, node = messages(200), node_of(state)
    first = node.append(batch, "k", capture=CAPTURE)
    state.manifest.redirect("plant", Redirect(0, (1, 2)))
    second = node.append(batch, "k", capture=CAPTURE)
    node.flush()
    assert first.acknowledged
    assert second.acknowledged
    assert node.statistics().digest() == single(batch)


def test_parts_of_another_division_are_not_taken(state: State) -> None:
    """Holders refuse them for now, whether the batch's first part is registered or waits; the catalog tells which."""
    stream = add_stream(state)
    batch, node = messages(200), node_of(state)
    state.manifest.redirect("plant", Redirect(0, (1, 2)))
    redirects = state.manifest.redirects("plant")
    new = offer_of(stream, batch, "k", capture=CAPTURE, redirects=redirects)
    old = offer_of(stream, batch, "k", capture=CAPTURE)
    waiting = node.append_parts(new.only({1}).bodies())
    assert node.append_parts(old.bodies()).refused is Refusal.DIVIDED
    node.commit()
    # The part that waited or one of the other division was first: there is one division, and it can be completed.
    known = state.manifest.known("plant", ["k"])["k"]
    assert waiting.acknowledged == (known.division == 1)
    whole, other = (new, old) if known.division else (old, new)
    assert node.append_parts(other.bodies()).left == other.parts.keys()
    receipt = node.append_parts(whole.bodies())
    node.commit()
    assert receipt.acknowledged
    assert node.statistics().digest() == single(batch)


def test_erased_messages_of_a_redirected_stream_do_not_come_back(state: State) -> None:
    """Keys outlive the messages: a retry under a newer list adds nothing, wherever it would go."""
    add_stream(state)
    batch, node = messages(300), node_of(state)
    put(node, batch, "k")
    state.manifest.redirect("plant", Redirect(2, (0,)))
    assert node.erase(Span.everything(), range(SHARDS)).messages == 300
    put(node, batch, "k")
    assert node.statistics().total == 0
    put(node, messages(100, 2), "l")
    assert node.statistics().digest() == single(messages(100, 2))


def test_forgotten_key_is_refused_under_any_list(state: State) -> None:
    """Behind the horizon nobody knows how a batch was divided, and nobody needs to."""
    add_stream(state)
    batch, node = messages(100), node_of(state)
    assert node.append(batch, "k", made=5, capture=CAPTURE).refused is None
    node.flush()
    state.manifest.forget("plant", 6)
    state.manifest.redirect("plant", Redirect(0, (1,)))
    receipt = node_of(state, "b").append(batch, "k", made=5, capture=CAPTURE)
    assert not receipt.acknowledged
    late = node_of(state, "c")
    receipt = late.append(batch, "k", made=5, capture=CAPTURE)
    late.flush()
    assert receipt.refused is Refusal.FORGOTTEN
    assert late.statistics().digest() == single(batch)


def test_statistics_only_stream_is_redirected(state: State) -> None:
    """Statistics of a batch's parts are the same in sum, however it is divided."""
    privacy = StreamPrivacy(statistics_only=True, sample_share=0.5).document()
    add_stream(state, privacy=privacy)
    batch, node = messages(300), node_of(state)
    put(node, batch.slice(0, 150), "k0")
    state.manifest.redirect("plant", Redirect(3, (0, 1)))
    put(node, batch.slice(150), "k1")
    found = node.statistics().digest()
    plain = Stream("plain", 1, SETTINGS.model_dump(mode="json"), None, privacy=privacy)
    other = Node(state.storage, state.manifest, state.manifest.add_stream(plain), "a")
    put(other, batch, "k")
    assert other.statistics().digest() == found


def test_stream_that_stays_open_follows_new_redirects(state: State) -> None:
    """What holds a stream for long, as the service does, goes by the list as it is when a batch comes."""
    streams, whole = Streams(state, "service", SHARDS), MessageStatistics()
    for number in range(2):
        sent = messages(100, number)
        whole.update(sent, CAPTURE)
        streams.append("plant", Known("plant"), Keyed(f"k{number}", CAPTURE, sent))
        state.manifest.redirect("plant", Redirect(0, (1,)))
    known = state.manifest.known("plant", ["k0", "k1"])
    assert [known[key].division for key in ("k0", "k1")] == [0, 1]
    assert streams.statistics("plant").digest() == whole.digest()
    streams.close()


def test_hot_shard_is_found_and_others_take_over() -> None:
    """Hot is what takes far more than the average; those that take least, elsewhere first, take over."""
    loads = dict.fromkeys(range(16), 10) | {3: 900, 7: 2, 9: 1}
    assert hot(loads) == {3}
    assert hot({0: HOT, 1: 0, 2: 0, 3: 0}) == set()
    assert hot({}) == set()
    assert takers(loads, {}, 3, 3) == (3, 7, 9)
    placed = {shard: "a" if shard < 8 else "b" for shard in range(16)}
    assert takers(loads, placed, 3, 3) == (3, 8, 9)
    with pytest.raises(InputError, match="17 virtual shards wanted"):
        takers(loads, {}, 3, 17)


def test_load_counts_what_came_lately(state: State) -> None:
    """Segments that touch the window count, and messages that have no time."""
    add_stream(state)
    node = node_of(state, shards=(0,))
    old, new = messages(200), messages(200, 2)
    parts = divide(old, SHARDS, SETTINGS.seed)[0], divide(new, SHARDS, SETTINGS.seed)[0]
    for number, part in enumerate(parts):
        node.append(part, f"k{number}", capture=CAPTURE)
        node.flush()
    entries = state.manifest.entries("plant", 0)
    assert taken(entries, Span.everything()) == sum(map(len, parts))
    late = Span(first=10_000)
    assert taken(entries, late) == 0
    untimed = replace(entries[1].times, untimed=1)
    assert taken([entries[0], replace(entries[1], times=untimed)], late) == len(parts[1])


def test_killed_processes_lose_and_double_nothing_while_ranges_are_redirected(tmp_path: Path) -> None:
    """Real processes are killed while they ingest, and ranges are redirected between; ledger and journal agree."""
    killed, found = run_kills(tmp_path, kills=5, seed=3)
    assert killed == 5
    assert found.sound, str(found)
    there = State(str(tmp_path), str(tmp_path / "catalog.sqlite"))
    assert there.manifest.redirects("kills")
    there.manifest.close()
