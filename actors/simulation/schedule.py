"""
One random schedule: batches sent, sent again and sent twice; processes killed, drained, moved and doubled; hash ranges
redirected, of which senders hear late.

Everything is drawn from the seed. At the end the faults stop, every shard is taken over once more, the sender repeats
what was not acknowledged, and its ledger is held against what is left on the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from ...cluster.buckets import Span
from ...cluster.entries import BatchKey, Entry
from ...cluster.ledger import Ledger, Verdict
from ...cluster.redirects import Redirect
from .. import effects as do
from .. import events as on
from ..limits import ShardLimits
from ..shard import Phase
from .batches import Batch, drawn
from .erasures import Erasures
from .process import CATALOG, WRITES, Fate, Process
from .world import Guards, SimulatedCatalog, SimulatedDisk

SHARDS = 3
LIMITS = ShardLimits(
    waiting_bytes=12, segment_bytes=6, snapshot_bytes=8, merge_below=7, merge_count=3, recent_keys=4
)  # fmt: skip
_STEPS = ((70, 130), (40, 90))  # of operations, by fours
_BUCKET = 20  # operations of a bucket of the event time
_CALM = 400  # steps in which everything must be acknowledged once the faults have stopped
_OPERATIONS = {
    "step": 80, "send": 9, "again": 5, "twice": 3, "conflict": 1, "kill": 1, "start": 1, "twin": 1, "drain": 1,
    "move": 1, "rescale": 0.4, "flush": 10, "snapshot": 3, "merge": 4, "forget": 1, "look": 4, "rot": 1,
    "erase": 1.5, "redirect": 0.8,
}  # fmt: skip


@dataclass
class Report:
    """
    What a schedule came to.

    Attributes:
        verdict: ledger against journal. unfinished: batches that were still not acknowledged when all was calm.
        wrong_memory: times that a shard's statistics were not those of its journal. events: what happened, counted.
        stops: steps at which a process stopped or an answer was lost, by step and fate.
        leftover: objects that nothing needs and that no takeover has swept.
    """

    verdict: Verdict
    unfinished: int
    wrong_memory: int
    events: Counter[str]
    stops: Counter[tuple[str, str]]
    leftover: int

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, doubled, stuck, counted wrongly or left over."""
        return self.verdict.sound and not (self.unfinished or self.wrong_memory or self.leftover)


