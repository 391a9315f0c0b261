"""
A virtual shard of one stream, as a state machine that does nothing itself.

It is told events and answers with effects; storage, catalog, statistics and senders are on the other side of them. One
segment is in flight at a time, and what arrives meanwhile is written together (group commit). Whatever cannot be known
is looked up under a new epoch, since only then nothing of the old one can still happen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..cluster.entries import BatchKey, Entry, Registered, Rejected
from . import effects as do
from . import events as on
from .effects import Effect, Refusal
from .erasing import Erasing
from .events import Event
from .limits import ShardLimits
from .upkeep import Upkeep


class Phase(Enum):
    """Where a shard stands: it takes batches while OPEN, and neither STOPPED nor GIVEN_BACK is ever left."""

    NEW = "new"
    RECOVERING = "recovering"
    OPEN = "open"
    DRAINING = "draining"
    STOPPED = "stopped"
    GIVEN_BACK = "given back"


@dataclass
class _Waiting:
    key: BatchKey
    body: Any
    size: int
    requests: list[int]


class Shard:
    """
    The state machine; ``handle`` is its only door.

    Attributes:
        phase: see ``Phase``. epoch: of its lease. position: of the newest entry that the statistics hold, or -1.
        damaged: positions of entries that could not be read, which the statistics lack.
    """

    def __init__(self, limits: ShardLimits | None = None) -> None:
        self.limits = limits or ShardLimits()
        self.phase = Phase.NEW
        self.epoch, self.position = 0, -1
        self.damaged: set[int] = set()
        self._sequence = 0
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._flying: list[_Waiting] = []
        self._held = 0
        self._written: on.SegmentWritten | None = None
        self._recent: OrderedDict[str, BatchKey] = OrderedDict()
        self._replay: deque[Entry] = deque()
        self._fresh = True
        self._draining = False
        self._upkeep = Upkeep(self.limits)
        self._erasing = Erasing()
        self._doors: dict[type, Callable[[Any], list[Effect]]] = {
            on.Start: self._start, on.LeaseTaken: self._lease_taken, on.LeaseLost: self._stop,
            on.RecoveryFailed: self._stop, on.ManifestRead: self._manifest_read,
            on.SnapshotLoaded: self._snapshot_loaded, on.SnapshotDamaged: self._snapshot_damaged,
            on.SegmentCounted: self._segment_counted, on.SegmentDamaged: self._segment_damaged,
            on.Append: self._append, on.Flush: self._flush, on.SegmentWritten: self._segment_written,
            on.WriteFailed: self._write_failed, on.RegistrationAnswered: self._answered,
            on.RegistrationUnknown: self._unknown, on.SnapshotDue: self._snapshot_due,
            on.MergeDue: self._merge_due, on.Drain: self._drain, on.GivenBack: self._given_back,
            on.Erase: self._erase, on.ErasureWritten: self._erasure_written, on.ErasureFailed: self._erasure_failed,
            on.ErasureAnswered: self._erasure_answered, on.ErasureUnknown: self._erasure_unknown,
            **dict.fromkeys(
                (on.SnapshotWritten, on.SnapshotAnswered, on.MergeWritten, on.MergeAnswered, on.UpkeepFailed),
                self._upkeep_event,
            ),
        }  # fmt: skip

    def handle(self, event: Event) -> list[Effect]:
        """Return what is to be done now; a shard that has stopped refuses batches and does nothing else."""
        if self.phase not in (Phase.STOPPED, Phase.GIVEN_BACK):
            return self._doors[type(event)](event)
        match event:
            case on.Append():
                return [do.Refuse(event.request, Refusal.MOVED)]
            case on.Erase():
                return [do.NotErased(event.request, Refusal.MOVED.value)]
            case _:
                return []

    @property
    def held_bytes(self) -> int:
        """Bytes of batches that are not registered yet."""
        return self._held

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._waiting and not self._flying and not self._upkeep.flying

    # Taking over: lease, then manifest (final for all older epochs by then), then snapshot, then what came after it.

    def _start(self, _: on.Start) -> list[Effect]:
        self.phase = Phase.RECOVERING
        return [do.TakeLease(None)]

    def _lease_taken(self, event: on.LeaseTaken) -> list[Effect]:
        self.epoch, self._sequence = event.epoch, 0
        return self._look_on()

    def _look_on(self) -> list[Effect]:
        return self._erasing.read() if self._erasing.wanted else [do.ReadManifest(self.position, self._fresh)]

    def _manifest_read(self, event: on.ManifestRead) -> list[Effect]:
        if self._erasing.reading:
            return self._erasing.write(self.epoch, self._number(), event.entries)
        self._replay = deque(event.entries)
        if not self._fresh:
            return self._next_segment()
        if event.snapshot is not None:
            self.position = self._upkeep.snapshot_position = event.snapshot.position
        return [do.LoadSnapshot(event.snapshot)]

    def _snapshot_loaded(self, _: on.SnapshotLoaded) -> list[Effect]:
        self._fresh = False
        return self._next_segment()

    def _snapshot_damaged(self, event: on.SnapshotDamaged) -> list[Effect]:
        # The journal holds everything that the snapshot held: it is counted again from its beginning.
        self.position = self._upkeep.snapshot_position = -1
        return [do.Quarantine(-1, "snapshot", event.reason), do.ReadManifest(-1, False)]

    def _next_segment(self) -> list[Effect]:
        while self._replay and (self._replay[0].damaged or not self._replay[0].path):
            if self._replay[0].damaged:
                self.damaged.add(self._replay[0].position)
            self._passed(self._replay.popleft())
        if self._replay:
            return [do.CountSegment(self._replay[0])]
        self.phase = Phase.DRAINING if self._draining else Phase.OPEN
        return [do.Sweep(self.epoch), *self._go_on()]

    def _segment_counted(self, event: on.SegmentCounted) -> list[Effect]:
        self._passed(self._replay.popleft())
        answers: list[Effect] = []
        for key in event.keys:
            self._remember(key)
            waiting = self._waiting.get(key.key)
            if waiting is not None and waiting.key.same(key):
                answers += self._acknowledge(self._waiting.pop(key.key), again=True)
        return answers + self._next_segment()

    def _segment_damaged(self, event: on.SegmentDamaged) -> list[Effect]:
        entry = self._replay.popleft()
        self.damaged.add(entry.position)
        self._passed(entry)
        return [do.Quarantine(entry.position, entry.path, event.reason), *self._next_segment()]

    def _passed(self, entry: Entry) -> None:
        self.position = entry.position
        self._upkeep.passed(entry)

    # Batches: wait, are written, are registered, are counted, are acknowledged; in this order and never in another.

    def _append(self, event: on.Append) -> list[Effect]:
        same = self._waiting.get(event.key.key) or next((w for w in self._flying if w.key.key == event.key.key), None)
        if same is not None:
            return self._append_again(same, event)
        known = self._recent.get(event.key.key, event.key)
        if known.digest != event.key.digest:
            return [do.Refuse(event.request, Refusal.CONFLICT)]
        if event.key.key in self._recent and known.same(event.key):
            return [do.Acknowledge(event.request, True)]
        return self._append_new(event)  # known of another division: the catalog decides, it may have forgotten both

    def _append_again(self, same: _Waiting, event: on.Append) -> list[Effect]:
        if same.key.same(event.key):
            same.requests.append(event.request)
            return []
        why = Refusal.DIVIDED if same.key.digest == event.key.digest else Refusal.CONFLICT
        return [do.Refuse(event.request, why)]

    def _append_new(self, event: on.Append) -> list[Effect]:
        if self.phase is not Phase.OPEN:
            return [do.Refuse(event.request, Refusal.MOVED)]
        if self._held and self._held + event.size > self.limits.waiting_bytes:
            return [do.Refuse(event.request, Refusal.BUSY)]
        self._waiting[event.key.key] = _Waiting(event.key, event.body, event.size, [event.request])
        self._held += event.size
        return self._write() if self._held >= self.limits.segment_bytes else []

    def _flush(self, _: on.Flush) -> list[Effect]:
        return self._go_on()

    def _write(self) -> list[Effect]:
        open_for_it = self.phase in (Phase.OPEN, Phase.DRAINING) and not self._erasing.wanted
        if self._flying or not self._waiting or not open_for_it:
            return []
        size = 0
        while self._waiting and (not self._flying or size + self._head.size <= self.limits.segment_bytes):
            size += self._head.size
            self._flying.append(self._waiting.popitem(last=False)[1])
        return [do.WriteSegment(self.epoch, self._number(), tuple(w.body for w in self._flying))]

    @property
    def _head(self) -> _Waiting:
        return next(iter(self._waiting.values()))

    def _segment_written(self, event: on.SegmentWritten) -> list[Effect]:
        self._written = event
        keys = tuple(waiting.key for waiting in self._flying)
        return [do.Register(self.epoch, event.sequence, event.path, event.size, event.sha256, keys, event.times)]

    def _write_failed(self, _: on.WriteFailed) -> list[Effect]:
        refused = [answer for waiting in self._flying for answer in self._refuse(waiting, Refusal.FAILED)]
        self._flying = []
        return refused + self._go_on()

    def _answered(self, event: on.RegistrationAnswered) -> list[Effect]:
        match event.outcome:
            case Registered(position) if position == self.position + 1:
                return self._registered(position)
            case Rejected() as rejected:
                return self._rejected(rejected)
            case Registered():
                return self._unknown(None)
            case _:
                return self._stop(event)

    def _registered(self, position: int) -> list[Effect]:
        flying, self._flying = self._flying, []
        written = self._written
        assert written is not None
        self.position = position
        done: list[Effect] = [do.Count(position, tuple(waiting.body for waiting in flying))]
        for waiting in flying:
            self._remember(waiting.key)
            done += self._acknowledge(waiting, again=False)
        messages = sum(waiting.key.messages for waiting in flying)
        entry = (position, position, self.epoch, written.sequence, written.path, written.size, written.sha256, messages)
        self._upkeep.passed(Entry(*entry, times=written.times))
        return done + self._go_on()

    def _rejected(self, rejected: Rejected) -> list[Effect]:
        assert self._written is not None
        done: list[Effect] = [do.Discard(self._written.path)]
        rest: list[_Waiting] = []
        refused = {
            **dict.fromkeys(rejected.conflicting, Refusal.CONFLICT), **dict.fromkeys(rejected.divided, Refusal.DIVIDED),
            **dict.fromkeys(rejected.forgotten, Refusal.FORGOTTEN),
        }  # fmt: skip
        for waiting in self._flying:
            key = waiting.key.key
            if key in rejected.known:
                self._remember(waiting.key)
                done += self._acknowledge(waiting, again=True)
            elif key in refused:
                done += self._refuse(waiting, refused[key])
            else:
                rest.append(waiting)
        self._back(rest)
        return done + self._write() + self._go_on()

    def _unknown(self, _: object) -> list[Effect]:
        # Only if nobody else took the shard meanwhile: what this one holds in memory must be all but the unknown.
        self._back(self._flying)
        self.phase = Phase.RECOVERING
        self._upkeep.abandon()
        return [do.TakeLease(self.epoch)]

    def _back(self, waiting: list[_Waiting]) -> None:
        self._flying = []
        for each in reversed(waiting):
            self._waiting[each.key.key] = each
            self._waiting.move_to_end(each.key.key, last=False)

    def _stop(self, _: object) -> list[Effect]:
        self.phase = Phase.STOPPED
        left = [*self._flying, *self._waiting.values()]
        self._flying, self._waiting = [], OrderedDict()
        told = [answer for waiting in left for answer in self._refuse(waiting, Refusal.MOVED)]
        while self._erasing.wanted:
            told.append(self._erasing.failed(Refusal.MOVED.value))
        return told

    def _acknowledge(self, waiting: _Waiting, *, again: bool) -> list[Effect]:
        self._held -= waiting.size
        return [do.Acknowledge(request, again) for request in waiting.requests]

    def _refuse(self, waiting: _Waiting, why: Refusal) -> list[Effect]:
        self._held -= waiting.size
        return [do.Refuse(request, why) for request in waiting.requests]

    def _remember(self, key: BatchKey) -> None:
        self._recent[key.key] = key
        self._recent.move_to_end(key.key)
        while len(self._recent) > self.limits.recent_keys:
            self._recent.popitem(last=False)

    # Upkeep, one thing at a time: snapshots, merging, giving back.

    def _go_on(self) -> list[Effect]:
        if self.phase not in (Phase.OPEN, Phase.DRAINING):
            return []
        done = self._write()
        if self._erasing.wanted:
            return self._begin_erasing()
        leaving = self.phase is Phase.DRAINING and not self._flying and not self._waiting
        due = self._upkeep.next(self.epoch, self._sequence, self.position, leaving=leaving)
        if due is not None:
            self._sequence += 1
            done.append(due)
        return done

    def _number(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _snapshot_due(self, _: on.SnapshotDue) -> list[Effect]:
        self._upkeep.snapshot_wanted = True
        return self._go_on()

    def _merge_due(self, _: on.MergeDue) -> list[Effect]:
        self._upkeep.merge_wanted = True
        return self._go_on()

    def _upkeep_event(self, event: Any) -> list[Effect]:
        if self._upkeep.flying != (event.epoch, event.sequence):
            return []  # of a former epoch
        match event:
            case on.SnapshotWritten():
                return self._upkeep.snapshot_written(event)
            case on.MergeWritten():
                return self._upkeep.merge_written(event)
            case on.SnapshotAnswered(freed=None):
                return self._stop(event)
            case on.SnapshotAnswered():
                return self._upkeep.snapshot_answered(event) + self._go_on()
            case on.MergeAnswered():
                return self._upkeep.merge_answered(event) + self._go_on()
            case _:
                self._upkeep.failed()
                return self._go_on()

    # Erasing: under a new epoch, so that nothing of the old one is left to be registered and all of it can be swept.

    def _erase(self, event: on.Erase) -> list[Effect]:
        self._erasing.ask(event)
        return self._go_on()

    def _begin_erasing(self) -> list[Effect]:
        return [] if self._flying else self._unknown(None)

    def _erasure_written(self, event: on.ErasureWritten) -> list[Effect]:
        return self._erasing.register(event) or [do.Sweep(self.epoch), self._erasing.done(), *self._look_on()]

    def _erasure_answered(self, event: on.ErasureAnswered) -> list[Effect]:
        if not event.taken:
            return self._stop(event)
        self._begin_again()
        return [do.Sweep(self.epoch), self._erasing.done(), *self._look_on()]

    def _erasure_unknown(self, _: on.ErasureUnknown) -> list[Effect]:
        self._begin_again()  # it may have happened, and the second attempt would find nothing left to erase
        return self._unknown(None)

    def _begin_again(self) -> None:
        # The snapshot is gone with what it held: statistics are counted again from what is left of the journal.
        self.position, self._fresh = -1, True
        self.damaged.clear()
        self._upkeep.begin_again()

    def _erasure_failed(self, event: on.ErasureFailed) -> list[Effect]:
        return [self._erasing.failed(event.reason), *self._look_on()]

    def _drain(self, _: on.Drain) -> list[Effect]:
        self._draining = True
        if self.phase is Phase.OPEN:
            self.phase = Phase.DRAINING
        return self._go_on()

    def _given_back(self, _: on.GivenBack) -> list[Effect]:
        self.phase = Phase.GIVEN_BACK
        return []
