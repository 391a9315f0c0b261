"""What the network reads of a sample: messages laid flat, their context, the statistics of their columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sample import Sample
from . import columns, context
from .context import Flat

MAX_OFFSETS = 512


@dataclass(frozen=True)
class Columns:
    """
    Statistics of columns, and which group a message belongs to.

    Attributes:
        lengths: int64, bytes of each message that count; group: int32 per message, dense from 0.
        by_group: (groups, width, columns.FEATURES) float32; overall: (width, columns.FEATURES + FLOW_FEATURES).
    """

    lengths: NDArray[np.int64]
    group: NDArray[np.int32]
    by_group: NDArray[np.float32]
    overall: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Offsets that are looked at."""
        return int(self.by_group.shape[1])


@dataclass(frozen=True)
class Inputs:
    """Some rows of a sample: ``row`` of ``flat`` counts in them; cell = group * width + column, -1 in the padding."""

    flat: Flat
    context: NDArray[np.float32]
    cell: NDArray[np.int32]


def read_columns(sample: Sample, type_of_row: NDArray[np.int32]) -> Columns:
    """Return the statistics of the columns of each type and of all messages together."""
    lengths = np.minimum(sample.view.lengths, MAX_OFFSETS)
    width = int(lengths.max(initial=0))
    values, group = np.unique(type_of_row, return_inverse=True)
    rows = [np.flatnonzero(group == index) for index in range(len(values))]
    made = columns.column_features(sample.view, lengths, [*rows, np.arange(len(lengths))], width)
    flow = columns.flow_features(sample.flows, width)
    return Columns(lengths, group.astype(np.int32), made[:-1], np.concatenate([made[-1], flow], axis=1))


def read_rows(sample: Sample, known: Columns, rows: NDArray[np.int64]) -> Inputs:
    """Return the inputs of the given rows of the sample."""
    view, lengths = sample.view.take(rows), known.lengths[rows]
    flat = context.lay_flat(view, lengths)
    cell = np.full(len(flat.row), -1, np.int32)
    inside = flat.row >= 0
    cell[inside] = known.group[rows][flat.row[inside]] * known.width + flat.column[inside]
    return Inputs(flat, context.context_features(view, lengths, flat), cell)
