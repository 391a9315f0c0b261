"""Reads journals without the shards: whether every object is what was registered, and the digest of what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..discovery.errors import QbitelError
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics
from .entries import Entry, SnapshotEntry, shard_folder
from .journal import count, read_object, read_records
from .manifest import Manifest, Stream
from .segment import Record
from .storage import Storage

_RUN = 1 << 14  # messages that are counted at once: a run costs milliseconds, however short it is


@dataclass
class Verification:
    """
    What the journal of a stream holds.

    Attributes:
        digest: of the statistics of all messages that could be read; as ``qbitel digest`` gives it.
        erased: messages that the journal held once and that were erased.
        orphans: objects that no catalog entry knows; they count for nothing, and the next takeover sweeps them.
        problems: objects that are missing, damaged, or do not hold what they should; with what is wrong.
    """

    stream: str
    digest: str = ""
    messages: int = 0
    segments: int = 0
    bytes: int = 0
    snapshots: int = 0
    erased: int = 0
    orphans: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything that was acknowledged can be read, and every snapshot holds what its journal says."""
        return not self.problems


def verify_stream(storage: Storage, manifest: Manifest, stream: Stream) -> Verification:
    """
    Compute the statistics of a stream from its journal alone, and hold its snapshots against them.

    Nothing is changed. While a stream is fed, what is registered meanwhile may be left out.
    """
    settings = DiscoverySettings.model_validate(stream.settings)
    found, whole = Verification(stream.name), MessageStatistics(settings)
    for shard in range(stream.shards):
        snapshot = manifest.snapshot(stream.name, shard)
        statistics, waiting = MessageStatistics(settings), list[Record]()
        for entry in manifest.entries(stream.name, shard):
            waiting += _records(storage, entry, found)
            if snapshot is not None and entry.position == snapshot.position:
                statistics, waiting = count(statistics, waiting), []
                _hold(storage, snapshot, statistics, found)
            if sum(record.key.messages for record in waiting) >= _RUN:
                statistics, waiting = count(statistics, waiting), []
        whole = whole.merge(count(statistics, waiting))
        found.orphans += len(orphans(storage, manifest, stream.name, shard))
    found.messages, found.digest = whole.total, whole.digest()
    return found


def journal_rows(storage: Storage, manifest: Manifest, stream: Stream) -> Iterator[tuple[str, bytes]]:
    """Yield (key, payload) of every message in the journal of a stream that can be read, as ``verify_stream`` says."""
    found = Verification(stream.name)
    for shard in range(stream.shards):
        for entry in manifest.entries(stream.name, shard):
            for record in _records(storage, entry, found):
                for payload in record.batch.payloads():
                    yield record.key.key, payload


def _records(storage: Storage, entry: Entry, found: Verification) -> list[Record]:
    found.segments += bool(entry.path)
    found.bytes += entry.size
    found.erased += entry.erased
    try:
        records = read_records(storage, entry)
    except QbitelError as error:
        found.problems.append(str(error))
        return []
    if entry.damaged:
        found.problems.append(f"{storage.place(entry.path)}: sound now, but not counted since it was found damaged")
    return records


def _hold(storage: Storage, snapshot: SnapshotEntry, statistics: MessageStatistics, found: Verification) -> None:
    found.snapshots += 1
    where = storage.place(snapshot.path)
    try:
        data = read_object(storage, snapshot)
    except QbitelError as error:
        found.problems.append(str(error))
        return
    if data != statistics.to_bytes():
        found.problems.append(f"{where}: not the statistics of the journal up to position {snapshot.position}")


def orphans(storage: Storage, manifest: Manifest, stream: str, shard: int) -> set[str]:
    """Return the paths of objects of a virtual shard that no catalog entry knows."""
    folder = shard_folder(stream, shard)
    epochs = storage.names(folder)
    there = {f"{folder}/{epoch}/{name}" for epoch in epochs for name in storage.names(f"{folder}/{epoch}")}
    return there - manifest.referenced(stream, shard)
