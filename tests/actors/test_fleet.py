"""Virtual shards on real Ray actors: the same digest and specification at any number, across kills and moves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

from qbitel.actors.bulk import Bulk
from qbitel.actors.discovery import discover_fleet, discover_journal, known_of
from qbitel.actors.feed import StreamFeed
from qbitel.actors.feeder import RayFeeder
from qbitel.actors.fleet import Fleet, FleetSettings
from qbitel.actors.fleet_feed import FleetTaker
from qbitel.actors.holder import HolderLimits
from qbitel.actors.ingest import Keyed
from qbitel.actors.offer import offer_of
from qbitel.cluster.buckets import Span
from qbitel.cluster.manifest import Stream
from qbitel.cluster.redirects import Redirect
from qbitel.cluster.state import State
from qbitel.cluster.verify import verify_stream
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import read_capture
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings(sample_messages=256)
CAPTURE = "ab" * 32


def stream(name: str, shards: int = 64) -> Stream:
    """Return a stream of datagrams."""
    return Stream(name, shards, SETTINGS.model_dump(mode="json"), None, 0)


def messages(count: int) -> MessageBatch:
    """Return messages of two types in 200 flows: a type, a length and as many bytes, a counter."""
    rng = np.random.default_rng(5)
    payloads = []
    for number in range(count):
        body = rng.bytes(int(rng.integers(3, 20)))
        kind = b"\x01" if number % 3 else b"\x02\x00\x07"
        payloads.append(b"\xca\xfe" + kind + bytes([len(body)]) + body + number.to_bytes(4, "big"))
    flow = rng.integers(1, 201, count).tolist()
    return MessageBatch.from_payloads(payloads, flow=flow, number=list(range(count)))


BATCH = messages(900)


@pytest.fixture(scope="module")
def fleet(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Give a fleet without holders yet."""
    folder = tmp_path_factory.mktemp("fleet")
    state = State(str(folder), str(folder / "catalog.sqlite"))
    made = Fleet(state, FleetSettings(cpus=0.1, memory=256 << 20, limits=HolderLimits(memory=64 << 20)))
    yield made
    made.stop()
    assert made.names() == []


def feed(feeder: RayFeeder, part: int) -> None:
    """Add a third of the messages, in four batches."""
    delivery = feeder.start(
        [Keyed(f"k{at}", CAPTURE, BATCH.slice(at, 75)) for at in range(part * 300, part * 300 + 300, 75)]
    )
    feeder.finish(delivery)
    assert not delivery.refused


