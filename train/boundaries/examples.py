"""Training examples: simulated protocols with their statistics, under true, guessed, found or no types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from ...discovery.boundaries.inputs import Columns, Inputs, read_columns, read_rows
from ...discovery.sample import Sample
from ...discovery.settings import DiscoverySettings
from ...discovery.statistics import MessageStatistics
from ...discovery.types import find_types
from ..simulator import SimulatedProtocol, simulate

MAX_POSITIONS = 2000
KINDS = (
    "", "length", "count", "tag", "type", "constant", "padding", "counter", "timestamp", "address", "id", "string",
    "payload", "float", "checksum",
)  # fmt: skip
SAME_KIND = {
    "transaction_id": "id", "session_id": "id", "port": "address", "name": "string", "command": "string",
    "status": "type",
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """
    Inputs of some rows of a protocol and the truth about their positions.

    Attributes:
        target: float32, 1 where a field begins; counts: bool, whether one may (inside a message, not at 0).
        kinds: int64, index in ``KINDS`` of the field that a position lies in, -1 in the padding.
        orders: int64, 1 in a number of several bytes, the highest first, 0 in one the other way round, -1 elsewhere.
        types: int64 per row, its true type, -1 where nobody knows.
    """

    columns: Columns
    inputs: Inputs
    target: NDArray[np.float32]
    counts: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    orders: NDArray[np.int64]
    types: NDArray[np.int64]


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


def kinds(inputs: Inputs, semantics: list[list[tuple[int, int, str]]]) -> NDArray[np.int64]:
    """Return per position of ``inputs`` what the field means that it lies in, -1 in the padding."""
    made = np.where(inputs.flat.row >= 0, 0, -1)
    for at, found in zip(inputs.flat.at.tolist(), semantics, strict=True):
        for start, length, label in found:
            made[at + start : at + min(start + length, 512)] = KINDS.index(SAME_KIND.get(label, label))
    made[inputs.flat.row < 0] = -1
    return made


def orders(inputs: Inputs, numbers: list[list[tuple[int, int]]], order: str) -> NDArray[np.int64]:
    """Return per position of ``inputs`` the byte order of the number that it lies in, -1 where it lies in none."""
    made = np.full(len(inputs.cell), -1, np.int64)
    for at, found in zip(inputs.flat.at.tolist(), numbers, strict=True):
        for start, length in found:
            made[at + start : at + min(start + length, 512)] = order == "big"
    made[inputs.flat.row < 0] = -1
    return made


def example(seed: int) -> Example:
    """Return the example that ``seed`` draws."""
    return example_of(simulate(seed), Random(~seed))


def example_of(protocol: SimulatedProtocol, rng: Random) -> Example:
    """Return the example of a protocol, under types that ``rng`` chooses how to make."""
    sample = sample_of(protocol)
    facts = zip(protocol.boundaries, protocol.types, protocol.semantics, protocol.numbers, strict=True)
    truth = dict(zip(protocol.messages, facts, strict=True))
    told = [truth[sample.view.payload(row)] for row in range(len(sample.view))]
    columns = read_columns(sample, _types(rng, sample, [fact[1] for fact in told]))
    ends = np.cumsum(columns.lengths)
    rows = np.arange(max(1, int(np.searchsorted(ends, MAX_POSITIONS))))[: len(told)]
    inputs = read_rows(sample, columns, rows)
    target, counts = targets(inputs, [told[row][0] for row in rows])
    meant = kinds(inputs, [told[row][2] for row in rows])
    ordered = orders(inputs, [told[row][3] for row in rows], protocol.order)
    return Example(columns, inputs, target, counts, meant, ordered, np.array([told[row][1] for row in rows]))


def examples(first: int, count: int) -> Iterator[Example]:
    """Yield the examples of ``count`` seeds from ``first`` on."""
    for seed in range(first, first + count):
        yield example(seed)


def _types(rng: Random, sample: Sample, true: list[int]) -> NDArray[np.int32]:
    """Return found types (half of the time), none, those of one byte of the front, or true types, some joined."""
    kind = rng.random()
    if kind < 0.5:
        return find_types(sample, DiscoverySettings()).assign(sample.view)
    if kind < 0.65:
        return np.zeros(len(true), np.int32)
    if kind < 0.75:
        at = rng.randrange(4)
        payloads = (sample.view.payload(row) for row in range(len(true)))
        return np.array([payload[at] if at < len(payload) else -1 for payload in payloads], np.int32)
    joined = rng.choice([100, 100, 3])
    return np.array([value % joined for value in true], np.int32)
