"""
The fleet: named, detached Ray actors, each a holder of virtual shards, that outlive the process which started them.

Where a shard shall be is a row of the catalog, written before anything is moved: what was interrupted is done again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, PendingCallsLimitExceeded, RayActorError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ..cluster.buckets import ALL_TIME, Span
from ..cluster.database import is_server
from ..cluster.manifest import Stream
from ..cluster.ray_connection import RayConnection
from ..cluster.ray_start import need_cores
from ..cluster.state import State
from ..discovery.confirmation import Confirmation
from ..discovery.errors import InputError, LimitError, NotFoundError
from ..discovery.settings import DiscoverySettings
from ..discovery.spec import ProtocolSpec
from ..discovery.statistics import MessageStatistics
from .effects import NOTHING, Removed
from .holder import Held, HolderLimits, ShardHolder, merged
from .moving import Moved, balance, drain, move, settle

NAMESPACE = "qbitel"


@dataclass(frozen=True)
class FleetSettings:
    """
    What a holder is given.

    Attributes:
        cpus: share of a core that Ray reserves for each. memory: bytes that it reserves: those of ``limits`` and what
            the process itself takes.
        pending: calls that may wait in an actor's queue; a sender of more is told so at once.
        patience_s: how long an actor may take to start, to start again, or to answer.
    """

    cpus: float = 0.25
    memory: int = 768 << 20
    pending: int = 64
    patience_s: float = 120.0
    limits: HolderLimits = field(default_factory=HolderLimits)


class Fleet:
    """
    The holders of one state on the Ray that this process is connected to.

    Args:
        connection: that one, where feeders shall make it anew when it is lost.

    Raises:
        InputError: the catalog is a file of this machine, and the Ray has several.
    """

    def __init__(
        self, state: State, settings: FleetSettings | None = None, connection: RayConnection | None = None
    ) -> None:
        self.state, self.settings, self.connection = state, settings or FleetSettings(), connection
        self._prefix = f"shards-{state.id}:"
        machines = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
        if len(machines) > 1 and not is_server(state.catalog):
            hint = "a catalog that several machines reach is on a server: QBITEL_CATALOG=postgresql://…"
            what = f"an SQLite catalog, and a Ray of {len(machines)} machines"
            raise InputError(what, where=state.catalog, hint=hint)

    def names(self) -> list[str]:
        """Return the names of the holders, in order."""
        there = ray.util.list_named_actors(all_namespaces=True)
        names = [each["name"] for each in there if each["namespace"] == NAMESPACE]
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def handle(self, name: str) -> Any:
        """
        Return the actor of a holder.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return ray.get_actor(self._prefix + name, NAMESPACE)
        except ValueError:
            raise NotFoundError("no such holder", where=name, hint="qbitel shards rescale starts them") from None

    def ask(self, name: str, method: str, *arguments: Any, patience_s: float | None = None) -> Any:
        """
        Return a holder's answer; what a killed holder did not answer is asked again when it is back.

        Args:
            patience_s: how long that may take; that of the settings where None.

        Raises:
            InputError: no answer in time. NotFoundError: there is no such holder. Any error of the holder.
        """
        call = getattr(self.handle(name), method).options(max_task_retries=-1)
        with errors_of(name):
            return ray.get(call.remote(*arguments), timeout=patience_s or self.settings.patience_s)

    def statistics(self, stream: Stream, span: Span = ALL_TIME) -> tuple[MessageStatistics, dict[str, dict[int, int]]]:
        """
        Return the statistics of a part of a stream's time, and up to which position of each shard they go, by holder.

        Raises:
            InputError: a shard is with nobody, or with another than the catalog says.
        """
        names = sorted(set(settle(self.state, self, stream).values()))
        held: list[Held] = self._ask_all(dict.fromkeys(names, ("statistics", stream.name, span)))
        epochs = {lease.shard: lease.epoch for lease in self.state.manifest.leases(stream.name)}
        found = {shard: epoch for each in held for shard, (epoch, _) in each.positions.items()}
        if found != epochs or len(found) != stream.shards or sum(len(h.positions) for h in held) != stream.shards:
            raise InputError("shards were moved while they were read", where=stream.name, hint="try again")
        positions = {
            name: {shard: position for shard, (_, position) in each.positions.items()}
            for name, each in zip(names, held, strict=True)
        }
        return merged(held, MessageStatistics(DiscoverySettings.model_validate(stream.settings))), positions

    def confirm(
        self, stream: Stream, spec: ProtocolSpec, upto: dict[str, dict[int, int]], span: Span = ALL_TIME
    ) -> Confirmation:
        """Return what the journals of a stream, as far as ``statistics`` read them, say of a specification."""
        document = spec.to_bytes()
        asked = {name: ("confirm", stream.name, document, positions, span) for name, positions in upto.items()}
        total, *others = self._ask_all(asked)
        for each in others:
            total = total.merge(each)
        found: Confirmation = total
        return found

    def _ask_all(self, asked: dict[str, tuple[Any, ...]]) -> list[Any]:
        """Return the answers of several holders, which work side by side."""
        with errors_of(", ".join(asked)):
            calls = [
                getattr(self.handle(name), method).options(max_task_retries=-1).remote(*arguments)
                for name, (method, *arguments) in asked.items()
            ]
            answers: list[Any] = ray.get(calls, timeout=self.settings.patience_s)
            return answers

    def erase(self, stream: Stream, span: Span) -> Removed:
        """
        Take messages out of a stream by those who hold its shards.

        Raises:
            InputError: a shard is with nobody, or storage or catalog failed; doing it again does the rest.
        """
        names = sorted(set(settle(self.state, self, stream).values()))
        answers: list[tuple[Removed, set[int]]] = self._ask_all(dict.fromkeys(names, ("erase", stream.name, span)))
        if sum(len(held) for _, held in answers) != stream.shards:
            raise InputError("shards were moved while messages were erased", where=stream.name, hint="run it again")
        return sum((removed for removed, _ in answers), NOTHING)

    def rescale(self, count: int, moved: Moved | None = None) -> int:
        """
        Start or end holders until there are ``count``, and move shards until all have as many; return how many moved.

        Nothing that was acknowledged is lost or doubled, and senders go on meanwhile.
        """
        if count < 1:
            raise LimitError("a fleet has one holder or more")
        wanted = [f"holder-{number}" for number in range(count)]
        self._start([name for name in wanted if name not in self.names()])
        total = balance(self.state, self, wanted, moved)
        for name in self.names():
            if name not in wanted:
                self._end(name)
        self._tidy(set(wanted))
        return total

    def drain(self, name: str, moved: Moved | None = None) -> int:
        """
        Move all shards of a holder to the others, and return how many; it stays, and gets none until a rescale.

        Raises:
            NotFoundError: there is no such holder. InputError: there is no other.
        """
        self.handle(name)
        return drain(self.state, self, name, moved)

    def move(self, stream: Stream, shard: int, to: str) -> None:
        """
        Move one virtual shard.

        Raises:
            NotFoundError: there is no such shard or holder.
        """
        if not 0 <= shard < stream.shards:
            raise NotFoundError(f"no virtual shard {shard}", where=stream.name, hint=f"0 to {stream.shards - 1}")
        self.handle(to)
        settle(self.state, self, stream)
        move(self.state, self, stream, {shard: to})

    def stop(self) -> None:
        """Give all shards back and end the holders."""
        for name in self.names():
            self._end(name)
        self._tidy(set())

    def _start(self, names: list[str]) -> None:
        if not names:
            return
        settings = self.settings
        need_cores(settings.cpus * len(names), f"{len(names)} holders")
        bundle = {"CPU": settings.cpus, "memory": float(settings.memory)}
        together = self._prefix + "+".join([*names, token_hex(4)])
        group = placement_group([bundle] * len(names), strategy="SPREAD", name=together, lifetime="detached")
        if not group.wait(settings.patience_s):
            remove_placement_group(group)
            what = f"no room for {len(names)} holders of {settings.cpus:g} cores and {settings.memory >> 20} MiB each"
            raise LimitError(what, hint="fewer holders, or more nodes")
        # It warns of restartable actors in a group, which end with the group: these groups outlive them.
        logging.getLogger("ray.actor").setLevel(logging.ERROR)
        remote = ray.remote(ShardHolder)
        for number, name in enumerate(names):
            remote.options(
                name=self._prefix + name, namespace=NAMESPACE, lifetime="detached", max_restarts=-1,
                num_cpus=settings.cpus, memory=settings.memory, max_pending_calls=settings.pending,
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, number),
            ).remote(self.state, name, settings.limits)  # fmt: skip
        for name in names:
            self.ask(name, "ready")

    def _end(self, name: str) -> None:
        for stream in self.state.manifest.streams():
            mine = [lease.shard for lease in self.state.manifest.leases(stream.name) if _is(lease.owner, name)]
            if mine:
                self.ask(name, "release", stream.name, mine)
        handle = self.handle(name)
        ray.kill(handle, no_restart=True)
        try:
            while True:  # it answers until it is dead, and its name is free from then on
                ray.get(handle.ready.remote(), timeout=self.settings.patience_s)
        except RayActorError:
            return

    def _tidy(self, there: set[str]) -> None:
        """Give back the room of holders that have ended, once all that were started together have."""
        for identity, known in placement_group_table().items():
            if known["state"] == "REMOVED" or not known["name"].startswith(self._prefix):
                continue
            if not there & set(known["name"].removeprefix(self._prefix).split("+")[:-1]):
                # By number: names of groups are found only from the namespace of the process that made them.
                remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(identity))))


def _is(owner: str | None, name: str) -> bool:
    return owner is not None and owner.startswith(f"{name}#")


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Let errors of a holder be those that it raised, and those of Ray be the engine's."""
    try:
        yield
    except RayTaskError as error:
        raise error.cause from None
    except GetTimeoutError:
        raise InputError("no answer in time", where=name) from None
    except PendingCallsLimitExceeded:
        raise InputError("too many calls wait for it already", where=name, hint="try again") from None
    except RayActorError as error:
        raise InputError(f"the holder is gone: {error}", where=name) from error
