"""Boundaries of a header that several message types share."""

from __future__ import annotations

import numpy as np

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.boundaries.across_types import draw_together
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

ROWS = 60


def three_types() -> tuple[Sample, np.ndarray, np.ndarray]:
    """Return messages of two types with one header and a third that is text, their types, and doubtful boundaries."""
    rng = np.random.default_rng(3)
    binary = [b"\x81\x82" + rng.integers(128, 255, 6, np.uint8).tobytes() for _ in range(2 * ROWS)]
    text = [b"status " + f"{n:03d}".encode() for n in range(ROWS)]
    statistics = MessageStatistics(DiscoverySettings())
    statistics.update(MessageBatch.from_payloads(binary + text), "0" * 16)
    sample = statistics.sample()
    first = np.array([sample.view.payload(row)[0] for row in range(len(sample.view))])
    last = np.array([sample.view.payload(row)[-1] % 2 for row in range(len(sample.view))])
    types = np.where(first == 0x73, 2, last).astype(np.int32)
    chances = np.full((len(types), 10), 0.25, np.float32)
    chances[types == 0, 2] = 0.875
    return sample, types, chances


def test_a_type_learns_from_those_it_shares_a_header_with() -> None:
    """A boundary sure in one type rises in the type that begins alike, and not in one that begins otherwise."""
    sample, types, chances = three_types()
    drawn = draw_together(sample, types, chances)
    assert (drawn[types == 1, 2] > 0.5).all()
    assert (drawn[types == 0, 2] < 0.875).all()
    assert (drawn[types == 2] == 0.25).all()


def test_one_type_and_rows_without_a_type_are_left_alone() -> None:
    """Without another type nothing moves, and what has no type keeps its probabilities."""
    sample, types, chances = three_types()
    assert draw_together(sample, np.zeros_like(types), chances) is chances
    types[types == 2] = -1
    assert (draw_together(sample, types, chances)[types == -1] == 0.25).all()
