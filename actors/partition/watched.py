"""A catalog that notes what it fences off, and whose guards can be taken away, to see that the campaign misses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection, Engine

from ...cluster.database import transaction
from ...cluster.entries import KnownBatch, Outcome, Registration, Superseded
from ...cluster.manifest import Manifest
from ...cluster.registering import Registering
from ...cluster.state import State
from ..simulation.world import Guards

FENCED = Path("/tmp/fenced")  # of the host: one line a segment


class WatchedManifest(Manifest):
    """A manifest on PostgreSQL that notes on its host each segment of a former holder that it refuses."""

    def __init__(self, engine: Engine, guards: Guards) -> None:
        super().__init__(engine)
        self._guards = guards

    def take_lease(self, stream: str, shard: int, owner: str, expected: int | None = None) -> int | None:
        """Raise the epoch, without its guard whatever it is."""
        return super().take_lease(stream, shard, owner, expected if self._guards.compare_epoch else None)

    def register(self, requests: Sequence[Registration]) -> list[Outcome]:
        """Decide on segments, and note those of former holders."""
        outcomes = super().register(requests)
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Superseded):
                with FENCED.open("a") as file:
                    file.write(f"{request.path}\n")
        return outcomes

    def known(self, stream: str, keys: Iterable[str]) -> dict[str, KnownBatch]:
        """Return which keys were registered; without their guard, none."""
        return super().known(stream, keys) if self._guards.unique_keys else {}

    def open_unguarded(self) -> None:
        """Let the database take a key any number of times, where the guard of keys was taken away."""
        if not self._guards.unique_keys:
            with transaction(self._engine) as connection:
                connection.exec_driver_sql("ALTER TABLE batch_keys DROP CONSTRAINT batch_keys_pkey")

    def _holds(self, epoch: int, claimed: int) -> bool:  # type: ignore[override]
        return epoch == claimed or not self._guards.compare_epoch

    def _standing(self, connection: Connection, requests: Sequence[Registration]) -> Registering:
        standing = super()._standing(connection, requests)
        if not self._guards.unique_keys:
            standing.here.clear()
        return standing


@dataclass(frozen=True)
class WatchedState(State):
    """The addresses of parts whose manifest is a ``WatchedManifest``."""

    guards: Guards = field(default_factory=Guards)

    @cached_property
    def manifest(self) -> WatchedManifest:
        """What counts of them."""
        return WatchedManifest(self.engine, self.guards)

    def __reduce__(self) -> tuple[type[State], tuple[str, str, Guards]]:  # type: ignore[override]
        return WatchedState, (self.uri, self.catalog, self.guards)
