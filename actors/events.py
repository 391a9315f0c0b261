"""What a shard is told: requests of senders, and the answers of storage and catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cluster.buckets import Span, Times
from ..cluster.entries import BatchKey, Change, Entry, Outcome, SnapshotEntry


@dataclass(frozen=True, slots=True)
class Start:
    """Take the shard over, whoever holds it."""


@dataclass(frozen=True, slots=True)
class LeaseTaken:
    """The lease is this shard's, under this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Another has taken the lease, or nobody knows who has it."""


@dataclass(frozen=True, slots=True)
class ManifestRead:
    """The newest snapshot, where it was asked for, and the entries after what the statistics hold, in order."""

    snapshot: SnapshotEntry | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class SnapshotLoaded:
    """The statistics are those of the snapshot, or empty where there was none."""


@dataclass(frozen=True, slots=True)
class SnapshotDamaged:
    """The snapshot cannot be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class SegmentCounted:
    """A segment was read and its messages are in the statistics; these are the keys of its batches."""

    position: int
    keys: tuple[BatchKey, ...]


@dataclass(frozen=True, slots=True)
class SegmentDamaged:
    """A segment of the journal cannot be read."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Append:
    """
    Add a batch's messages on this shard.

    Attributes:
        request: comes back with the answer. body: what is written; the shard never looks into it. size: its bytes.
    """

    request: int
    key: BatchKey
    body: Any
    size: int


@dataclass(frozen=True, slots=True)
class Flush:
    """Write what waits, though it is little."""


@dataclass(frozen=True, slots=True)
class SegmentWritten:
    """The segment of that number is durable."""

    sequence: int
    path: str
    size: int
    sha256: str
    times: Times


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """An object of that number was not written, or only in part; nobody will look at it."""

    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class RegistrationAnswered:
    """The catalog has decided on the segment."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RegistrationUnknown:
    """The catalog did not answer: the segment is registered or is not."""


@dataclass(frozen=True, slots=True)
class SnapshotDue:
    """Take a snapshot as soon as may be."""


@dataclass(frozen=True, slots=True)
class SnapshotWritten:
    """The snapshot of that number is durable."""

    epoch: int
    sequence: int
    snapshot: SnapshotEntry


@dataclass(frozen=True, slots=True)
class SnapshotAnswered:
    """The catalog knows the snapshot; ``freed`` are the objects nobody needs now, None where the lease is another's."""

    epoch: int
    sequence: int
    position: int
    freed: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class MergeDue:
    """Put small segments together."""


@dataclass(frozen=True, slots=True)
class MergeWritten:
    """The merged segment of that number is durable; ``entries`` are its parts."""

    epoch: int
    sequence: int
    entries: tuple[Entry, ...]
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class UpkeepFailed:
    """A snapshot or a merge was not registered, or nobody knows whether it was: it is tried again some time."""

    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class MergeAnswered:
    """
    The catalog has decided on a merged segment that stands for all entries up to ``position``.

    Attributes:
        freed: the objects that nobody needs now; where it was not taken, that is the merged segment itself.
    """

    epoch: int
    sequence: int
    position: int
    freed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Erase:
    """Take the messages of a part of the event time out; ``request`` is told when it is done."""

    request: int
    span: Span


@dataclass(frozen=True, slots=True)
class ErasureWritten:
    """
    What is left of the entries that hold messages of the span is durable.

    Attributes:
        changes: of those entries; none where no message is of the span. unread: segments that cannot be read and are
            not wholly in the span, so that nobody knows what they hold.
    """

    epoch: int
    changes: tuple[Change, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErasureFailed:
    """Nothing was written that counts: the messages are still there, and who asked hears why."""

    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class ErasureAnswered:
    """The catalog has changed the journal; or not, where the lease is another's."""

    epoch: int
    taken: bool


@dataclass(frozen=True, slots=True)
class ErasureUnknown:
    """The catalog did not answer: the journal is changed or is not."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing more, finish what was begun, and give the shard back."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The catalog knows that nobody holds the shard."""


@dataclass(frozen=True, slots=True)
class RecoveryFailed:
    """Catalog or storage did not answer while the shard was taken over."""

    reason: str


Event = (
    Start | LeaseTaken | LeaseLost | ManifestRead | SnapshotLoaded | SnapshotDamaged | SegmentCounted | SegmentDamaged
    | Append | Flush | SegmentWritten | WriteFailed | RegistrationAnswered | RegistrationUnknown | SnapshotDue
    | SnapshotWritten | SnapshotAnswered | MergeDue | MergeWritten | MergeAnswered | UpkeepFailed | Erase
    | ErasureWritten | ErasureFailed | ErasureAnswered | ErasureUnknown | Drain | GivenBack | RecoveryFailed
)  # fmt: skip
