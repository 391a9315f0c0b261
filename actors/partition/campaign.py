"""Faults on the network of a Ray of three machines that is fed meanwhile, and what became of the messages."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...cluster.ledger_file import LedgerFile
from ...discovery.statistics import MessageStatistics
from ..kills import SETTINGS, Judged
from .hosts import kill
from .machines import HEAD, NODES, STORE, Kept, Machines
from .sender import LEDGER, SHARDS, STOP, STREAM, made
from .watched import FENCED

_CUT_S = 25.0  # how long a cut lasts: longer than it takes until the shards are held elsewhere
_HEAD_CUT_S = 20.0
_SETTLED_S = 150.0
_END_S = 60.0
_REJOIN_S = 40.0
_LOSS = 30  # percent


Way = tuple[Sequence[str], Sequence[str]]


@dataclass(frozen=True)
class Fault:
    """What was done, the longest time that a batch waited meanwhile, and how many segments were fenced off."""

    name: str
    recovery_s: float
    fenced: int

    def __str__(self) -> str:
        """Return a line."""
        return f"{self.name}: recovered after {self.recovery_s:.1f} s, {self.fenced} fenced writes"


@dataclass(frozen=True)
class Partitions:
    """What a campaign came to, and what it left in the journal."""

    faults: tuple[Fault, ...]
    found: Judged

    @property
    def fenced(self) -> int:
        """Segments that a former holder wrote and could not register."""
        return sum(fault.fenced for fault in self.faults)

    def __str__(self) -> str:
        """Return the one line."""
        times = ", ".join(f"{fault.name} {fault.recovery_s:.1f} s" for fault in self.faults)
        return f"{len(self.faults)} faults, recovered: {times}; {self.fenced} fenced writes, {self.found}"


@dataclass
class Campaign:
    """
    Senders on both nodes, and faults one after the other.

    Args:
        without: the guard of the catalog that is taken away: ``epoch``, ``keys`` or None.
    """

    machines: Machines
    without: str | None = None
    senders: dict[str, Kept] = field(default_factory=dict)

    def begin(self) -> None:
        """Start the fleet and the senders, and return when every virtual shard takes batches of both."""
        command = self.machines.python(NODES[0], "qbitel.actors.partition.sender", "begin", *self._where(NODES[0]))
        self.machines.run(command)
        for host in NODES:
            command = self.machines.python(host, "qbitel.actors.partition.sender", host, *self._where(host))
            self.senders[host] = self.machines.kept(f"sender-{host}", command)
        self._settled(NODES, time.monotonic())

    def fault(self, name: str) -> Fault:
        """Do it, wait until all senders are served again, and say how long that took."""
        before, begin = self._fenced(), time.monotonic()
        served = self._faults[name]()
        recovered = self._settled(NODES, time.monotonic())
        served = served if recovered else NODES
        return Fault(name, self._longest_wait(served, begin), self._fenced() - before)

    def end(self, faults: list[Fault]) -> Partitions:
        """Let the senders finish, and judge what the journal holds."""
        for host, sender in self.senders.items():
            sender.stop()
            (self.machines.hosts.folder(host) / STOP.name).touch()
        for sender in self.senders.values():
            sender.join(_END_S)
        verdict = self._verdict()
        expected = MessageStatistics(SETTINGS)
        for key in sorted(key for host in NODES for key in self._account(host)):
            expected.update(made(key))
        doubled, problems = verdict["doubled"] + verdict["foreign"], len(verdict["problems"])
        same = verdict["digest"] == expected.digest()
        found = Judged(verdict["acknowledged"], verdict["lost"], doubled, problems, same)
        return Partitions(tuple(faults), found)

    @property
    def _faults(self) -> dict[str, Callable[[], tuple[str, ...]]]:
        return {
            "actor killed": self._kill_actor, "cut": self._cut, "one-way cut": self._cut_one_way,
            "30 % loss": self._lose, "head killed": self._kill_head, "head cut": self._cut_head,
        }  # fmt: skip

    def _kill_actor(self) -> tuple[str, ...]:
        holders = self.machines.holders()
        kill(next(pid for pids in holders.values() for pid in pids))
        return NODES

    def _cut(self) -> tuple[str, ...]:
        node, *others = self._victim()
        return self._for(_CUT_S, node, [((node,), others), (others, (node,))])

    def _cut_one_way(self) -> tuple[str, ...]:
        node, *others = self._victim()
        return self._for(_CUT_S, node, [((node,), others)])

    def _lose(self) -> tuple[str, ...]:
        node, *others = self._victim()
        return self._for(_CUT_S, node, [((node,), others), (others, (node,))], _LOSS)

    def _kill_head(self) -> tuple[str, ...]:
        """Kill all of the head, and an actor, which cannot be started again before the head is back."""
        starts = self.machines.rays[HEAD].starts
        self.machines.hosts.end(HEAD)
        # It comes back as a machine without a past; what Ray left there would be taken for a head that runs.
        shutil.rmtree(self.machines.hosts.folder(HEAD) / "ray", ignore_errors=True)
        self._kill_actor()
        self._started_again(HEAD, starts)
        return NODES

    def _cut_head(self) -> tuple[str, ...]:
        """Cut the head from all nodes, which it gives up, and which end when they hear of that."""
        starts = {host: self.machines.rays[host].starts for host in NODES}
        self.machines.hosts.drop([((HEAD,), NODES), (NODES, (HEAD,))])
        time.sleep(_HEAD_CUT_S)
        self.machines.hosts.heal()
        for host in NODES:
            self._started_again(host, starts[host])
        return NODES

    def _victim(self) -> list[str]:
        """Return a node that has holders, then the other one and the head."""
        node = max(NODES, key=lambda host: len(self.machines.holders()[host]))
        return [node, *(host for host in (*NODES, HEAD) if host != node)]

    def _for(self, seconds: float, node: str, ways: list[Way], percent: int = 100) -> tuple[str, ...]:
        """Drop packets for so long, wait until the node is one of Ray again, and return the nodes not cut off."""
        starts = self.machines.rays[node].starts
        self.machines.hosts.drop(ways, percent)
        time.sleep(seconds)
        self.machines.hosts.heal()
        self._started_again(node, starts)
        return tuple(host for host in NODES if host != node)

    def _started_again(self, host: str, starts: int) -> None:
        """Wait until Ray was started on a host again and is up; one that was never given up is not."""
        until = time.monotonic() + _REJOIN_S
        while self.machines.rays[host].starts == starts and time.monotonic() < until:
            time.sleep(0.5)
        self.machines.wait_for_ray(host)

    def _settled(self, hosts: tuple[str, ...], since: float) -> bool:
        """Wait until senders have, on every virtual shard, an acknowledgement for a later batch; False if in vain."""
        until = time.monotonic() + _SETTLED_S
        while True:
            for host in hosts:
                served = {key.split("/")[1] for key, (at, done) in self._account(host).items() if done and at > since}
                if len(served) < SHARDS:
                    break
            else:
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.5)

    def _account(self, host: str) -> dict[str, tuple[float, float | None]]:
        """Return when each batch of a host's sender was sent, and acknowledged."""
        known: dict[str, tuple[float, float | None]] = {}
        for path in self._ledgers(host):
            for line in LedgerFile(path).lines():
                if "sent" in line:
                    known[line["sent"]] = (line["at"], None)
                else:
                    known[line["acknowledged"]] = (known[line["acknowledged"]][0], line["at"])
        return known

    def _longest_wait(self, hosts: tuple[str, ...], since: float) -> float:
        now = time.monotonic()
        waits = [
            (now if done is None else done) - max(at, since)
            for host in hosts
            for at, done in self._account(host).values()
            if done is None or done > since
        ]
        return max(waits, default=0.0)

    def _fenced(self) -> int:
        files = [self.machines.hosts.folder(host) / FENCED.name for host in NODES]
        return sum(len(file.read_text().splitlines()) for file in files if file.exists())

    def _ledgers(self, host: str) -> list[Path]:
        return sorted(self.machines.hosts.folder(host).glob(f"{LEDGER.name}.*"))

    def _where(self, host: str) -> list[str]:
        address = self.machines.hosts.address(host)
        words = ["--ray", self.machines.ray, "--node", address, "--state", self.machines.state]
        words += ["--catalog", self.machines.catalog]
        return words + (["--without", self.without] if self.without else [])

    def _verdict(self) -> dict[str, Any]:
        """Ask for the judgement on the host that the servers are on, by code that knows nothing of actors."""
        words = ["--state", self.machines.state, "--catalog", self.machines.catalog, "--stream", STREAM.name]
        ledgers = [str(path) for host in NODES for path in self._ledgers(host)]
        command = self.machines.python(STORE, "qbitel.cluster.ledger_file", *words, *ledgers)
        verdict: dict[str, Any] = json.loads(self.machines.run(command))
        return verdict
