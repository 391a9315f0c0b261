"""Training examples: simulated protocols with their statistics, under true, guessed or no types."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from ...discovery.boundaries.inputs import Columns, Inputs, read_columns, read_rows
from ...discovery.sample import Sample
from ...discovery.settings import DiscoverySettings
from ...discovery.statistics import MessageStatistics
from ..simulator import SimulatedProtocol, simulate

MAX_POSITIONS = 3000


@dataclass(frozen=True)
class Example:
    """Inputs of some rows of a protocol, 0 or 1 for each position, and which positions count."""

    columns: Columns
    inputs: Inputs
    target: NDArray[np.float32]
    counts: NDArray[np.bool_]


def sample_of(protocol: SimulatedProtocol) -> Sample:
    """Return what inference would read of these messages."""
    statistics = MessageStatistics(DiscoverySettings())
    statistics.update(protocol.batch(), "0" * 16)
    return statistics.sample()


def targets(inputs: Inputs, boundaries: list[list[int]]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return per position of ``inputs`` whether a field begins there, and whether it may (inside, not at 0)."""
    made = np.zeros(len(inputs.cell), np.float32)
    for at, found in zip(inputs.flat.at.tolist(), boundaries, strict=True):
        made[[at + b for b in found if b < 512]] = 1
    counts = inputs.flat.column > 0
    made[~counts] = 0
    return made, counts


def example(seed: int) -> Example:
    """Return the example that ``seed`` draws."""
    rng = Random(~seed)
    protocol = simulate(seed)
    sample = sample_of(protocol)
    truth = dict(zip(protocol.messages, zip(protocol.boundaries, protocol.types, strict=True), strict=True))
    payloads = [sample.view.payload(row) for row in range(len(sample.view))]
    columns = read_columns(sample, _types(rng, payloads, [truth[payload][1] for payload in payloads]))
    ends = np.cumsum(columns.lengths)
    rows = np.arange(max(1, int(np.searchsorted(ends, MAX_POSITIONS))))[: len(payloads)]
    inputs = read_rows(sample, columns, rows)
    target, counts = targets(inputs, [truth[payloads[row]][0] for row in rows])
    return Example(columns, inputs, target, counts)


def _types(rng: Random, payloads: list[bytes], true: list[int]) -> NDArray[np.int32]:
    """Return true types, none, those of one byte of the front, or true types with some joined."""
    kind = rng.random()
    if kind < 0.25:
        return np.zeros(len(payloads), np.int32)
    if kind < 0.4:
        at = rng.randrange(4)
        return np.array([payload[at] if at < len(payload) else -1 for payload in payloads], np.int32)
    joined = rng.choice([100, 100, 3])
    return np.array([value % joined for value in true], np.int32)
