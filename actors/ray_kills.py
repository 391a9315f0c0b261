"""
A fleet on a real Ray whose actors and raylets are killed while it is fed; one line of counts at the end.

    python -m qbitel.actors.ray_kills [--actors 15] [--raylets 3] [--seed 0]

Three raylets run on this machine, so that what ran on a killed one starts again on another. Every process is ended with
SIGKILL at a random moment while batches are on their way. What is lost or doubled is computed as in ``actors.kills``:
by ``cluster.ledger``, from what the sender was told and from the journal on the disk.
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
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ..cluster.ray_start import prepare_environment
from ..cluster.state import State
from .kills import LIMITS, STREAM, Kills, judge, made

_HOLDERS = 3
_LONGEST = 0.5  # seconds between sending and killing
_CHECKS = {  # a raylet that does not answer is given up after three seconds, where Ray's own settings take twenty
    "health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}  # fmt: skip
_BATCHES = 6  # sent in a round, and as many at most once more


@dataclass(frozen=True)
class RayKills:
    """
    What a campaign came to.

    Attributes:
        retries: calls that the sender made again. recovery: of actors and of raylets, the longest time from a kill to
            an answer of every holder, seconds.
    """

    actors: int
    raylets: int
    retries: int
    recovery: tuple[float, float]
    found: Kills

    def __str__(self) -> str:
        """Return the one line."""
        who = f"{self.actors} actors and {self.raylets} raylets of Ray killed"
        who = f"{who}, back after {self.recovery[0]:.1f} and {self.recovery[1]:.1f} s or less"
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
        from .offer import offer_of

        known = self.random.sample(sorted(self.acknowledged), min(_BATCHES // 2, len(self.acknowledged)))
        numbers = [*range(self.sent, self.sent + _BATCHES), *known]
        self.sent += _BATCHES
        offers = {number: offer_of(self.feeder.stream, made(number), f"k{number}") for number in numbers}
        deliveries = {number: self.feeder.start([offer]) for number, offer in offers.items()}
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
        os.kill(self.fleet.ask(self.random.choice(self.fleet.names()), "ready"), signal.SIGKILL)


def run_ray_kills(folder: Path, actors: int, raylets: int, seed: int = 0) -> RayKills:
    """Kill so many actors and raylets under a fleet whose state lies in a folder, and judge what the folder holds."""
    with _machines() as cluster:
        from .feeder import RayFeeder
        from .fleet import Fleet, FleetSettings
        from .holder import HolderLimits

        limits = HolderLimits(memory=64 << 20, shard=LIMITS)
        state = State(str(folder), str(folder / "catalog.sqlite"))
        fleet = Fleet(state, FleetSettings(cpus=0.1, memory=128 << 20, limits=limits))
        fleet.rescale(_HOLDERS)
        random = Random(seed)
        campaign = _Campaign(fleet, RayFeeder(fleet, STREAM), random)
        order = ["actor"] * actors + ["raylet"] * raylets
        random.shuffle(order)
        kills = {"actor": campaign.kill_actor, "raylet": lambda: _kill_raylet(cluster, random)}
        slowest = dict.fromkeys(kills, 0.0)
        for what in order:
            slowest[what] = max(slowest[what], campaign.round(kills[what]))
        retries = campaign.feeder.retries
        fleet.stop()
    found = judge(folder, campaign.sent, campaign.acknowledged, actors + raylets)
    return RayKills(actors, raylets, retries, (slowest["actor"], slowest["raylet"]), found)


@contextmanager
def _machines() -> Iterator[Any]:
    """Give a Ray of a head that runs no holders and of two other raylets."""
    prepare_environment()
    import ray
    from ray.cluster_utils import Cluster

    # Unix socket paths end at 107 bytes, and Ray adds about 80 of its own: the folder lies right under /tmp.
    own = tempfile.mkdtemp(prefix="qb", dir="/tmp")
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 << 20, "temp_dir": own}
    cluster = Cluster(initialize_head=True, head_node_args={**head, "_system_config": _CHECKS})
    try:
        for _ in range(2):
            _add_raylet(cluster)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
        shutil.rmtree(own, ignore_errors=True)


def _add_raylet(cluster: Any) -> None:
    cluster.add_node(num_cpus=2, object_store_memory=80 << 20)


def _kill_raylet(cluster: Any, random: Random) -> None:
    """Kill a raylet that is not the head's, with all it runs, and start another."""
    victim = random.choice([node for node in cluster.list_all_nodes() if not node.is_head()])
    cluster.remove_node(victim, allow_graceful=False)
    _add_raylet(cluster)


def main() -> int:
    """Run the campaign in a folder of its own."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.actors.ray_kills", description="Kills actors of Ray.")
    parser.add_argument("--actors", type=int, default=15)
    parser.add_argument("--raylets", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # Ray prints what becomes of processes that are killed here; what goes wrong is raised.
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        result = run_ray_kills(Path(folder), arguments.actors, arguments.raylets, arguments.seed)
    sys.stdout.write(f"{result}\n")
    return 0 if result.found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
