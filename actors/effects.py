"""What a shard wants done, in the order given; each is answered by the event named in its docstring."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..cluster.buckets import Span, Times
from ..cluster.entries import BatchKey, Change, Entry, SnapshotEntry


class Refusal(Enum):
    """Why a batch was not taken; after the first four the sender sends it again."""

    BUSY = "too much waits already"
    MOVED = "the shard is held by another, or is not ready"
    FAILED = "the segment was not written"
    DIVIDED = "parts of it are in the journal, or wait, divided under other redirects"
    CONFLICT = "the key was used for other messages"
    FORGOTTEN = "the key is older than the horizon"

    @property
    def retry(self) -> bool:
        """Whether sending the batch again under its key may succeed; after DIVIDED, divided as the catalog says."""
        return self in (Refusal.BUSY, Refusal.MOVED, Refusal.FAILED, Refusal.DIVIDED)


@dataclass(frozen=True, slots=True)
class Removed:
    """
    What was taken out of a journal.

    Attributes:
        messages: erased. segments: objects that are gone. rewritten: of these, written anew without what was erased.
        bytes: by which segments are less. unread: segments that cannot be read and may hold messages of the span.
    """

    messages: int = 0
    segments: int = 0
    rewritten: int = 0
    bytes: int = 0
    unread: tuple[str, ...] = ()

    def __add__(self, other: Removed) -> Removed:
        """Return both together."""
        return Removed(
            self.messages + other.messages, self.segments + other.segments, self.rewritten + other.rewritten,
            self.bytes + other.bytes, self.unread + other.unread,
        )  # fmt: skip


NOTHING = Removed()


@dataclass(frozen=True, slots=True)
class TakeLease:
    """Raise the epoch, if it is ``expected`` where that is given: LeaseTaken, LeaseLost or RecoveryFailed."""

    expected: int | None


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """Read snapshot (where wanted) and the entries after it, or after ``after``: ManifestRead or RecoveryFailed."""

    after: int
    snapshot: bool


@dataclass(frozen=True, slots=True)
class LoadSnapshot:
    """Let the statistics be those of a snapshot, or empty: SnapshotLoaded, SnapshotDamaged or RecoveryFailed."""

    snapshot: SnapshotEntry | None


@dataclass(frozen=True, slots=True)
class CountSegment:
    """Read a segment and count its messages: SegmentCounted, SegmentDamaged or RecoveryFailed."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Mark an entry as damaged in the catalog, and tell people; no answer."""

    position: int
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete the objects of older epochs that the catalog does not know; no answer."""

    below: int


@dataclass(frozen=True, slots=True)
class WriteSegment:
    """Write a segment that must not exist yet: SegmentWritten or WriteFailed."""

    epoch: int
    sequence: int
    bodies: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """Register a segment: RegistrationAnswered or RegistrationUnknown."""

    epoch: int
    sequence: int
    path: str
    size: int
    sha256: str
    keys: tuple[BatchKey, ...]
    times: Times


@dataclass(frozen=True, slots=True)
class Count:
    """Count the messages of a segment that was just registered; no answer."""

    position: int
    bodies: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell the sender that its messages on this shard are in the journal, once; no answer."""

    request: int
    again: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the sender that its messages were not taken now; no answer."""

    request: int
    why: Refusal


@dataclass(frozen=True, slots=True)
class WriteSnapshot:
    """Write the statistics as they are at this moment, which is after ``position``: SnapshotWritten or UpkeepFailed."""

    epoch: int
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class RegisterSnapshot:
    """Let a snapshot be the newest: SnapshotAnswered or UpkeepFailed."""

    sequence: int
    snapshot: SnapshotEntry


@dataclass(frozen=True, slots=True)
class WriteMerged:
    """Read entries and write their records as one segment: MergeWritten or UpkeepFailed."""

    epoch: int
    sequence: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class RegisterMerged:
    """Let a merged segment stand for entries: MergeAnswered or UpkeepFailed."""

    epoch: int
    sequence: int
    first: int
    position: int
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete an object that the catalog does not know (any more); no answer, and a sweep deletes what is left."""

    path: str


@dataclass(frozen=True, slots=True)
class WriteErasure:
    """Read entries, and write of each what is left without the span: ErasureWritten or ErasureFailed."""

    epoch: int
    sequence: int
    entries: tuple[Entry, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class RegisterErasure:
    """Change the journal, and forget the snapshot: ErasureAnswered or ErasureUnknown."""

    epoch: int
    span: Span
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Erased:
    """Tell who asked that no message of the span is in the journal, and what was removed; no answer."""

    request: int
    removed: Removed


@dataclass(frozen=True, slots=True)
class NotErased:
    """Tell who asked that nothing was erased; no answer."""

    request: int
    reason: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Tell the catalog that nobody holds the shard: GivenBack."""

    epoch: int


Effect = (
    TakeLease | ReadManifest | LoadSnapshot | CountSegment | Quarantine | Sweep | WriteSegment | Register | Count
    | Acknowledge | Refuse | WriteSnapshot | RegisterSnapshot | WriteMerged | RegisterMerged | Discard | WriteErasure
    | RegisterErasure | Erased | NotErased | GiveBack
)  # fmt: skip
