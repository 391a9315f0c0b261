"""What the network reads of a sample: messages laid flat, their context, the statistics of their columns and pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..sample import Sample
from . import columns, context, grams
from .context import Flat
from .grams import Grams

MAX_OFFSETS = 512
TAIL = 24
FEATURES = context.FEATURES + grams.FEATURES


@dataclass(frozen=True)
class Columns:
    """
    Statistics of columns and of pairs of bytes, and which group a message belongs to.

    Attributes:
        lengths: int64, bytes of each message that count; group: int32 per message, dense from 0.
        by_group: (groups, width, columns.FEATURES) float32; overall: (width, columns.FEATURES + FLOW_FEATURES).
        tails: (groups, TAIL, columns.FEATURES) float32, by distance from the end of the message, the last byte first.
        grams: counts of pairs over all messages.
    """

    lengths: NDArray[np.int64]
    group: NDArray[np.int32]
    by_group: NDArray[np.float32]
    overall: NDArray[np.float32]
    tails: NDArray[np.float32]
    grams: Grams

    @property
    def width(self) -> int:
        """Offsets that are looked at."""
        return int(self.by_group.shape[1])


@dataclass(frozen=True)
class Inputs:
    """
    Some rows of a sample: ``row`` of ``flat`` counts in them.

    Attributes:
        context: (positions, FEATURES) float32.
        cell: int32, group * width + column; tail: int32, group * TAIL + distance from the end; gram: int32, the number
            of the pair of bytes across the position; -1 where there is none.
    """

    flat: Flat
    context: NDArray[np.float32]
    cell: NDArray[np.int32]
    tail: NDArray[np.int32]
    gram: NDArray[np.int32]


def read_columns(sample: Sample, type_of_row: NDArray[np.int32]) -> Columns:
    """Return the statistics of the columns of each type and of all messages together."""
    view = sample.view
    lengths = np.minimum(view.lengths, MAX_OFFSETS)
    width = int(lengths.max(initial=0))
    values, group = np.unique(type_of_row, return_inverse=True)
    rows = [np.flatnonzero(group == index) for index in range(len(values))]
    made = columns.column_features(view, lengths, [*rows, np.arange(len(lengths))], width)
    backward = _reversed(view)
    tails = columns.column_features(backward, backward.lengths, rows, TAIL)
    flow = columns.flow_features(sample.flows, width)
    overall = np.concatenate([made[-1], flow], axis=1)
    return Columns(lengths, group.astype(np.int32), made[:-1], overall, tails, grams.count_grams(view, lengths))


def _reversed(view: MessageView) -> MessageView:
    """Return the last bytes of each message, the last one first."""
    data = np.ascontiguousarray(view.back(TAIL)[0][:, ::-1]).reshape(-1)
    starts = np.arange(len(view), dtype=np.int64) * TAIL
    return replace(view, data=data, starts=starts, lengths=np.minimum(view.lengths, TAIL))


def read_rows(sample: Sample, known: Columns, rows: NDArray[np.int64]) -> Inputs:
    """Return the inputs of the given rows of the sample."""
    view, lengths = sample.view.take(rows), known.lengths[rows]
    flat = context.lay_flat(view, lengths)
    cell, tail = np.full(len(flat.row), -1, np.int32), np.full(len(flat.row), -1, np.int32)
    inside = np.flatnonzero(flat.row >= 0)
    row, column = flat.row[inside], flat.column[inside]
    group = known.group[rows][row]
    cell[inside] = group * known.width + column
    left = view.lengths[row] - 1 - column
    near = left < TAIL
    tail[inside[near]] = group[near] * TAIL + left[near]
    told = grams.gram_features(known.grams, flat.values, flat.row)
    read = np.concatenate([context.context_features(view, lengths, flat), told], axis=1)
    return Inputs(flat, read, cell, tail, grams.gram_index(known.grams, flat.values, flat.row))
