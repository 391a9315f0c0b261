"""
A sender on one of the hosts: feeds a fleet without a pause, each virtual shard by itself, and keeps its own ledger.

    python -m qbitel.actors.partition.sender NAME --ray ADDRESS --node ADDRESS --state URI --catalog ADDRESS …

Batches of one virtual shard wait for no other: beside a holder that was cut off, those of its shards go on being sent
to it. A batch that nobody takes is sent again under its key, by the sender's next process too. It ends when there is a
file ``/tmp/stop``, and everything it sent is acknowledged.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from ...cluster.ledger_file import LedgerFile
from ...cluster.manifest import Stream
from ...cluster.ray_connection import RayConnection
from ...cluster.ray_start import ray_at
from ...discovery.batch import MessageBatch
from ...discovery.errors import QbitelError
from ...discovery.settings import DiscoverySettings
from ..holder import HolderLimits
from ..ingest import Keyed
from ..kills import LIMITS, SETTINGS
from ..routing import shards_of
from ..simulation.world import Guards
from .watched import WatchedState

if TYPE_CHECKING:
    from ..feeder import RayFeeder

SHARDS = 6
STREAM = Stream("partition", SHARDS, SETTINGS.model_dump(mode="json"), None, 0)
STOP = Path("/tmp/stop")
LEDGER = Path("/tmp/ledger")  # .N of the sender of a virtual shard
HOLDERS = 2
PATIENCE_S = 10.0  # after which a batch is sent again
_PAUSE_S = 0.15
_AGAIN = 0.1  # of the batches are sent once more, though they were acknowledged
_MESSAGES = 12


def made(key: str) -> MessageBatch:
    """Return the batch of a key ``NAME/SHARD/NUMBER``: messages of flows of that virtual shard, each of its own."""
    name, shard, number = key.split("/")
    flow = _flow_of(int(shard))
    payloads = [f"{name}/{number}/{n}:".encode() + Random(f"{key}/{n}").randbytes(20) for n in range(_MESSAGES)]
    return MessageBatch.from_payloads(payloads, flow=[flow] * _MESSAGES)


def _flow_of(shard: int) -> int:
    """Return the lowest flow that belongs to a virtual shard."""
    seed = DiscoverySettings.model_validate(STREAM.settings).seed
    batch = MessageBatch.from_payloads([b"x"] * 100, flow=list(range(1, 101)))
    return 1 + int(np.flatnonzero(shards_of(batch, SHARDS, seed) == shard)[0])


class ShardSender:
    """Sends batches of one virtual shard, one at a time."""

    def __init__(self, name: str, shard: int, state: WatchedState, connection: RayConnection) -> None:
        self._prefix, self._state, self._connection = f"{name}/{shard}", state, connection
        self._ledger = LedgerFile(LEDGER.with_suffix(f".{shard}"))
        self._random = Random(crc32(self._prefix.encode()))
        self._left, self._done = self._account()

    def run(self) -> None:
        """Send until there is the file, and everything is acknowledged."""
        from ..feeder import RayFeeder
        from ..fleet import Fleet, FleetSettings

        # One for the whole time: what it knows of holders is all that it has while the head cannot be reached.
        fleet = Fleet(self._state, FleetSettings(patience_s=PATIENCE_S), self._connection)
        feeder = RayFeeder(fleet, STREAM)
        for key in self._keys():
            while not self._sent(feeder, key):
                time.sleep(_PAUSE_S)
            time.sleep(_PAUSE_S)

    def _account(self) -> tuple[list[str], list[str]]:
        sent: dict[str, bool] = {}
        for line in self._ledger.lines():
            sent[line.get("sent") or line["acknowledged"]] = "acknowledged" in line
        return [key for key, done in sent.items() if not done], [key for key, done in sent.items() if done]

    def _keys(self) -> Iterator[str]:
        """Yield what a former process left, then new keys and some that were acknowledged."""
        number = len(self._left) + len(self._done)
        yield from self._left
        while not STOP.exists():
            if self._done and self._random.random() < _AGAIN:
                yield self._random.choice(self._done)
            key = f"{self._prefix}/{number}"
            self._ledger.send(key, made(key).payloads(), time.monotonic())
            number += 1
            yield key

    def _sent(self, feeder: RayFeeder, key: str) -> bool:
        """Send a batch; return whether it was acknowledged."""
        try:
            delivery = feeder.start([Keyed(key, "", made(key))])
            feeder.finish(delivery)
        except QbitelError:
            return False
        if delivery.refused:
            raise AssertionError(f"{key} was refused: {delivery.refused[key]}")
        if key not in self._done:
            self._ledger.acknowledge(key, time.monotonic())
            self._done.append(key)
        return True


def _give_up(failed: Any) -> None:
    """End the process, as one whose thread has failed is of no use: whoever keeps it starts the next."""
    sys.excepthook(failed.exc_type, failed.exc_value, failed.exc_traceback)
    os._exit(1)


def begin_fleet(state: WatchedState) -> None:
    """Make the tables and the stream, start the holders, and place its shards."""
    from ..feeder import RayFeeder
    from ..fleet import Fleet, FleetSettings

    state.manifest.open_unguarded()
    limits = HolderLimits(memory=64 << 20, shard=LIMITS)
    fleet = Fleet(state, FleetSettings(cpus=0.1, memory=128 << 20, limits=limits))
    fleet.rescale(HOLDERS)
    RayFeeder(fleet, STREAM)


def main() -> int:
    """Send, or with the name ``begin`` start the fleet."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.actors.partition.sender")
    parser.add_argument("name")
    for option in ("--ray", "--node", "--state", "--catalog"):
        parser.add_argument(option, required=True)
    parser.add_argument("--without", choices=("epoch", "keys"))
    arguments = parser.parse_args()
    guards = Guards(compare_epoch=arguments.without != "epoch", unique_keys=arguments.without != "keys")
    state = WatchedState(arguments.state, arguments.catalog, guards)
    with ray_at(arguments.ray, _node_ip_address=arguments.node, logging_level=logging.ERROR) as connection:
        if arguments.name == "begin":
            begin_fleet(state)
        else:
            send(arguments.name, state, connection)
    return 0


def send(name: str, state: WatchedState, connection: RayConnection) -> None:
    """Send to all virtual shards until there is the file."""
    threading.excepthook = _give_up
    threads = [threading.Thread(target=ShardSender(name, n, state, connection).run) for n in range(SHARDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