def digest(count: int) -> str:
    """Return the digest of the first messages in one process without shards."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(BATCH.slice(0, count), CAPTURE)
    return statistics.digest()


def test_killed_holder_comes_back_with_what_it_acknowledged(fleet: Fleet) -> None:
    """A holder that is killed with batches on their way starts again, takes its shards over, and counts each once."""
    fleet.rescale(2)
    feeder = RayFeeder(fleet, stream("killed", 6))
    feed(feeder, 0)
    before = {lease.shard: lease.epoch for lease in fleet.state.manifest.leases("killed")}
    victim = fleet.ask("holder-0", "ready")
    delivery = feeder.start([Keyed(f"k{at}", CAPTURE, BATCH.slice(at, 75)) for at in range(0, 900, 75)])
    os.kill(victim, signal.SIGKILL)
    feeder.finish(delivery)
    assert not delivery.refused
    assert fleet.ask("holder-0", "ready") != victim
    statistics, _ = fleet.statistics(feeder.stream)
    assert statistics.digest() == digest(900)
    after = {lease.shard: lease.epoch for lease in fleet.state.manifest.leases("killed")}
    mine = {shard for shard, name in fleet.state.placements.of("killed").items() if name == "holder-0"}
    assert mine
    assert {shard for shard in after if after[shard] > before[shard]} == mine
    assert verify_stream(fleet.state.storage, fleet.state.manifest, feeder.stream).digest == digest(900)


def test_shards_move_while_messages_come_in(fleet: Fleet) -> None:
    """Batches are on their way while the fleet shrinks, is drained and grows: none is lost, none is counted twice."""
    fleet.rescale(3)
    feeder = RayFeeder(fleet, stream("moving", 8))
    batches = [Keyed(f"k{at}", CAPTURE, BATCH.slice(at, 25)) for at in range(0, 900, 25)]
    deliveries = []
    changes = (lambda: fleet.rescale(2), lambda: fleet.drain("holder-1"), lambda: fleet.rescale(3))
    for part, change in enumerate(changes):
        deliveries += [feeder.start([batch]) for batch in batches[part * 12 : part * 12 + 12]]
        assert change() > 0
        deliveries.append(feeder.start(batches[part * 12 : part * 12 + 3]))  # again
    for delivery in deliveries:
        feeder.finish(delivery)
        assert not delivery.refused
    statistics, positions = fleet.statistics(feeder.stream)
    assert statistics.digest() == digest(900)
    assert sorted(positions) == ["holder-0", "holder-1", "holder-2"]
    found = verify_stream(fleet.state.storage, fleet.state.manifest, feeder.stream)
    assert (found.sound, found.digest) == (True, digest(900))
    fleet.move(feeder.stream, 0, "holder-2")
    assert fleet.state.manifest.leases("moving")[0].owner.startswith("holder-2#")


def test_captures_go_to_the_fleet(fleet: Fleet, example_captures: Path) -> None:
    """A capture that is sent twice is counted once, and the fleet keeps its shards."""
    fleet.rescale(3)
    (protocol,) = protocols_in([read_capture(example_captures / "dns.pcap")])
    for known in (0, 600):
        feed = StreamFeed(fleet.state.manifest, "dns", lambda stream: FleetTaker(fleet, stream), 6)
        assert Bulk(feed).add(str(example_captures / "dns.pcap"), lambda title, size: nullcontext(lambda done: None))
        assert (feed.done.messages, feed.done.known, feed.reports) == (600 - known, known, [])
        expected = MessageStatistics()
        for capture, batch in protocol.batches.items():
            expected.update(batch, capture)
        assert feed.close() == expected.digest()
    assert all(lease.owner for lease in fleet.state.manifest.leases("dns"))


def test_same_digest_and_specification_at_4_2_and_1_actors(fleet: Fleet) -> None:
    """Fed while it shrinks, a fleet of 4, 2 and 1 holders of 64 virtual shards has what one process has."""
    fleet.rescale(4)
    feeder = RayFeeder(fleet, stream("plant"))
    discovered = ProtocolDiscoveryOrchestrator(SETTINGS)
    for part, holders in enumerate((4, 2, 1)):
        fleet.rescale(holders)
        feed(feeder, part)
        placed = fleet.state.placements.of("plant")
        assert sorted(map(list(placed.values()).count, fleet.names())) == [64 // holders] * holders
        known = BATCH.slice(0, 300 * part + 300)
        result = discover_fleet(fleet, feeder.stream)
        assert result.statistics.digest() == digest(len(known))
        single = discovered.discover({CAPTURE[:16]: known}, known=known_of(feeder.stream)).spec
        assert result.spec.to_bytes() == single.to_bytes()
        assert result.spec.id is not None
    assert discover_journal(fleet.state, feeder.stream).spec.to_bytes() == single.to_bytes()


def test_holders_erase_what_they_hold(fleet: Fleet) -> None:
    """Messages of a time leave journal and holders at once; what is fed afterwards is counted."""
    fleet.rescale(2)
    feeder = RayFeeder(fleet, stream("erased", 4))
    timed = MessageBatch.from_payloads([b"old"] * 40, flow=list(range(1, 41)), ts=[100.0] * 40)
    feeder.finish(feeder.start([Keyed("timed", CAPTURE, timed)]))
    feed(feeder, 0)
    removed = fleet.erase(feeder.stream, Span.between(None, 1e6))
    assert removed.messages == 40
    assert fleet.statistics(feeder.stream)[0].digest() == digest(300)
    feed(feeder, 1)
    feeder.finish(feeder.start([Keyed("timed", CAPTURE, timed)]))
    assert fleet.statistics(feeder.stream)[0].digest() == digest(600)
    found = verify_stream(fleet.state.storage, fleet.state.manifest, feeder.stream)
    assert (found.sound, found.digest, found.erased, found.orphans) == (True, digest(600), 40, 0)


def test_redirected_range_goes_to_other_holders(fleet: Fleet) -> None:
    """
    Ranges are redirected while batches are on their way; one that was half registered before is completed as it was.

    Digest and specification are those of one process, and what was there stays where it was.
    """
    fleet.rescale(2)
    manifest, feeder = fleet.state.manifest, RayFeeder(fleet, stream("hot", 4))
    feed(feeder, 0)
    before = [sum(entry.messages for entry in manifest.entries("hot", shard)) for shard in range(4)]
    half = Keyed("k300", CAPTURE, BATCH.slice(300, 75))
    held = [shard for shard, name in fleet.state.placements.of("hot").items() if name == "holder-0"]
    offer = offer_of(feeder.stream, half.rows, half.key, capture=CAPTURE).only(set(held))
    (receipt,) = fleet.ask("holder-0", "write", "hot", [offer])
    assert receipt.acknowledged
    delivery = feeder.start([Keyed("k375", CAPTURE, BATCH.slice(375, 75))])
    for shard, to in ((0, (0, 1, 2, 3)), (1, (3,)), (2, (0, 3))):
        manifest.redirect("hot", Redirect(shard, to))
    feeder.finish(delivery)
    again = feeder.start([half])
    feeder.finish(again)
    assert not again.refused
    feed(feeder, 1)
    feed(feeder, 2)
    after = [sum(entry.messages for entry in manifest.entries("hot", shard)) for shard in range(4)]
    assert all(now >= then for now, then in zip(after, before, strict=True))
    known = manifest.known("hot", ["k0", "k300", "k600"])
    assert [known[key].division for key in ("k0", "k300", "k600")] == [0, 0, 3]
    result = discover_fleet(fleet, feeder.stream)
    single = ProtocolDiscoveryOrchestrator(SETTINGS).discover({CAPTURE[:16]: BATCH}, known=known_of(feeder.stream)).spec
    assert (result.statistics.digest(), result.spec.to_bytes()) == (digest(900), single.to_bytes())
    found = verify_stream(fleet.state.storage, manifest, feeder.stream)
    assert (found.sound, found.digest) == (True, digest(900))


def test_sender_that_knows_fewer_redirects_divides_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sender divided under an old list while it came in under a newer one is divided as that one was."""
    fleet.rescale(2)
    manifest, feeder = fleet.state.manifest, RayFeeder(fleet, stream("stale", 4))
    manifest.redirect("stale", Redirect(0, (1, 2)))
    batch = Keyed("k0", CAPTURE, BATCH.slice(0, 300))
    feeder.finish(feeder.start([batch]))
    with monkeypatch.context() as patch:
        patch.setattr(type(manifest), "redirects", lambda *_: ())
        late = feeder.start([batch])
    assert len(late.offers["k0"].parts) == 4
    feeder.finish(late)
    assert not late.refused
    assert len(late.offers["k0"].parts) == 3
    assert fleet.statistics(feeder.stream)[0].digest() == digest(300)
