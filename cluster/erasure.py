"""Takes messages out of a journal: what is left of records, and the transaction that lets it be the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select, update

from .buckets import Span, Times
from .entries import Erasure
from .manifest_tables import EntryRow, SnapshotRow, StreamRow
from .segment import Record


def without(records: Iterable[Record], span: Span) -> list[Record]:
    """Return records without the messages of a span; what has none left is not among them."""
    return _only(records, lambda ts: ~span.holds(ts))


def within(records: Iterable[Record], span: Span) -> list[Record]:
    """Return records with the messages of a span alone; what has none is not among them."""
    return _only(records, span.holds)


def _only(records: Iterable[Record], wanted: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> list[Record]:
    kept: list[Record] = []
    for record in records:
        rows = np.flatnonzero(wanted(record.ts))
        key = replace(record.key, messages=len(rows))
        if len(rows) == record.key.messages:
            kept.append(record)
        elif len(rows) and record.counted:
            counted = tuple(each for each in record.counted if wanted(each.ts).any())
            kept.append(replace(record, key=key, counted=counted))
        elif len(rows):
            kept.append(Record(key, record.capture, record.batch.take(rows)))
    return kept


def times_of(records: Iterable[Record]) -> Times:
    """Return the event times of the messages of records."""
    times = Times()
    for record in records:
        times = times.merge(Times.of(record.ts))
    return times


def erase_entries(connection: Connection, erasure: Erasure) -> bool:
    """
    Let entries be what their changes say, and forget the snapshot, which holds samples of what was erased.

    The caller has compared the lease's epoch. Keys of batches stay: what was erased is not added again.

    What is no longer of the journal is deleted by a sweep, since its epoch is an older one.

    Returns:
        Whether it was done: not where an entry is another than the one that was read.
    """
    at = (EntryRow.stream == erasure.stream, EntryRow.shard == erasure.shard)
    positions = [change.position for change in erasure.changes]
    chosen = select(EntryRow.position, EntryRow.path).where(*at, EntryRow.position >= min(positions))
    there = {row.position: row.path for row in connection.execute(chosen)}
    if any(there.get(change.position) != change.was for change in erasure.changes):
        return False
    for change in erasure.changes:
        names = ("path", "size", "sha256", "messages")
        values = {name: getattr(change, name) for name in names} | {
            "earliest": change.times.earliest, "latest": change.times.latest, "untimed": change.times.untimed,
            "erased": EntryRow.erased + EntryRow.messages - change.messages, "damaged": "",
        }  # fmt: skip
        connection.execute(update(EntryRow).where(*at, EntryRow.position == change.position).values(**values))
    counted = StreamRow.name == erasure.stream
    connection.execute(update(StreamRow).where(counted).values(erasures=StreamRow.erasures + 1))
    held = (SnapshotRow.stream == erasure.stream, SnapshotRow.shard == erasure.shard)
    connection.execute(delete(SnapshotRow).where(*held))
    return True
