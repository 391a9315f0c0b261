"""Reads the objects of a journal: checked against the catalog, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from ..discovery.batch import MessageBatch
from ..discovery.statistics import MessageStatistics
from .entries import Entry, SnapshotEntry
from .segment import Record, check_object, decode_segment
from .storage import Storage


def count(statistics: MessageStatistics, records: Sequence[Record]) -> MessageStatistics:
    """Return statistics with the messages of records, captures together: a run costs, however short it is."""
    by_capture: dict[str, list[MessageBatch]] = {}
    for record in records:
        if len(record.batch):
            by_capture.setdefault(record.capture, []).append(record.batch)
    for capture, batches in by_capture.items():
        statistics.update(MessageBatch.concatenate(batches), capture)
    for record in records:
        for each in record.counted:
            statistics = statistics.merge(MessageStatistics.from_bytes(each.statistics))
    return statistics


def read_object(storage: Storage, known: Entry | SnapshotEntry) -> bytes:
    """
    Return the bytes of an object.

    Raises:
        InputError: it is missing, or not the one that was registered.
    """
    data = storage.read(known.path)
    check_object(data, known.size, known.sha256, storage.place(known.path))
    return data


def read_records(storage: Storage, entry: Entry) -> list[Record]:
    """
    Return the records of a segment; none where all of it was erased.

    Raises:
        InputError: it is missing or damaged.
    """
    if not entry.path:
        return []
    return decode_segment(read_object(storage, entry), storage.place(entry.path))
