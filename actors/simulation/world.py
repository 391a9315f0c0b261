"""The disk and the catalog of a simulation: what survives when a process stops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ...cluster.entries import (
    BatchKey,
    Entry,
    Erasure,
    KnownBatch,
    Merge,
    Outcome,
    Registered,
    Registration,
    Rejected,
    SnapshotEntry,
    Superseded,
)
from ...cluster.redirects import Redirect


@dataclass(frozen=True)
class Guards:
    """What the catalog checks; a campaign without one of them must report losses or doubles."""

    compare_epoch: bool = True
    unique_keys: bool = True
    forget_snapshot: bool = True  # when messages are erased
    one_division: bool = True  # of a batch, whatever redirects came since its first part


@dataclass
class _Lease:
    epoch: int = 0
    last: int = -1


@dataclass
class SimulatedCatalog:
    """
    The manifest of one stream in memory: the same decisions as ``cluster.manifest``, without a database.

    A test holds it against the real one.
    """

    guards: Guards = Guards()
    horizon: int = 0
    leases: dict[int, _Lease] = field(default_factory=dict)
    journal: dict[int, list[Entry]] = field(default_factory=dict)
    keys: dict[tuple[str, int], BatchKey] = field(default_factory=dict)
    batches: dict[str, BatchKey] = field(default_factory=dict)  # the first part of each
    redirected: list[Redirect] = field(default_factory=list)
    newest: dict[int, SnapshotEntry] = field(default_factory=dict)
    erased: dict[int, int] = field(default_factory=dict)  # the epoch that last erased of each shard

    def take_lease(self, shard: int, expected: int | None = None) -> int | None:
        """Raise the epoch; None where it is not the expected one."""
        lease = self.leases.setdefault(shard, _Lease())
        if expected is not None and self.guards.compare_epoch and lease.epoch != expected:
            return None
        lease.epoch += 1
        return lease.epoch

    def register(self, request: Registration) -> Outcome:
        """Decide on a segment."""
        lease = self.leases.get(request.shard, _Lease())
        if not self._holds(request.shard, request.epoch):
            return Superseded(lease.epoch)
        rejected = self._rejected(request) if self.guards.unique_keys else None
        if rejected:
            return rejected
        lease.last += 1
        messages = sum(key.messages for key in request.keys)
        entry = Entry(
            lease.last, lease.last, request.epoch, request.sequence, request.path, request.size, request.sha256,
            messages, times=request.times,
        )  # fmt: skip
        self.journal.setdefault(request.shard, []).append(entry)
        for key in request.keys:
            self.keys[key.key, request.shard] = key
            self.batches.setdefault(key.key, key)
        return Registered(lease.last)

    def _rejected(self, request: Registration) -> Rejected | None:
        found: dict[str, set[str]] = {}
        for key in request.keys:
            why = self._fault(key, request.shard)
            if why:
                found.setdefault(why, set()).add(key.key)
        return Rejected(**{why: frozenset(keys) for why, keys in found.items()}) if found else None

    def _fault(self, key: BatchKey, shard: int) -> str:
        first = self.batches.get(key.key, key)
        if first.digest != key.digest:
            return "conflicting"
        if first.division != key.division and self.guards.one_division:
            return "divided"
        if (key.key, shard) in self.keys:
            return "known"
        return "forgotten" if key.made < self.horizon else ""

    def known(self, key: str) -> KnownBatch | None:
        """Return what is known of a batch."""
        first = self.batches.get(key)
        shards = frozenset(shard for name, shard in self.keys if name == key)
        return KnownBatch(first.digest, first.division, shards) if first else None

    def redirect(self, redirect: Redirect) -> int:
        """Append a redirect, and return how many there are."""
        self.redirected.append(redirect)
        return len(self.redirected)

    def forget(self, before: int) -> int:
        """Raise the horizon, and forget older keys."""
        self.horizon = max(self.horizon, before)
        self.keys = {at: key for at, key in self.keys.items() if key.made >= self.horizon}
        self.batches = {key: first for key, first in self.batches.items() if first.made >= self.horizon}
        return self.horizon

    def entries(self, shard: int, after: int = -1) -> list[Entry]:
        """Return the journal from the position after ``after`` on."""
        return [entry for entry in self.journal.get(shard, []) if entry.position > after]

    def snapshot(self, shard: int) -> SnapshotEntry | None:
        """Return the newest snapshot."""
        return self.newest.get(shard)

    def add_snapshot(self, shard: int, snapshot: SnapshotEntry) -> list[str] | None:
        """Let a snapshot be the newest; what it replaces, or None where the lease has another epoch."""
        if not self._holds(shard, snapshot.epoch):
            return None
        held = self.newest.get(shard)
        if held is not None and held.position > snapshot.position:
            return [snapshot.path]
        self.newest[shard] = snapshot
        return [held.path] if held else []

    def merge(self, merge: Merge) -> list[str] | None:
        """Let one segment stand for several; None where nothing was done."""
        held = self.journal.get(merge.shard, [])
        parts = [entry for entry in held if entry.first >= merge.first and entry.position <= merge.position]
        if not self._holds(merge.shard, merge.epoch) or not self._mergeable(parts, merge):
            return None
        whole = merge.entry(parts)
        rest = [entry for entry in held if entry not in parts]
        self.journal[merge.shard] = sorted([*rest, whole], key=lambda entry: entry.position)
        return [entry.path for entry in parts if entry.path]

    def erase(self, erasure: Erasure) -> bool:
        """Take messages out of a journal; False where the lease has another epoch."""
        held = {entry.position: entry for entry in self.journal.get(erasure.shard, [])}
        same = all(change.position in held and held[change.position].path == change.was for change in erasure.changes)
        if not same or not self._holds(erasure.shard, erasure.epoch):
            return False
        for change in erasure.changes:
            entry = held[change.position]
            held[change.position] = replace(
                entry, path=change.path, size=change.size, sha256=change.sha256, messages=change.messages,
                times=change.times, damaged="", erased=entry.erased + entry.messages - change.messages,
            )  # fmt: skip
        self.journal[erasure.shard] = list(held.values())
        self.erased[erasure.shard] = erasure.epoch
        if self.guards.forget_snapshot:
            self.newest.pop(erasure.shard, None)
        return True

    def _mergeable(self, parts: list[Entry], merge: Merge) -> bool:
        snapshot = self.newest.get(merge.shard)
        if snapshot is None or snapshot.position < merge.position or not parts:
            return False
        whole = (parts[0].first, parts[-1].position) == (merge.first, merge.position)
        return whole and not any(entry.damaged for entry in parts)

    def mark_damaged(self, shard: int, path: str, reason: str) -> bool:
        """Put an entry in quarantine; False where no entry has that object."""
        held = self.journal.get(shard, [])
        self.journal[shard] = [replace(entry, damaged=reason) if entry.path == path else entry for entry in held]
        return any(entry.path == path for entry in held)

    def referenced(self, shard: int) -> set[str]:
        """Return the paths that the catalog knows."""
        paths = {entry.path for entry in self.journal.get(shard, [])} - {""}
        return paths | ({self.newest[shard].path} if shard in self.newest else set())

    def _holds(self, shard: int, epoch: int) -> bool:
        return not self.guards.compare_epoch or self.leases.get(shard, _Lease()).epoch == epoch


@dataclass
class SimulatedDisk:
    """Objects by path; None stands for one that was cut short."""

    objects: dict[str, Any] = field(default_factory=dict)

    def create(self, path: str, content: Any) -> bool:
        """Write an object; False where there is one of that path."""
        if path in self.objects:
            return False
        self.objects[path] = content
        return True

    def sweep(self, shard: int, below: int, known: set[str]) -> None:
        """Delete the objects of older epochs that are not known."""
        for path in list(self.objects):
            _, _, owner, epoch, _ = path.split("/")
            if int(owner) == shard and int(epoch) < below and path not in known:
                del self.objects[path]
