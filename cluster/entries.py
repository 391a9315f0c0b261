"""
What a journal is made of: its entries, the keys of batches, and the answers that registration gives.

A batch is divided over the virtual shards of its stream. What a shard gets is a record; records are written together
as a segment, an immutable object; a segment is part of the journal once the catalog has an entry for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .buckets import NO_TIMES, Span, Times

NEVER = 1 << 62  # `made` of a key that is kept for ever, as those of files are


def is_key(text: str) -> bool:
    """Return whether a text may name a batch: 1 to 256 printable characters, which every database keeps as they are."""
    return 0 < len(text) <= 256 and text.isprintable()


@dataclass(frozen=True, slots=True)
class BatchKey:
    """
    Names a batch, so that sending it again does not count it again.

    Attributes:
        key: chosen by the sender, unique within the stream. made: milliseconds since 1970 when the sender chose it,
            the same on every retry; ``NEVER`` where the key shall be kept for ever.
        digest: of the whole batch; the same key with another digest is refused.
        messages: those of the batch that this shard has.
        division: under how many redirects of the stream the batch is divided, the same for all of its parts.
    """

    key: str
    made: int
    digest: str
    messages: int
    division: int = 0

    def same(self, other: BatchKey) -> bool:
        """Return whether two keys name the same part of the same batch, given that they are of one virtual shard."""
        return (self.key, self.digest, self.division) == (other.key, other.digest, other.division)


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """What the catalog knows of a batch: its digest and division, and on which virtual shards it is registered."""

    digest: str
    division: int
    shards: frozenset[int]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A segment of the journal of one virtual shard.

    Attributes:
        first, position: its place in the shard's journal, from 0 without gaps; they differ in a merged segment, which
            stands for all from ``first`` to ``position``.
        epoch, sequence: of the lease it was written under, and its number there.
        path: below the storage, empty where all of it was erased. size: bytes. sha256: of them all.
        damaged: why it was found unreadable, or an empty text.
        times: of its messages. erased: messages that it held once and that were erased.
    """

    first: int
    position: int
    epoch: int
    sequence: int
    path: str
    size: int
    sha256: str
    messages: int
    damaged: str = ""
    times: Times = NO_TIMES
    erased: int = 0


@dataclass(frozen=True, slots=True)
class Registration:
    """A segment that shall become part of the journal; its records are those of ``keys``, in this order."""

    stream: str
    shard: int
    epoch: int
    sequence: int
    path: str
    size: int
    sha256: str
    keys: tuple[BatchKey, ...]
    times: Times = NO_TIMES


@dataclass(frozen=True, slots=True)
class Registered:
    """The segment is part of the journal, at this position."""

    position: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """
    Nothing was registered, since of these keys nothing may be added; the others may.

    Attributes:
        known: registered before with the same digest. conflicting: known with another digest.
        forgotten: older than the horizon, so that nobody can say whether they were registered.
        divided: parts of them are registered under another division, where their messages lie on other shards.
    """

    known: frozenset[str] = frozenset()
    conflicting: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    divided: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Superseded:
    """Nothing was registered: the lease has a higher epoch, so another holds the shard."""

    epoch: int


Outcome = Registered | Rejected | Superseded


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """The statistics of all entries up to ``position``, as an object."""

    position: int
    epoch: int
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Entries from ``first`` to ``position`` that one segment shall stand for."""

    stream: str
    shard: int
    epoch: int
    first: int
    position: int
    sequence: int
    path: str
    size: int
    sha256: str

    def entry(self, parts: Sequence[Entry]) -> Entry:
        """Return the entry that stands for these."""
        times = NO_TIMES
        for part in parts:
            times = times.merge(part.times)
        return Entry(
            self.first, self.position, self.epoch, self.sequence, self.path, self.size, self.sha256,
            sum(part.messages for part in parts), times=times, erased=sum(part.erased for part in parts),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """
    What is left of an entry once messages are erased from it.

    Attributes:
        position: of the entry. was: the path of its segment until now.
        path, size, sha256, messages, times: of what takes its place; the path is empty where nothing is left.
    """

    position: int
    was: str
    path: str = ""
    size: int = 0
    sha256: str = ""
    messages: int = 0
    times: Times = NO_TIMES


@dataclass(frozen=True, slots=True)
class Erasure:
    """Changes of a virtual shard's journal, all of them or none; they leave no message of ``span`` in it."""

    stream: str
    shard: int
    epoch: int
    span: Span
    changes: tuple[Change, ...]


def shard_folder(stream: str, shard: int) -> str:
    """Return the folder of all objects of a virtual shard of a stream."""
    return f"streams/{stream}/{shard:04d}"


def object_path(stream: str, shard: int, epoch: int, sequence: int, kind: str) -> str:
    """Return the path of an object: no two holders of a lease, and no two objects of one, share it."""
    return f"{shard_folder(stream, shard)}/{epoch:08d}/{sequence:08d}.{kind}"
