"""Feeds captures to a fleet: one group of batches is divided and encoded while the one before it becomes durable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..cluster.manifest import Stream
from .feeder import Delivery, RayFeeder
from .fleet import Fleet
from .ingest import GROUP, Ingested, Keyed

_AHEAD = 1  # groups that may be on their way while the next is made


class FleetTaker:
    """A stream whose shards a fleet holds; it keeps them when this ends."""

    def __init__(self, fleet: Fleet, stream: Stream) -> None:
        self._fleet = fleet
        self._feeder = RayFeeder(fleet, stream)

    def ingest(self, batches: Iterable[Keyed | None]) -> Ingested:
        """
        Add batches; return when all are acknowledged, or refused for good.

        Raises:
            InputError: nobody takes a batch.
        """
        done, waiting = Ingested(), list[tuple[Delivery, dict[str, int]]]()
        for group, counts in self._groups(batches):
            if len(waiting) > _AHEAD:
                self._settle(*waiting.pop(0), done)
            waiting.append((self._feeder.start(group), counts))
            while len(group) < GROUP and waiting:  # a source that is slow shall know what became of it
                self._settle(*waiting.pop(0), done)
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

    @staticmethod
    def _groups(batches: Iterable[Keyed | None]) -> Iterator[tuple[list[Keyed], dict[str, int]]]:
        """Yield batches that go out together, and by key how many messages they have."""
        group: list[Keyed] = []
        counts: dict[str, int] = {}
        for each in batches:
            if each is not None:
                group.append(each)
                counts[each.key] = len(each.rows)
            if len(group) == GROUP or (each is None and group):
                yield group, counts
                group, counts = [], {}
        if group:
            yield group, counts

    def _settle(self, delivery: Delivery, counts: dict[str, int], done: Ingested) -> None:
        self._feeder.finish(delivery)
        for key, count in counts.items():
            again = delivery.again.get(key, 0) >= len(delivery.offers[key].parts)
            done.answered(key, count, delivery.refused.get(key), again=again)
