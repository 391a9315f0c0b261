"""StatisticalSegmenter: boundaries from column statistics and the context of each byte, weighed by a small network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..sample import Sample
from .claims import obey
from .inputs import MAX_OFFSETS, Inputs, read_columns, read_rows
from .network import Network, Pools, shipped

BLOCK_BYTES = 1 << 16  # positions worked on at a time: about 40 MB of features and layers
LEVELS = 256


class StatisticalSegmenter:
    """
    Reads every message against the statistics of its type and of all messages.

    Args:
        network: weights; those that the package ships where None.
    """

    name = "statistical"

    def __init__(self, network: Network | None = None) -> None:
        self.network = network or shipped()

    def boundary_probabilities(
        self, sample: Sample, type_of_row: NDArray[np.int32], findings: Sequence[Finding]
    ) -> NDArray[np.float32]:
        """
        Return (messages, offsets) float32 probabilities of a boundary before each byte, multiples of 1/256.

        Offsets run to min(longest message, 512). Hard findings give 1 at both ends and 0 between them.
        """
        lengths = sample.view.lengths
        width = int(min(lengths.max(initial=0), MAX_OFFSETS))
        made = np.zeros((len(sample.view), width), np.float32)
        if width:
            self._predict(sample, type_of_row, made)
            obey(made, lengths, type_of_row, findings)
        return made

    def _predict(self, sample: Sample, type_of_row: NDArray[np.int32], made: NDArray[np.float32]) -> None:
        known, network = read_columns(sample, type_of_row), self.network
        cells, tables = network.cells(known), network.byte_tables()
        blocks = _blocks(known.lengths)
        pools = Pools.empty(len(cells), known.width, len(made), network.hidden)
        kept: tuple[Inputs, NDArray[np.float32]] | None = None
        for rows in blocks:
            inputs = read_rows(sample, known, rows)
            x = network.first(inputs, cells, tables)
            pools.add(x, inputs, int(rows[0]))
            kept = (inputs, x) if len(blocks) == 1 else None
        by_cell, by_column, by_row = pools.means()
        columns = network.linear("overall_pool", by_column)
        by_cell = network.linear("group_pool", by_cell) + np.tile(columns, (len(by_cell) // len(columns), 1))
        by_row = network.linear("row_pool", by_row)
        for rows in blocks:
            inputs, x = kept or self._again(sample, rows, known, cells, tables)
            logits = network.logits(x, inputs, by_cell, by_row[rows])
            inside = inputs.column > 0
            made[rows[inputs.flat.row[inside]], inputs.column[inside]] = _quantised(logits[inside])

    def _again(self, sample, rows, known, cells, tables):  # type: ignore[no-untyped-def]
        inputs = read_rows(sample, known, rows)
        return inputs, self.network.first(inputs, cells, tables)


def _blocks(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return runs of rows of about ``BLOCK_BYTES`` bytes."""
    block = np.cumsum(lengths) // BLOCK_BYTES
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(block)) + 1)


def _quantised(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities as multiples of 1/256."""
    steps = np.rint(LEVELS / (1 + np.exp(-np.clip(logits, -30, 30))))
    return (steps / LEVELS).astype(np.float32)


def default_segmenter() -> StatisticalSegmenter:
    """Return the segmenter that the package ships."""
    return StatisticalSegmenter()
