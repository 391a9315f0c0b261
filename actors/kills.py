"""
Real processes that are killed while they ingest, on a real folder with a real database; one line of counts at the end.

    python -m qbitel.actors.kills [--kills 200] [--seed 0]

A child takes the stream over, offers batches and says what it sent and what was acknowledged; the parent kills it
(SIGKILL) at a random moment and starts the next. What is lost or doubled is computed by ``cluster.ledger`` from what
the children said and from the journal on the disk, which ``cluster.verify`` reads. Between two children a hash range
may be redirected: what the one left half done the next one divides knowing a longer list.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import numpy as np

from ..cluster.database import open_engine
from ..cluster.ledger import Ledger
from ..cluster.manifest import Manifest, Stream
from ..cluster.redirects import Redirect
from ..cluster.storage import Storage
from ..cluster.verify import journal_rows, verify_stream
from ..discovery.batch import MessageBatch
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics
from .limits import ShardLimits
from .node import Node

SETTINGS = DiscoverySettings(sample_messages=64)
STREAM = Stream("kills", 3, SETTINGS.model_dump(mode="json"), None, 0)
LIMITS = ShardLimits(snapshot_bytes=40_000, merge_below=20_000, merge_count=4)
_LONGEST = 0.4  # seconds between the first word of a child and its end


@dataclass(frozen=True)
class Judged:
    """
    What a campaign left in the journal; counts are of messages, ``problems`` of objects that cannot be read.

    Attributes:
        same_digest: whether the journal's digest is that of a single process.
    """

    acknowledged: int
    lost: int
    doubled: int
    problems: int
    same_digest: bool

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, doubled or damaged."""
        return self.same_digest and not (self.lost or self.doubled or self.problems)

    def __str__(self) -> str:
        """Return the counts."""
        digest = "the digest of a single process" if self.same_digest else "another digest than a single process"
        return (
            f"{self.acknowledged} messages acknowledged, {self.lost} lost, {self.doubled} doubled, "
            f"{self.problems} damaged objects, {digest}"
        )


def made(number: int) -> MessageBatch:
    """Return the batch of that number: 60 messages of 12 flows, each payload of its own."""
    rng = np.random.default_rng(number)
    payloads = [number.to_bytes(4, "big") + bytes([n]) + rng.bytes(20) for n in range(60)]
    return MessageBatch.from_payloads(payloads, flow=(rng.integers(1, 13, 60)).tolist())


def run_kills(folder: Path, kills: int, seed: int = 0) -> tuple[int, Judged]:
    """
    Kill so many processes that ingest into a folder, and let one finish.

    Return how many were killed before they ended by themselves, and what the folder holds.
    """
    random, context = Random(seed), multiprocessing.get_context("fork")
    MessageStatistics(SETTINGS).update(made(0))  # compiles the kernels once, here
    acknowledged: set[int] = set()
    sent = killed = 0
    for number in range(kills + 1):
        _redirect(folder, random)
        waiting = sorted(set(range(sent)) - acknowledged)
        again = waiting + random.sample(sorted(acknowledged), min(2, len(acknowledged)))
        ears, mouth = context.Pipe(duplex=False)
        child = context.Process(target=_feed, args=(folder, mouth, again, sent, number == kills))
        child.start()
        mouth.close()
        delay = None if number == kills else random.uniform(0, _LONGEST)
        sent = max(sent, _listen(ears, child.pid, acknowledged, delay))
        child.join()
        killed += child.exitcode == -signal.SIGKILL
    return killed, judge(folder, sent, acknowledged)


def _listen(ears: Connection, child: int | None, acknowledged: set[int], delay: float | None) -> int:
    """Note what a child says until it is killed or ends; return one more than the highest batch it sent."""
    highest = 0
    killed = False
    try:
        while True:
            if delay is not None and not killed and not ears.poll(delay):
                killed = _kill(child)
            word, number = ears.recv()
            if word == "acknowledged":
                acknowledged.add(number)
            else:
                highest = max(highest, number + 1)
            if delay is not None and not killed:
                delay -= 0.01
                killed = delay <= 0 and _kill(child)
                delay = max(delay, 0.0)
    except (EOFError, OSError):
        return highest


def _redirect(folder: Path, random: Random) -> None:
    """Redirect a range, more often than not."""
    manifest = Manifest(open_engine(folder / "catalog.sqlite", durable=True))
    manifest.add_stream(STREAM)
    if random.random() < 0.6:
        to = random.sample(range(STREAM.shards), random.randint(1, STREAM.shards))
        manifest.redirect(STREAM.name, Redirect(random.randrange(STREAM.shards), tuple(to)))
    manifest.close()  # before the next child is forked


def _kill(child: int | None) -> bool:
    assert child is not None
    os.kill(child, signal.SIGKILL)
    return True


def _feed(folder: Path, mouth: Connection, again: list[int], first: int, finish: bool) -> None:
    storage, manifest = Storage(folder), Manifest(open_engine(folder / "catalog.sqlite", durable=True))
    node = Node(storage, manifest, manifest.add_stream(STREAM), str(os.getpid()), limits=LIMITS)
    numbers = [*again, *range(first, first + 3 if finish else first + 100_000)]
    for start in range(0, len(numbers), 3):
        group = numbers[start : start + 3]
        for number in group:
            mouth.send(("sent", number))
        receipts = [node.append(made(number), f"k{number}") for number in group]
        node.flush()
        for number, receipt in zip(group, receipts, strict=True):
            if receipt.acknowledged:
                mouth.send(("acknowledged", number))
    node.close()
    mouth.close()


def judge(folder: Path, sent: int, acknowledged: set[int]) -> Judged:
    """Hold what the sender knows of the first ``sent`` batches against the journal in a folder."""
    storage, manifest = Storage(folder), Manifest(open_engine(folder / "catalog.sqlite", durable=True))
    ledger, single = Ledger(), MessageStatistics(SETTINGS)
    for number in range(sent):
        ledger.send(f"k{number}", [payload.hex() for payload in made(number).payloads()])
        single.update(made(number))
    for number in acknowledged:
        ledger.acknowledge(f"k{number}")
    stream = manifest.stream(STREAM.name)
    verdict = ledger.judge((key, payload.hex()) for key, payload in journal_rows(storage, manifest, stream))
    found = verify_stream(storage, manifest, stream)
    manifest.close()
    doubled = verdict.doubled + verdict.foreign
    same = found.digest == single.digest()
    return Judged(verdict.acknowledged, verdict.lost, doubled, len(found.problems), same)


def main() -> int:
    """Run the campaign in a folder of its own."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.actors.kills", description="Kills real processes.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killed, found = run_kills(Path(folder), arguments.kills, arguments.seed)
    sys.stdout.write(f"{killed} kills: {found}\n")
    return 0 if found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
