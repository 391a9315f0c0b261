"""What keeps the journal of a shard short: snapshots and merged segments, one in flight at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..cluster.entries import Entry
from . import effects as do
from . import events as on
from .effects import Effect
from .limits import ShardLimits


@dataclass
class Upkeep:
    """
    Decides on snapshots and merges, and remembers the one in flight by epoch and number.

    Attributes:
        snapshot_position: what the newest snapshot holds, or -1.
    """

    limits: ShardLimits
    snapshot_position: int = -1
    snapshot_wanted: bool = False
    merge_wanted: bool = False
    flying: tuple[int, int] | None = None
    _failed: bool = False
    _bytes_since: int = 0
    _small: list[Entry] = field(default_factory=list)

    def abandon(self) -> None:
        """Forget what is in flight: its answers, if they come, are of a former epoch."""
        self.flying = None

    def begin_again(self) -> None:
        """Forget the snapshot and the entries: they are counted anew, and what comes of it is kept in a snapshot."""
        self.snapshot_position, self.snapshot_wanted = -1, True
        self._bytes_since, self._small, self._failed = 0, [], False

    def passed(self, entry: Entry) -> None:
        """Note an entry that the statistics hold now."""
        self._bytes_since += entry.size
        if self._bytes_since >= self.limits.snapshot_bytes:
            self.snapshot_wanted = True
        if entry.size >= self.limits.merge_below or entry.damaged:
            self._small = []
        else:
            self._small.append(entry)
        if len(self._small) >= self.limits.merge_count:
            self.merge_wanted = True

    def next(self, epoch: int, sequence: int, position: int, *, leaving: bool) -> Effect | None:
        """Return what is due; ``leaving`` asks for a last snapshot (tried once), then for giving back."""
        if self.flying:
            return None
        effect: Effect | None = None
        if position > self.snapshot_position and (self.snapshot_wanted or (leaving and not self._failed)):
            effect = do.WriteSnapshot(epoch, sequence, position)
        elif leaving:
            effect = do.GiveBack(epoch)
        elif self.merge_wanted:
            effect = self._merge(epoch, sequence)
        if effect is not None:
            self.flying = (epoch, sequence)
        return effect

    def snapshot_written(self, event: on.SnapshotWritten) -> list[Effect]:
        """Register a snapshot that is durable."""
        return [do.RegisterSnapshot(event.sequence, event.snapshot)]

    def snapshot_answered(self, event: on.SnapshotAnswered) -> list[Effect]:
        """Note a snapshot that the catalog knows, and discard what it takes the place of."""
        self.flying, self.snapshot_wanted, self._bytes_since = None, False, 0
        self.snapshot_position = event.position
        return [do.Discard(path) for path in event.freed or ()]

    def merge_written(self, event: on.MergeWritten) -> list[Effect]:
        """Register a merged segment that is durable."""
        span = (event.entries[0].first, event.entries[-1].position)
        return [do.RegisterMerged(event.epoch, event.sequence, *span, event.path, event.size, event.sha256)]

    def merge_answered(self, event: on.MergeAnswered) -> list[Effect]:
        """Forget the parts of a merge, and discard them where it was taken."""
        self.flying, self.merge_wanted = None, False
        self._small = [entry for entry in self._small if entry.position > event.position]
        return [do.Discard(path) for path in event.freed]

    def failed(self) -> None:
        """Let the next snapshot or merge come of itself: when there is more of it to do."""
        self.flying, self.snapshot_wanted, self.merge_wanted = None, False, False
        self._bytes_since, self._small, self._failed = 0, [], True

    def _merge(self, epoch: int, sequence: int) -> Effect | None:
        # Only what the snapshot holds: a replay after it must never begin within a merged segment.
        parts = tuple(entry for entry in self._small if entry.position <= self.snapshot_position)
        if len(parts) < 2:
            if len(self._small) >= self.limits.merge_count:
                self.snapshot_wanted = True
            else:
                self.merge_wanted = False
            return None
        return do.WriteMerged(epoch, sequence, parts[: self.limits.merge_count])
