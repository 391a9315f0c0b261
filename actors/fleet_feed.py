"""Feeds captures to a fleet: one group of batches is divided and encoded while the one before it becomes durable."""

from __future__ import annotations

from collections.abc import Iterator

from ..cluster.manifest import Stream
from ..discovery.batch import MessageBatch
from ..discovery.errors import InputError
from .feeder import Delivery, RayFeeder
from .fleet import Fleet
from .ingest import GROUP, Ingested, batch_key, cut
from .offer import Offer, offer_of

_AHEAD = 1  # groups that may be on their way while the next is made


class FleetTaker:
    """A stream whose shards a fleet holds; it keeps them when this ends."""

    def __init__(self, fleet: Fleet, stream: Stream) -> None:
        self._fleet = fleet
        self._feeder = RayFeeder(fleet, stream)

    def ingest(self, batch: MessageBatch, capture: str, name: str) -> Ingested:
        """
        Add a capture's messages; return when all of it is acknowledged.

        Raises:
            InputError: a batch was refused for good, or nobody takes it.
        """
        done, waiting = Ingested(), list[tuple[Delivery, dict[str, int]]]()
        for offers, counts in self._groups(batch, capture, name):
            if len(waiting) > _AHEAD:
                self._settle(*waiting.pop(0), done)
            waiting.append((self._feeder.start(offers), counts))
        for delivery, counts in waiting:
            self._settle(delivery, counts, done)
        return done

    def digest(self) -> str:
        """Return the digest of the stream."""
        return self._fleet.statistics(self._feeder.stream)[0].digest()

    def reports(self) -> list[str]:
        """Return what people must know: damaged objects of the journal."""
        stream = self._feeder.stream.name
        return [report for name in self._fleet.names() for report in self._fleet.ask(name, "reports", stream)]

    def close(self) -> None:
        """Leave the shards where they are."""

    def _groups(self, batch: MessageBatch, capture: str, name: str) -> Iterator[tuple[list[Offer], dict[str, int]]]:
        """Yield batches that go out together, and by key how many messages they have."""
        offers: list[Offer] = []
        counts: dict[str, int] = {}
        for start, rows in cut(batch):
            offers.append(offer_of(self._feeder.stream, rows, batch_key(capture, name, start), capture=capture))
            counts[offers[-1].key] = len(rows)
            if len(offers) == GROUP:
                yield offers, counts
                offers, counts = [], {}
        if offers:
            yield offers, counts

    def _settle(self, delivery: Delivery, counts: dict[str, int], done: Ingested) -> None:
        self._feeder.finish(delivery)
        for key, count in counts.items():
            if key in delivery.refused:
                what = f"batch {key} was not taken: {delivery.refused[key].value}"
                raise InputError(what, where=self._feeder.stream.name)
            done.batches += 1
            if delivery.again.get(key, 0) >= len(delivery.offers[key].parts):
                done.known += count
            else:
                done.messages += count
