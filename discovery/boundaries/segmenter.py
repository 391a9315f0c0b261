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
from .inputs import MAX_OFFSETS, Columns, Inputs, read_columns, read_rows
from .network import Attended, Network, Pools, shipped
from .randomness import looks_random

BLOCK_BYTES = 1 << 11  # worked on at a time: the layers of a block stay in the second-level cache
KEPT_BYTES = 24 << 20  # below the 32 MiB up to which the thresholds follow
KEPT_BLOCKS = 256  # the blocks that like positions are compared in; their layers are held meanwhile: 240 MB
LEVELS = 256


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS that NumPy has loaded; looked up once, since that takes longer than a prediction."""
    return ThreadpoolController()


@cache
def _keep_memory() -> None:
    """
    Let the allocator keep what is freed, once a process.

    glibc gives freed memory back to the system above thresholds that follow the largest block ever freed (mallopt(3),
    M_MMAP_THRESHOLD); fetched again page by page, the layers of each block cost a quarter of a small prediction.
    """
    np.empty(KEPT_BYTES, np.uint8)


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
            _keep_memory()
            # The products are small: threads of the BLAS would wait for each other longer than they work.
            with _libraries().limit(limits=1, user_api="blas"):
                self._predict(sample, type_of_row, made)
        if width:
            obey(made, lengths, type_of_row, findings)
        return made

    def _predict(self, sample: Sample, type_of_row: NDArray[np.int32], made: NDArray[np.float32]) -> None:
        known, network = read_columns(sample, type_of_row), self.network
        groups, blocks = len(known.by_group), _blocks(known.lengths)
        statistics = network.statistics(known)
        compared = [read_rows(sample, known, rows) for rows in blocks[:KEPT_BLOCKS]]
        kept = [network.first(inputs, statistics) for inputs in compared]
        near = network.said("first", _pooled(known, kept, compared), groups)
        for index, inputs in enumerate(compared):
            kept[index] = network.middle(kept[index], inputs, near)
        like = network.said("third", _pooled(known, kept, compared), groups)
        attended = _attended(network, known, kept, compared)
        for rows, inputs, third in zip(blocks, compared, kept, strict=False):
            _write(made, rows, inputs, network.logits(third, inputs, like, attended))
        for rows in blocks[KEPT_BLOCKS:]:  # a sample's order is random: what the first blocks tell holds for these
            inputs = read_rows(sample, known, rows)
            third = network.middle(network.first(inputs, statistics), inputs, near)
            _write(made, rows, inputs, network.logits(third, inputs, like, attended))


def _pooled(known: Columns, layers: list[NDArray[np.float32]], blocks: list[Inputs]) -> Pools:
    """Return the sums of a layer over like positions of the blocks."""
    pools = Pools(known, layers[0].shape[1])
    for x, inputs in zip(layers, blocks, strict=True):
        pools.add(x, inputs)
    return pools


def _attended(
    network: Network, known: Columns, layers: list[NDArray[np.float32]], blocks: list[Inputs]
) -> Attended | None:
    """Return what positions that look alike add, if the network attends to them."""
    marked = network.marked(known)
    if marked is None:
        return None
    for x, inputs in zip(layers, blocks, strict=True):
        marked.add(x, inputs)
    return network.attended(marked)


def _write(made: NDArray[np.float32], rows: NDArray[np.int64], inputs: Inputs, logits: NDArray[np.float32]) -> None:
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