@dataclass
class Schedule:
    """One seed's world."""

    seed: int
    guards: Guards = field(default_factory=Guards)
    disk: SimulatedDisk = field(default_factory=SimulatedDisk)
    ledger: Ledger = field(default_factory=Ledger)
    processes: list[Process] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    stops: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Draw how rough this world is."""
        self.random = Random(self.seed)
        self.catalog = SimulatedCatalog(self.guards)
        self._batches: dict[str, Batch] = {}
        self._requests: list[tuple[Batch, int, int]] = []
        self._told: list[tuple[int, do.Refusal | None]] = []
        self._erasures = Erasures()
        self._clock = self._wrong = 0
        self._roughness = self.random.choice((0.0, 0.01, 0.03, 0.08))

    def run(self) -> Report:
        """Run it to its end."""
        for shard in range(SHARDS):
            self._start(shard)
        names, weights = list(_OPERATIONS), list(_OPERATIONS.values())
        for name in self.random.choices(names, weights, k=self.random.randint(*self.random.choice(_STEPS)) * 4):
            self._clock += 1
            getattr(self, f"_{name}")()
            self._hear()
            self._erasures.hear(self._batches)
        return self._calm()

    def _alive(self, *, open_only: bool = False) -> list[Process]:
        return [process for process in self.processes if (process.open if open_only else process.alive)]

    def _pick(self, *, open_only: bool = False) -> Process | None:
        there = self._alive(open_only=open_only)
        return self.random.choice(there) if there else None

    def _start(self, shard: int | None = None) -> Process:
        shard = self.random.randrange(SHARDS) if shard is None else shard
        made = Process(shard, self.disk, self.catalog, self.random, LIMITS, self.stops, self._told)
        if self.random.random() < 0.02:
            self._erase(made)
        made.tell(on.Start())
        self.processes = [p for p in self.processes if p.alive and p.machine.phase is not Phase.GIVEN_BACK]
        self.processes.append(made)
        self.events["takeovers"] += 1
        return made

    def _twin(self) -> None:
        there = self._pick(open_only=True)
        if there is not None:
            self._start(there.shard)
            self.events["twins"] += 1

    def _kill(self) -> None:
        there = self._pick()
        if there is not None:
            there.alive = False
            self.events["kills"] += 1
            if self.random.random() < 0.8:
                self._start(there.shard)

    def _drain(self) -> None:
        there = self._pick(open_only=True)
        if there is not None:
            there.tell(on.Drain())
            self.events["drains"] += 1

    def _move(self, there: Process | None = None) -> None:
        """Let go in one place and take over in another: in this order, the other way round, or at once."""
        there = there or self._pick(open_only=True)
        if there is None:
            return
        there.tell(on.Drain())
        for _ in range(self.random.choice((0, 0, 1, 3, 12))):
            if not there.alive or not there.step(self._fate(there)):
                break
        self._start(there.shard)
        self.events["moves"] += 1

    def _rescale(self) -> None:
        """Move about half of the shards."""
        self.events["rescales"] += 1
        for there in self._alive(open_only=True):
            if self.random.random() < 0.5:
                self._move(there)

    def _step(self) -> None:
        there = self._pick()
        if there is not None:
            for _ in range(self.random.randint(1, 4)):
                if not there.alive or not there.step(self._fate(there)):
                    break

    def _fate(self, process: Process) -> Fate:
        if self.random.random() >= self._roughness or not process.queue:
            return Fate.DONE
        fates = [Fate.STOP_BEFORE, Fate.STOP_AFTER]
        if isinstance(process.queue[0], WRITES):
            fates += [Fate.STOP_WITHIN, Fate.FAILED]
        if isinstance(process.queue[0], CATALOG):
            fates += [Fate.ANSWER_LOST, Fate.ANSWER_LOST]
        return self.random.choice(fates)

    def _flush(self) -> None:
        there = self._pick(open_only=True)
        if there is not None:
            there.tell(on.Flush())

    def _snapshot(self) -> None:
        there = self._pick(open_only=True)
        if there is not None:
            there.tell(on.SnapshotDue())

    def _merge(self) -> None:
        there = self._pick(open_only=True)
        if there is not None:
            there.tell(on.MergeDue())

    def _erase(self, there: Process | None = None) -> None:
        """Have messages erased: those before some time, or all; by a copy that is open, or one that takes over."""
        there = there or self._pick(open_only=True)
        if there is None:
            return
        end = self.random.randint(0, self._clock // _BUCKET + 1)
        span = Span.everything() if self.random.random() < 0.1 else Span(end=end)
        mine = (at for batch in self._batches.values() for at in batch.acknowledged(there.shard))
        self._erasures.ask(there, span, frozenset(mine))

    def _redirect(self) -> None:
        targets = self.random.sample(range(SHARDS), self.random.randint(1, SHARDS))
        self.catalog.redirect(Redirect(self.random.randrange(SHARDS), tuple(targets)))
        self.events["redirects"] += 1

    def _division(self) -> int:
        """Return how many redirects a sender knows: mostly all, fewer where it has not looked lately."""
        newest = len(self.catalog.redirected)
        return newest if self.random.random() < 0.7 else self.random.randint(0, newest)

    def _forget(self) -> None:
        self.catalog.forget(self._clock - 200)

    def _rot(self) -> None:
        """Damage a snapshot: the journal holds all that it held."""
        snapshot = self.catalog.snapshot(self.random.randrange(SHARDS))
        if snapshot is not None and self.random.random() < 0.3:
            self.disk.objects[snapshot.path] = None
            self.events["snapshots damaged"] += 1

    def _look(self) -> None:
        """Hold the memory of a copy that has nothing to do against the journal as far as it knows it."""
        there = self._pick(open_only=True)
        if there is None or there.queue:
            return
        entries = self.catalog.entries(there.shard)
        position = there.machine.position
        if self._changed_since(there, entries):
            return
        rows = self._rows(there.shard, position)
        behind = there.machine.idle and self._holds(there) and entries[-1:] and entries[-1].position != position
        self._wrong += bool(behind) or there.counted != Counter(content for _, content in rows)
        self.events["looks"] += 1

    def _changed_since(self, there: Process, entries: list[Entry]) -> bool:
        """Return whether another has merged or erased entries that this copy has counted."""
        merged = any(entry.first <= there.machine.position < entry.position for entry in entries)
        return merged or self.catalog.erased.get(there.shard, 0) > there.machine.epoch

    def _holds(self, process: Process) -> bool:
        return self.catalog.leases[process.shard].epoch == process.machine.epoch

    def _send(self) -> None:
        contents = [f"{self._bucket()}:m{self.random.randrange(40)}" for _ in range(self.random.randint(1, 3 * SHARDS))]
        batch = drawn(self.random, f"k{len(self._batches)}", self._clock, SHARDS, contents)
        self._batches[batch.key] = batch.divide(self.catalog.redirected, self._division())
        self.ledger.send(batch.key, contents)
        self._offer(batch)

    def _bucket(self) -> str:
        """Return the bucket of a message that is sent now: this one, one shortly before, or none."""
        if self.random.random() < 0.05:
            return "-"
        return str(max(0, self._clock // _BUCKET - self.random.choice((0, 0, 0, 1, 3))))

    def _again(self) -> None:
        waiting = self._left()[-12:]
        if waiting:
            batch = self.random.choice(waiting)
            if self.random.random() < 0.3:  # the sender was started anew, and divides it without asking
                batch.divide(self.catalog.redirected, self._division())
            self._offer(batch)
            self.events["retries"] += 1

    def _twice(self) -> None:
        if self._batches:
            batch = self.random.choice(list(self._batches.values()))
            if self.random.random() < 0.3:
                batch = batch.copy().divide(self.catalog.redirected, self._division())
            self._offer(batch, everything=True)
            self.events["duplicates"] += 1

    def _conflict(self) -> None:
        """Use a key again for other messages: the ledger never hears of them, so that taking them shows as doubled."""
        done = [batch for batch in self._batches.values() if not batch.left]
        if done:
            batch = self.random.choice(done)
            other = batch.copy(("-:other",) * len(batch.contents))
            self._offer(other.divide(self.catalog.redirected, self._division()), digest="other")

    def _offer(self, batch: Batch, *, everything: bool = False, digest: str = "same") -> None:
        for shard in sorted(batch.parts if everything else batch.left):
            there = [process for process in self._alive() if process.shard == shard]
            if not there:
                continue
            contents = batch.parts[shard]
            key = BatchKey(batch.key, batch.made, digest, len(contents), batch.division)
            self._requests.append((batch, shard, batch.division))
            # The newest copy mostly; an older one, as senders behind a cut do.
            process = there[-1] if self.random.random() < 0.7 else self.random.choice(there)
            process.tell(on.Append(len(self._requests) - 1, key, (key, contents), len(contents)))

    def _hear(self, lose: float = 0.05) -> None:
        """Let the sender hear what it was told, or not."""
        for request, refusal in self._told:
            batch, shard, division = self._requests[request]
            if self.random.random() < lose or division != batch.division:
                continue  # lost, or about a division that the sender has given up
            if refusal is None:
                batch.left.discard(shard)
                if not batch.left and not batch.given_up:
                    self.ledger.acknowledge(batch.key)
            else:
                self._refused(batch, refusal)
        self._told.clear()

    def _refused(self, batch: Batch, refusal: do.Refusal) -> None:
        self.events[refusal.name.lower()] += 1
        batch.given_up = batch.given_up or (not refusal.retry and bool(batch.left))
        if refusal is do.Refusal.DIVIDED and batch.left:
            known = self.catalog.known(batch.key)
            batch.divide(self.catalog.redirected, known.division if known else self._division())

    def _calm(self) -> Report:
        self._roughness = 0.0
        for process in self.processes:
            process.alive = process.alive and self.random.random() < 0.5  # the others stay, as stale twins
        for shard in range(SHARDS):
            self._start(shard)
        newest = {process.shard: process for process in self.processes}
        self._finish()
        self._erasures.tell(self.ledger, self._batches)
        self.events += Counter({"erasures": self._erasures.asked, "erasures done": self._erasures.done})
        verdict = self.ledger.judge(row for shard in range(SHARDS) for row in self._rows(shard))
        wrong = sum(newest[shard].counted != Counter(c for _, c in self._rows(shard)) for shard in range(SHARDS))
        left = len(self._left())
        return Report(verdict, left, wrong + self._wrong, self.events, self.stops, self._leftover())

    def _leftover(self) -> int:
        """Take every shard over once more, with nobody beside it, and count the objects that nothing needs."""
        self.processes = []
        for shard in range(SHARDS):
            self._start(shard)
        self._settle()
        known = {path for shard in range(SHARDS) for path in self.catalog.referenced(shard)}
        return len(self.disk.objects.keys() - known)

    def _finish(self) -> None:
        """Offer what is left until it is acknowledged."""
        for turn in range(_CALM):
            if not self._left():
                break
            for batch in self._left()[turn % 3 :: 3] or self._left():
                self._offer(batch)
            self._settle()
            self._hear(lose=0.0)
        self._settle()

    def _left(self) -> list[Batch]:
        return [batch for batch in self._batches.values() if batch.left and not batch.given_up]

    def _settle(self) -> None:
        for process in self._alive():
            process.tell(on.Flush())
            while process.step(Fate.DONE):
                pass

    def _rows(self, shard: int, upto: int = 1 << 62) -> Iterator[tuple[str, str]]:
        """Read the journal from the disk, by the manifest alone, up to a position."""
        for entry in self.catalog.entries(shard):
            if entry.position > upto:
                return
            for key, contents in self.disk.objects.get(entry.path) or ():
                for content in contents:
                    yield key.key, content
