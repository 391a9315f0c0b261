"""
A fleet on a real Ray whose actors, raylets and head are killed while it is fed; one line of counts at the end.

    python -m qbitel.actors.ray_kills [--actors 15] [--raylets 3] [--heads 3] [--seed 0]

A kill of the head is one of its control service (GCS) and of an actor at once, which nobody can start again before the
service is back; the service keeps its tables in a Redis that this starts. Three raylets run on this machine, so that
what ran on a killed one starts again on another. Every process is ended with SIGKILL at a random moment while batches
are on their way. What is lost or doubled is computed as in ``actors.kills``: by ``cluster.ledger``, from what the
sender was told and from the journal on the disk.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ..cluster.ray_start import free_port
from ..cluster.state import State
from .kills import LIMITS, STREAM, Judged, judge, made
from .partition.servers import Raylets, raylets, redis

_HOLDERS = 3
_LONGEST = 0.5  # seconds between sending and killing
_BATCHES = 6  # sent in a round, and as many at most once more


@dataclass(frozen=True)
class RayKills:
    """
    What a campaign came to.

    Attributes:
        killed: how many of actors, raylets and heads. retries: calls that the sender made again.
        recovery: of each, the longest time from a kill to an answer of every holder, seconds.
    """

    killed: dict[str, int]
    retries: int
    recovery: dict[str, float]
    found: Judged

    def __str__(self) -> str:
        """Return the one line."""
        who = ", ".join(f"{count} {what}s" for what, count in self.killed.items())
        times = ", ".join(f"{self.recovery[what]:.1f}" for what in self.killed)
        who = f"{who} of Ray killed, back after {times} s or less"
        return f"{who}, {self.retries} calls made again; {self.found}"


@dataclass
class _Campaign:
    """A sender, and what it knows."""

    fleet: Any
    feeder: Any
    random: Random
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)

    def round(self, kill: Callable[[], None]) -> float:
        """
        Send batches, some of them not for the first time; kill; and hear what became of them.

        Returns:
            Seconds from the kill to the answer of the last holder.
        """
        from .ingest import Keyed

        known = self.random.sample(sorted(self.acknowledged), min(_BATCHES // 2, len(self.acknowledged)))
        numbers = [*range(self.sent, self.sent + _BATCHES), *known]
        self.sent += _BATCHES
        deliveries = {number: self.feeder.start([Keyed(f"k{number}", "", made(number))]) for number in numbers}
        time.sleep(self.random.uniform(0, _LONGEST))
        kill()
        begin = time.monotonic()
        for name in self.fleet.names():
            self.fleet.ask(name, "hold", STREAM.name)
        recovery = time.monotonic() - begin
        for number, delivery in deliveries.items():
            self.feeder.finish(delivery)
            if not delivery.refused:
                self.acknowledged.add(number)
        return recovery

    def kill_actor(self) -> None:
        """Kill the process of a holder."""
        os.kill(self.choose_actor(), signal.SIGKILL)

    def choose_actor(self) -> int:
        """Return the process of a holder."""
        process: int = self.fleet.ask(self.random.choice(self.fleet.names()), "ready")
        return process


def run_ray_kills(folder: Path, killed: dict[str, int], seed: int = 0) -> RayKills:
    """
    Kill under a fleet whose state lies in a folder, and judge what the folder holds.

    Args:
        killed: how many of ``actor``, ``raylet`` and ``head``.

    Raises:
        NotFoundError: heads shall be killed, and there is no Redis.
    """
    with _machines(keep=killed.get("head", 0) > 0) as there:
        from .feeder import RayFeeder
        from .fleet import Fleet, FleetSettings
        from .holder import HolderLimits

        limits = HolderLimits(memory=64 << 20, shard=LIMITS)
        state = State(str(folder), str(folder / "catalog.sqlite"))
        fleet = Fleet(state, FleetSettings(cpus=0.1, memory=128 << 20, limits=limits))
        fleet.rescale(_HOLDERS)
        random = Random(seed)
        campaign = _Campaign(fleet, RayFeeder(fleet, STREAM), random)
        order = [what for what, count in killed.items() for _ in range(count)]
        random.shuffle(order)
        kills: dict[str, Callable[[], None]] = {
            "actor": campaign.kill_actor, "raylet": lambda: _kill_raylet(there, random),
            "head": lambda: _kill_head(there, campaign),
        }  # fmt: skip
        slowest = dict.fromkeys(kills, 0.0)
        for what in order:
            slowest[what] = max(slowest[what], campaign.round(kills[what]))
        retries = campaign.feeder.retries
        fleet.stop()
    found = judge(folder, campaign.sent, campaign.acknowledged)
    return RayKills({what: count for what, count in killed.items() if count}, retries, slowest, found)


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Let Ray's control service keep its tables in a Redis."""
    with redis(folder, free_port()) as address:
        os.environ["RAY_REDIS_ADDRESS"] = address
        try:
            yield
        finally:
            del os.environ["RAY_REDIS_ADDRESS"]


@contextmanager
def _machines(*, keep: bool) -> Iterator[Raylets]:
    """Give a Ray of a head that runs no holders and of two other raylets; ``keep`` its tables when the head is lost."""
    own = tempfile.TemporaryDirectory(prefix="qb")
    with own as folder, _kept(Path(folder)) if keep else nullcontext(), raylets(2) as there:
        import ray

        ray.init(address=there.cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            there.cluster.wait_for_nodes()
            yield there
        finally:
            ray.shutdown()


def _kill_raylet(there: Raylets, random: Random) -> None:
    """Kill a raylet that is not the head's, with all it runs, and start another."""
    victim = random.choice([node for node in there.cluster.list_all_nodes() if not node.is_head()])
    there.cluster.remove_node(victim, allow_graceful=False)
    there.add()


def _kill_head(there: Raylets, campaign: _Campaign) -> None:
    """Kill the control service and an actor, and start the service again."""
    actor = campaign.choose_actor()
    there.cluster.head_node.kill_gcs_server()
    os.kill(actor, signal.SIGKILL)
    there.cluster.head_node.start_gcs_server()


def main() -> int:
    """Run the campaign in a folder of its own."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.actors.ray_kills", description="Kills actors of Ray.")
    parser.add_argument("--actors", type=int, default=15)
    parser.add_argument("--raylets", type=int, default=3)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    killed = {"actor": arguments.actors, "raylet": arguments.raylets, "head": arguments.heads}
    if killed["head"] and shutil.which("redis-server") is None:
        sys.stderr.write("no redis-server: heads are not killed\n")
        killed["head"] = 0
    # Ray prints what becomes of processes that are killed here; what goes wrong is raised.
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        result = run_ray_kills(Path(folder), killed, arguments.seed)
    sys.stdout.write(f"{result}\n")
    return 0 if result.found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
