"""Reads the objects of a journal: checked against the catalog, whole or not at all."""

from __future__ import annotations

from .entries import Entry, SnapshotEntry
from .segment import Record, check_object, decode_segment
from .storage import Storage


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
