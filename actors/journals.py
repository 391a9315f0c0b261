"""Reads the journals of a stream without holding its shards: their statistics, and what they say of a specification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..cluster.buckets import ALL_TIME, Span
from ..cluster.entries import Entry
from ..cluster.erasure import within
from ..cluster.journal import count, read_object, read_records
from ..cluster.manifest import Stream
from ..cluster.segment import Record
from ..cluster.state import State
from ..discovery.batch import MessageBatch
from ..discovery.confirmation import Confirmation, Confirmer
from ..discovery.errors import InputError, QbitelError
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics

RUN = 1 << 14  # messages that are read at once


def read_journal(
    state: State, stream: Stream, span: Span = ALL_TIME, shards: Iterable[int] | None = None
) -> tuple[MessageStatistics, dict[int, int]]:
    """
    Return the statistics of a stream, and up to which position of each virtual shard they go.

    Args:
        span: the part of the event time that is counted: segments that do not touch it are not read, and snapshots
            serve the whole time alone. shards: only these virtual shards.

    Raises:
        InputError: a segment is missing or damaged, and nobody has reported it yet.
    """
    whole = MessageStatistics(DiscoverySettings.model_validate(stream.settings))
    positions: dict[int, int] = {}
    for shard in range(stream.shards) if shards is None else shards:
        statistics, after = _snapshot(state, stream, shard, span)
        entries = state.manifest.entries(stream.name, shard, after)
        for records in _runs(state, entries, span):
            statistics = count(statistics, records)
        positions[shard] = entries[-1].position if entries else after
        if not statistics.empty:
            whole = whole.merge(statistics)
    return whole, positions


def confirm_journal(
    state: State, stream: Stream, upto: Mapping[int, int], confirmer: Confirmer, span: Span = ALL_TIME
) -> Confirmation:
    """
    Return what the messages of virtual shards, each up to a position and of a span, say of a specification.

    Raises:
        InputError: a segment is missing or damaged, or was merged with later ones meanwhile.
    """
    total = confirmer.empty()
    for shard, last in sorted(upto.items()):
        entries = [entry for entry in state.manifest.entries(stream.name, shard) if entry.first <= last]
        if entries and entries[-1].position > last:
            raise InputError("merged while it was read", where=f"{stream.name}/{shard}", hint="try again")
        for capture, batch in (each for records in _runs(state, entries, span) for each in _by_capture(records)):
            view = batch.view()
            total = total.merge(confirmer.confirm(view, (capture,) * (int(view.source.max(initial=0)) + 1)))
    return total


def _snapshot(state: State, stream: Stream, shard: int, span: Span) -> tuple[MessageStatistics, int]:
    known = state.manifest.snapshot(stream.name, shard) if span.whole else None
    if known is not None:
        try:
            return MessageStatistics.from_bytes(read_object(state.storage, known)), known.position
        except QbitelError:
            pass  # the journal holds all that it held
    return MessageStatistics(DiscoverySettings.model_validate(stream.settings)), -1


def _runs(state: State, entries: list[Entry], span: Span) -> Iterator[list[Record]]:
    """Yield the records of a journal, with the messages of a span alone, many messages at a time."""
    waiting: list[Record] = []
    for entry in entries:
        if not entry.damaged and span.touches(entry.times):
            records = read_records(state.storage, entry)
            waiting += records if span.covers(entry.times) else within(records, span)
        if sum(record.key.messages for record in waiting) >= RUN:
            yield waiting
            waiting = []
    yield waiting


def _by_capture(records: list[Record]) -> Iterator[tuple[str, MessageBatch]]:
    batches: dict[str, list[MessageBatch]] = {}
    for record in records:
        batches.setdefault(record.capture, []).append(record.batch)
    for capture, parts in batches.items():
        yield capture, MessageBatch.concatenate(parts)
