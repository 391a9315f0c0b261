"""Statistics that are put away when memory is short come back as they were, and those needed last go first."""

from __future__ import annotations

import numpy as np

from qbitel.actors.tally import PACKED_BYTES, PACKED_RUN_BYTES, RUN_BYTES, Tally
from qbitel.cluster.entries import BatchKey
from qbitel.cluster.segment import Record
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings()


def record(messages: int, seed: int) -> Record:
    """Return random messages of 60 bytes."""
    rows = np.random.default_rng(seed).integers(0, 256, (messages, 60), np.uint8)
    return Record(BatchKey(f"k{seed}", 0, "d", messages), "", MessageBatch.from_payloads([bytes(row) for row in rows]))


def test_statistics_are_put_away_and_come_back() -> None:
    """Small ones stay in memory as bytes, large ones go to the disk; what came meanwhile is counted."""
    tally, expected = Tally(SETTINGS), MessageStatistics(SETTINGS)
    for seed, messages in enumerate((20, 4000, 10)):
        tally.add([record(messages, seed)], 60 * messages)
        expected.update(record(messages, seed).batch)
        tally.pack()
        large = len(expected.to_bytes()) > PACKED_BYTES
        assert not tally.live
        assert tally.spilled is large
        assert (tally.packed == 0) is large
    assert tally.statistics().digest() == expected.digest()
    assert tally.live


def test_what_is_put_away_is_counted_in_longer_runs() -> None:
    """A megabyte is counted at once where the statistics are at hand, four where they must be fetched."""
    tally = Tally(SETTINGS)
    tally.statistics()
    tally.add([record(1, 1)], RUN_BYTES)
    assert tally.due
    tally.pack()
    tally.add([record(1, 2)], RUN_BYTES)
    assert not tally.due
    tally.add([record(1, 3)], PACKED_RUN_BYTES - RUN_BYTES)
    assert tally.due


def test_a_shard_that_gets_nothing_rests_longest() -> None:
    """What gets much and is nearly due is needed first, what was just counted later, what gets nothing last."""
    idle, counted, due = Tally(SETTINGS), Tally(SETTINGS), Tally(SETTINGS)
    for tally in (counted, due):
        tally.add([record(1, 1)], RUN_BYTES)
        tally.statistics()
    due.add([record(1, 2)], RUN_BYTES - 1)
    assert idle.rest > counted.rest > due.rest
