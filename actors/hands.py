"""The hands of a shard: they carry out its effects on a storage, a manifest and a tally."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..cluster.database import OutcomeUnknownError
from ..cluster.entries import Change, Entry, Erasure, Merge, Registration, SnapshotEntry, object_path, shard_folder
from ..cluster.erasure import times_of, without
from ..cluster.journal import read_object, read_records
from ..cluster.manifest import Manifest
from ..cluster.segment import Record, encode_record, encode_segment, merged_segment
from ..cluster.storage import Storage
from ..discovery.errors import QbitelError
from . import effects as do
from . import events as on
from .effects import Effect
from .events import Event
from .tally import Tally


@dataclass(frozen=True, slots=True)
class Body:
    """What is appended: a record, and its bytes in a segment."""

    record: Record
    encoded: bytes


class Hands:
    """
    What one virtual shard's effects do; ``Register`` is left to the node, which puts those of many shards together.

    Args:
        tell: takes what a sender is told: request, and None or why it was refused.
        report: takes what people must know: damaged objects.
        erased: takes what who asked for an erasure is told: request, and what was removed or why nothing was.
    """

    def __init__(
        self, storage: Storage, manifest: Manifest, stream: str, shard: int, owner: str, tally: Tally,
        tell: Callable[[int, do.Refusal | None], None], report: Callable[[str], None],
        erased: Callable[[int, do.Removed | str], None],
    ) -> None:  # fmt: skip
        self._storage, self._manifest = storage, manifest
        self._stream, self._shard, self._owner = stream, shard, owner
        self.tally, self._tell, self._report = tally, tell, report
        self._acts: dict[type, Callable[[Any], Event | None]] = {
            do.TakeLease: self._take_lease, do.ReadManifest: self._read_manifest, do.LoadSnapshot: self._load_snapshot,
            do.CountSegment: self._count_segment, do.Quarantine: self._quarantine, do.Sweep: self._sweep,
            do.WriteSegment: self._write_segment, do.Count: self._count, do.Acknowledge: self._acknowledge,
            do.Refuse: self._refuse, do.WriteSnapshot: self._write_snapshot,
            do.RegisterSnapshot: self._register_snapshot, do.WriteMerged: self._write_merged,
            do.RegisterMerged: self._register_merged, do.Discard: self._discard, do.GiveBack: self._give_back,
            do.WriteErasure: self._write_erasure, do.RegisterErasure: self._register_erasure,
            do.Erased: lambda effect: erased(effect.request, effect.removed),
            do.NotErased: lambda effect: erased(effect.request, effect.reason),
        }  # fmt: skip

    def perform(self, effect: Effect) -> Event | None:
        """Carry an effect out and return the event that answers it; what needs no answer may fail, and is reported."""
        act = self._acts[type(effect)]
        if not isinstance(effect, do.Quarantine | do.Sweep | do.Discard | do.GiveBack):
            return act(effect)
        try:
            return act(effect)
        except (QbitelError, OSError) as error:
            self._report(str(error))
            return on.GivenBack() if isinstance(effect, do.GiveBack) else None

    def registration(self, effect: do.Register) -> Registration:
        """Return what the manifest is asked."""
        segment = (effect.epoch, effect.sequence, effect.path, effect.size, effect.sha256, effect.keys, effect.times)
        return Registration(self._stream, self._shard, *segment)

    def _take_lease(self, effect: do.TakeLease) -> Event:
        try:
            epoch = self._manifest.take_lease(self._stream, self._shard, self._owner, effect.expected)
        except OutcomeUnknownError as error:
            return on.RecoveryFailed(str(error))
        return on.LeaseLost() if epoch is None else on.LeaseTaken(epoch)

    def _read_manifest(self, effect: do.ReadManifest) -> Event:
        try:
            snapshot = self._manifest.snapshot(self._stream, self._shard) if effect.snapshot else None
            after = snapshot.position if snapshot else effect.after
            return on.ManifestRead(snapshot, tuple(self._manifest.entries(self._stream, self._shard, after)))
        except OutcomeUnknownError as error:
            return on.RecoveryFailed(str(error))

    def _load_snapshot(self, effect: do.LoadSnapshot) -> Event:
        snapshot = effect.snapshot
        try:
            self.tally.load(read_object(self._storage, snapshot) if snapshot else None)
        except QbitelError as error:
            return on.SnapshotDamaged(str(error))
        return on.SnapshotLoaded()

    def _count_segment(self, effect: do.CountSegment) -> Event:
        try:
            records = read_records(self._storage, effect.entry)
        except QbitelError as error:
            return self._unreadable(effect.entry, str(error))
        self.tally.add(records, effect.entry.size)
        return on.SegmentCounted(effect.entry.position, tuple(record.key for record in records))

    def _unreadable(self, entry: Entry, reason: str) -> Event:
        # Superseded while it read, a copy misses what its successor has merged: it is stale, and nothing is damaged.
        try:
            needed = entry.path in self._manifest.referenced(self._stream, self._shard)
        except OutcomeUnknownError as error:
            return on.RecoveryFailed(str(error))
        return on.SegmentDamaged(entry.position, reason) if needed else on.RecoveryFailed("merged by another")

    def _quarantine(self, effect: do.Quarantine) -> None:
        of_journal = effect.position >= 0
        if not of_journal or self._manifest.mark_damaged(self._stream, self._shard, effect.path, effect.reason):
            self._report(f"{self._storage.place(effect.path)}: {effect.reason}")

    def _sweep(self, effect: do.Sweep) -> None:
        folder = shard_folder(self._stream, self._shard)
        older = [name for name in self._storage.names(folder) if name.isdecimal() and int(name) < effect.below]
        if not older:
            return
        known = self._manifest.referenced(self._stream, self._shard)
        for epoch in older:
            for name in self._storage.names(f"{folder}/{epoch}"):
                if f"{folder}/{epoch}/{name}" not in known:
                    self._storage.delete(f"{folder}/{epoch}/{name}")

    def _write_segment(self, effect: do.WriteSegment) -> Event:
        data = encode_segment([body.encoded for body in effect.bodies])
        try:
            path = self._create(effect.epoch, effect.sequence, "segment", data)
        except QbitelError as error:
            return on.WriteFailed(effect.sequence, str(error))
        times = times_of(body.record for body in effect.bodies)
        return on.SegmentWritten(effect.sequence, path, len(data), sha256(data).hexdigest(), times)

    def _count(self, effect: do.Count) -> None:
        self.tally.add((body.record for body in effect.bodies), sum(len(body.encoded) for body in effect.bodies))

    def _acknowledge(self, effect: do.Acknowledge) -> None:
        self._tell(effect.request, None)

    def _refuse(self, effect: do.Refuse) -> None:
        self._tell(effect.request, effect.why)

    def _write_snapshot(self, effect: do.WriteSnapshot) -> Event:
        data = self.tally.to_bytes()
        try:
            path = self._create(effect.epoch, effect.sequence, "snapshot", data)
        except QbitelError:
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        snapshot = SnapshotEntry(effect.position, effect.epoch, path, len(data), sha256(data).hexdigest())
        return on.SnapshotWritten(effect.epoch, effect.sequence, snapshot)

    def _register_snapshot(self, effect: do.RegisterSnapshot) -> Event:
        snapshot = effect.snapshot
        try:
            freed = self._manifest.add_snapshot(self._stream, self._shard, snapshot)
        except OutcomeUnknownError:
            return on.UpkeepFailed(snapshot.epoch, effect.sequence)
        answer = None if freed is None else tuple(freed)
        return on.SnapshotAnswered(snapshot.epoch, effect.sequence, snapshot.position, answer)

    def _write_merged(self, effect: do.WriteMerged) -> Event:
        try:
            parts = [entry for entry in effect.entries if entry.path]
            data = merged_segment(
                [(read_object(self._storage, entry), self._storage.place(entry.path)) for entry in parts]
            )
            path = self._create(effect.epoch, effect.sequence, "segment", data)
        except QbitelError:
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        digest = sha256(data).hexdigest()
        return on.MergeWritten(effect.epoch, effect.sequence, effect.entries, path, len(data), digest)

    def _register_merged(self, effect: do.RegisterMerged) -> Event:
        span = (effect.epoch, effect.first, effect.position)
        merge = Merge(self._stream, self._shard, *span, effect.sequence, effect.path, effect.size, effect.sha256)
        try:
            freed = self._manifest.merge(merge)
        except OutcomeUnknownError:
            return on.UpkeepFailed(effect.epoch, effect.sequence)
        answer = (effect.path,) if freed is None else tuple(freed)
        return on.MergeAnswered(effect.epoch, effect.sequence, effect.position, answer)

    def _write_erasure(self, effect: do.WriteErasure) -> Event:
        changes: list[Change] = []
        unread: list[str] = []
        try:
            for number, entry in enumerate(effect.entries):
                if effect.span.covers(entry.times):
                    changes.append(Change(entry.position, entry.path))
                elif (change := self._left_of(effect, entry, f"{number}.segment")) is None:
                    unread.append(self._storage.place(entry.path))
                elif change.messages < entry.messages:
                    changes.append(change)
        except (QbitelError, OSError) as error:
            return on.ErasureFailed(effect.epoch, str(error))
        return on.ErasureWritten(effect.epoch, tuple(changes), tuple(unread))

    def _left_of(self, effect: do.WriteErasure, entry: Entry, kind: str) -> Change | None:
        """Write what is left of a segment, and return the change; None where it cannot be read."""
        try:
            records = read_records(self._storage, entry)
        except QbitelError:
            return None
        left = without(records, effect.span)
        messages = sum(record.key.messages for record in left)
        if messages in (0, entry.messages):
            return Change(entry.position, entry.path, messages=messages)
        data = encode_segment([encode_record(record) for record in left])
        path = self._create(effect.epoch, effect.sequence, kind, data)
        digest = sha256(data).hexdigest()
        return Change(entry.position, entry.path, path, len(data), digest, messages, times_of(left))

    def _register_erasure(self, effect: do.RegisterErasure) -> Event:
        erasure = Erasure(self._stream, self._shard, effect.epoch, effect.span, effect.changes)
        try:
            taken = self._manifest.erase(erasure)
        except OutcomeUnknownError:
            return on.ErasureUnknown(effect.epoch)
        return on.ErasureAnswered(effect.epoch, taken)

    def _discard(self, effect: do.Discard) -> None:
        self._storage.delete(effect.path)

    def _give_back(self, effect: do.GiveBack) -> Event:
        self._manifest.give_back(self._stream, self._shard, effect.epoch)
        return on.GivenBack()

    def _create(self, epoch: int, sequence: int, kind: str, data: bytes) -> str:
        path = object_path(self._stream, self._shard, epoch, sequence, kind)
        self._storage.create(path, data)
        return path
