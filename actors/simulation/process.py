"""A simulated process that holds one copy of a shard, and carries its effects out one at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

from ...cluster.entries import Change, Erasure, Merge, Registration, SnapshotEntry, object_path
from .. import effects as do
from .. import events as on
from ..effects import Effect
from ..events import Event
from ..limits import ShardLimits
from ..shard import Phase, Shard
from .messages import Body, size_of, times_of, without
from .world import SimulatedCatalog, SimulatedDisk

STREAM = "s"
CATALOG = (
    do.TakeLease, do.ReadManifest, do.Register, do.RegisterSnapshot, do.RegisterMerged, do.RegisterErasure, do.GiveBack,
)  # fmt: skip
WRITES = (do.WriteSegment, do.WriteSnapshot, do.WriteMerged, do.WriteErasure)


class Fate(Enum):
    """What becomes of a step: the process stops before, in the middle or after it, or only its answer is lost."""

    DONE = "done"
    STOP_BEFORE = "stop before"
    STOP_WITHIN = "stop within"
    STOP_AFTER = "stop after"
    ANSWER_LOST = "answer lost"
    FAILED = "failed"


@dataclass
class Process:
    """
    One copy of a shard, with its memory; a second copy of the same shard is a twin that may be stale.

    Attributes:
        counted: its statistics: messages by content. told: (request, None or why refused), for the sender.
        erased: what those who asked for erasures were told: what was removed, or why nothing was.
        stops: how often it stopped, by step and fate.
    """

    shard: int
    disk: SimulatedDisk
    catalog: SimulatedCatalog
    random: Random
    limits: ShardLimits
    stops: Counter[tuple[str, str]]
    told: list[tuple[int, do.Refusal | None]]
    alive: bool = True
    counted: Counter[str] = field(default_factory=Counter)
    erased: dict[int, do.Removed | str] = field(default_factory=dict)
    machine: Shard = field(init=False)
    queue: deque[Effect] = field(default_factory=deque)

    def __post_init__(self) -> None:
        """Make the state machine, and the table of what carries out its effects."""
        self.machine = Shard(self.limits)
        self._hands: dict[type, Callable[[Any], Event | None]] = {
            do.TakeLease: self._take_lease, do.ReadManifest: self._read_manifest, do.LoadSnapshot: self._load_snapshot,
            do.CountSegment: self._count_segment, do.Quarantine: self._quarantine, do.Sweep: self._sweep,
            do.WriteSegment: self._write_segment, do.Register: self._register, do.Count: self._count,
            do.Acknowledge: self._acknowledge, do.Refuse: self._refuse, do.WriteSnapshot: self._write_snapshot,
            do.RegisterSnapshot: self._register_snapshot, do.WriteMerged: self._write_merged,
            do.RegisterMerged: self._register_merged, do.Discard: self._discard, do.GiveBack: self._give_back,
            do.WriteErasure: self._write_erasure, do.RegisterErasure: self._register_erasure, do.Erased: self._erased,
            do.NotErased: self._erased,
        }  # fmt: skip

    @property
    def open(self) -> bool:
        """Whether it takes batches."""
        return self.alive and self.machine.phase is Phase.OPEN

    def tell(self, event: Event) -> None:
        """Hand the machine an event."""
        self.queue.extend(self.machine.handle(event))

    def step(self, fate: Fate) -> bool:
        """Carry out the next effect; False where there is none."""
        if not self.queue:
            return False
        effect = self.queue.popleft()
        if fate is not Fate.DONE:
            self.stops[type(effect).__name__, fate.value] += 1
        if fate is Fate.STOP_WITHIN and isinstance(effect, WRITES):
            self.disk.create(self._path(effect.sequence, effect.epoch, "segment"), None)
            self.alive = False
        elif self._happens(fate):
            event = self._hands[type(effect)](effect)
            self.alive = self.alive and fate not in (Fate.STOP_AFTER, Fate.STOP_WITHIN)
            self._answer(_without_answer(effect) if fate is Fate.ANSWER_LOST else event)
        else:
            self.alive = self.alive and fate is not Fate.STOP_BEFORE
            self._answer(_without_answer(effect))
        return True

    def _happens(self, fate: Fate) -> bool:
        if fate is Fate.ANSWER_LOST:
            return self.random.random() < 0.5
        return fate not in (Fate.STOP_BEFORE, Fate.FAILED)

    def _answer(self, event: Event | None) -> None:
        if event is not None and self.alive:
            self.tell(event)

    def _path(self, sequence: int, epoch: int, kind: str) -> str:
        return object_path(STREAM, self.shard, epoch, sequence, kind)

    def _take_lease(self, effect: do.TakeLease) -> Event:
        epoch = self.catalog.take_lease(self.shard, effect.expected)
        return on.LeaseLost() if epoch is None else on.LeaseTaken(epoch)

    def _read_manifest(self, effect: do.ReadManifest) -> Event:
        snapshot = self.catalog.snapshot(self.shard) if effect.snapshot else None
        after = snapshot.position if snapshot else effect.after
        return on.ManifestRead(snapshot, tuple(self.catalog.entries(self.shard, after)))

    def _load_snapshot(self, effect: do.LoadSnapshot) -> Event:
        if effect.snapshot is None:
            self.counted = Counter()
            return on.SnapshotLoaded()
        content = self.disk.objects.get(effect.snapshot.path)
        if content is None:
            return on.SnapshotDamaged("missing or cut short")
        self.counted = Counter(content)
        return on.SnapshotLoaded()

    def _count_segment(self, effect: do.CountSegment) -> Event:
        bodies: Any = self.disk.objects.get(effect.entry.path)
        if bodies is None and effect.entry.path not in self.catalog.referenced(self.shard):
            return on.RecoveryFailed("merged by another")
        if bodies is None:
            return on.SegmentDamaged(effect.entry.position, "missing or cut short")
        for _, contents in bodies:
            self.counted.update(contents)
        return on.SegmentCounted(effect.entry.position, tuple(key for key, _ in bodies))

    def _quarantine(self, effect: do.Quarantine) -> None:
        if effect.position >= 0:
            self.catalog.mark_damaged(self.shard, effect.path, effect.reason)

    def _sweep(self, effect: do.Sweep) -> None:
        self.disk.sweep(self.shard, effect.below, self.catalog.referenced(self.shard))

    def _write_segment(self, effect: do.WriteSegment) -> Event:
        path = self._path(effect.sequence, effect.epoch, "segment")
        if not self.disk.create(path, effect.bodies):
            return on.WriteFailed(effect.sequence, "exists")
        return on.SegmentWritten(effect.sequence, path, size_of(effect.bodies), "", times_of(effect.bodies))

    def _register(self, effect: do.Register) -> Event:
        parts = (effect.epoch, effect.sequence, effect.path, effect.size, effect.sha256, effect.keys, effect.times)
        return on.RegistrationAnswered(self.catalog.register(Registration(STREAM, self.shard, *parts)))

    def _count(self, effect: do.Count) -> None:
        for _, contents in effect.bodies:
            self.counted.update(contents)

    def _acknowledge(self, effect: do.Acknowledge) -> None:
        self.told.append((effect.request, None))

    def _refuse(self, effect: do.Refuse) -> None:
        self.told.append((effect.request, effect.why))

    def _write_snapshot(self, effect: do.WriteSnapshot) -> Event:
        path = self._path(effect.sequence, effect.epoch, "segment")
        if not self.disk.create(path, tuple(self.counted.elements())):
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        snapshot = SnapshotEntry(effect.position, effect.epoch, path, 1, "")
        return on.SnapshotWritten(effect.epoch, effect.sequence, snapshot)

    def _register_snapshot(self, effect: do.RegisterSnapshot) -> Event:
        snapshot = effect.snapshot
        freed = self.catalog.add_snapshot(self.shard, snapshot)
        answer = None if freed is None else tuple(freed)
        return on.SnapshotAnswered(snapshot.epoch, effect.sequence, snapshot.position, answer)

    def _write_merged(self, effect: do.WriteMerged) -> Event:
        parts = [self.disk.objects.get(entry.path) for entry in effect.entries]
        path = self._path(effect.sequence, effect.epoch, "segment")
        if any(part is None for part in parts):
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        bodies: tuple[Body, ...] = tuple(body for part in parts for body in part or ())
        if not self.disk.create(path, bodies):
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        return on.MergeWritten(effect.epoch, effect.sequence, effect.entries, path, size_of(bodies), "")

    def _register_merged(self, effect: do.RegisterMerged) -> Event:
        span = (effect.epoch, effect.first, effect.position)
        merge = Merge(STREAM, self.shard, *span, effect.sequence, effect.path, effect.size, effect.sha256)
        freed = self.catalog.merge(merge)
        answer = (effect.path,) if freed is None else tuple(freed)
        return on.MergeAnswered(effect.epoch, effect.sequence, effect.position, answer)

    def _write_erasure(self, effect: do.WriteErasure) -> Event:
        changes: list[Change] = []
        unread: list[str] = []
        for number, entry in enumerate(effect.entries):
            bodies = () if effect.span.covers(entry.times) else self.disk.objects.get(entry.path)
            if bodies is None:
                unread.append(entry.path)
                continue
            kept = without(bodies, effect.span)
            path = self._path(effect.sequence, effect.epoch, f"{number}.segment") if kept else ""
            count = size_of(kept)
            if count < entry.messages and (not path or self.disk.create(path, kept)):
                changes.append(Change(entry.position, entry.path, path, count, "", count, times_of(kept)))
        return on.ErasureWritten(effect.epoch, tuple(changes), tuple(unread))

    def _register_erasure(self, effect: do.RegisterErasure) -> Event:
        taken = self.catalog.erase(Erasure(STREAM, self.shard, effect.epoch, effect.span, effect.changes))
        return on.ErasureAnswered(effect.epoch, taken)

    def _erased(self, effect: do.Erased | do.NotErased) -> None:
        self.erased[effect.request] = effect.removed if isinstance(effect, do.Erased) else effect.reason

    def _discard(self, effect: do.Discard) -> None:
        self.disk.objects.pop(effect.path, None)

    def _give_back(self, _: do.GiveBack) -> Event:
        return on.GivenBack()


def _without_answer(effect: Effect) -> Event | None:
    """Return what the machine is told when a step failed or its answer is lost; None where it expects no answer."""
    match effect:
        case do.TakeLease() | do.ReadManifest() | do.LoadSnapshot() | do.CountSegment():
            return on.RecoveryFailed("simulated")
        case do.WriteSegment():
            return on.WriteFailed(effect.sequence, "simulated")
        case do.Register():
            return on.RegistrationUnknown()
        case do.WriteSnapshot() | do.WriteMerged() | do.RegisterMerged():
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        case do.RegisterSnapshot():
            return on.UpkeepFailed(effect.snapshot.epoch, effect.sequence)
        case do.WriteErasure():
            return on.ErasureFailed(effect.epoch, "simulated")
        case do.RegisterErasure():
            return on.ErasureUnknown(effect.epoch)
        case do.GiveBack():
            return on.GivenBack()
        case _:
            return None
