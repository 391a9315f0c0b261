"""StatisticalSegmenter: boundaries from column statistics and the context of each byte, weighed by a small network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ..findings import Finding
from ..sample import Sample
from .claims import obey
from .context import PAD
from .inputs import MAX_OFFSETS, Inputs, read_columns, read_rows
from .network import Mean, Network, shipped
from .randomness import looks_random

BLOCK_BYTES = 1 << 11  # worked on at a time: the layers of a block stay in the second-level cache
KEPT_BLOCKS = 256  # first layers held between the two passes: 80 MB
LEVELS = 256


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS that NumPy has loaded; looked up once, since that takes longer than a prediction."""
    return ThreadpoolController()


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

        Offsets run to min(longest message, 512). Messages of random bytes have no boundaries. Hard findings give 1 at
        both ends and 0 between them.
        """
        lengths = sample.view.lengths
        width = int(min(lengths.max(initial=0), MAX_OFFSETS))
        made = np.zeros((len(sample.view), width), np.float32)
        if width and not looks_random(sample.view, np.minimum(lengths, MAX_OFFSETS)):
            # The products are small: threads of the BLAS would wait for each other longer than they work.
            with _libraries().limit(limits=1, user_api="blas"):
                self._predict(sample, type_of_row, made)
        if width:
            obey(made, lengths, type_of_row, findings)
        return made

    def _predict(self, sample: Sample, type_of_row: NDArray[np.int32], made: NDArray[np.float32]) -> None:
        known, network = read_columns(sample, type_of_row), self.network
        cells, tables = network.cells(known), network.byte_tables()
        by_cell = Mean(len(cells), network.hidden)
        blocks = _blocks(known.lengths)
        kept: list[tuple[Inputs, NDArray[np.float32]]] = []
        for rows in blocks:
            inputs = read_rows(sample, known, rows)
            x = network.first(inputs, cells, tables)
            by_cell.add(x, inputs.cell)
            if len(blocks) <= KEPT_BLOCKS:
                kept.append((inputs, x))
        columns = network.linear("overall_pool", by_cell.folded(known.width).value())
        pooled = network.linear("group_pool", by_cell.value()) + np.tile(columns, (len(known.by_group), 1))
        room = network.room(max(int(known.lengths[rows].sum()) + PAD * (len(rows) + 1) for rows in blocks))
        for index, rows in enumerate(blocks):
            if kept:
                inputs, x = kept[index]
            else:  # too much to hold: cheaper to do again than to swap
                inputs = read_rows(sample, known, rows)
                x = network.first(inputs, cells, tables)
            logits = network.logits(x, inputs, pooled, room)
            inside = np.flatnonzero(inputs.flat.column > 0)
            made[rows[inputs.flat.row[inside]], inputs.flat.column[inside]] = _quantised(logits[inside])


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
