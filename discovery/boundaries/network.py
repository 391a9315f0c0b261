"""
The boundary network in NumPy: fp32 matrix products and two gathers; its weights are package data.

Weights: ``python -m qbitel.train.boundaries.fit`` (see its docstring); arrays of ``weights.npz``, read without pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .inputs import Columns, Inputs

BYTE_REACH = 3
GROUP_REACH = 3
OVERALL_REACH = 1
WIDE = 3

Array = NDArray[np.float32]


@njit(cache=True, nogil=True)
def _first(values, cell, tables, cells, out):  # type: ignore[no-untyped-def]
    """Add the byte tables around each position and its cell to ``out``, drop what is negative, zeros in the padding."""
    n, hidden = out.shape
    reach = tables.shape[0] // 2
    for p in range(n):
        if cell[p] < 0:
            out[p] = 0
            continue
        for h in range(hidden):
            out[p, h] += cells[cell[p], h]
        for k in range(tables.shape[0]):
            at = p + k - reach
            value = values[at] if 0 <= at < n else 256
            for h in range(hidden):
                out[p, h] += tables[k, value, h]
        for h in range(hidden):
            out[p, h] = max(out[p, h], np.float32(0))


@njit(cache=True, nogil=True)
def _pool(x, index, sums, counts):  # type: ignore[no-untyped-def]
    """Add each position to the sum at its index, in the order of the positions; -1 is nowhere."""
    for p in range(x.shape[0]):
        if index[p] < 0:
            continue
        counts[index[p]] += 1
        for h in range(x.shape[1]):
            sums[index[p], h] += x[p, h]


@njit(cache=True, nogil=True)
def _near(parts, bias, cell, row, by_cell, by_row, out):  # type: ignore[no-untyped-def]
    """Add a position's own part, its neighbours' parts and what the pools say; drop what is negative."""
    n, hidden = out.shape
    for p in range(n):
        if cell[p] < 0:  # padding: there is always one at both ends, so p - 1 and p + 1 exist below
            out[p] = 0
            continue
        for h in range(hidden):
            value = parts[p - 1, h] + parts[p, hidden + h] + parts[p + 1, 2 * hidden + h] + bias[h]
            value += by_cell[cell[p], h] + by_row[row[p], h]
            out[p, h] = max(value, np.float32(0))


@njit(cache=True, nogil=True)
def _wide(parts, bias, step, x, cell, weight, out):  # type: ignore[no-untyped-def]
    """Add a position's own part and those ``step`` away to ``x``, drop what is negative, and sum with ``weight``."""
    n, hidden = x.shape
    for p in range(n):
        if cell[p] < 0:  # padding, ``step`` or more at both ends
            continue
        total = np.float32(0)
        for h in range(hidden):
            value = parts[p - step, h] + parts[p, hidden + h] + parts[p + step, 2 * hidden + h] + bias[h]
            total += max(value + x[p, h], np.float32(0)) * weight[h]
        out[p] = total


@dataclass(frozen=True)
class Network:
    """Weights of a boundary network, named as in ``weights.npz``."""

    weights: dict[str, Array]

    @classmethod
    def load(cls, path: Path) -> Network:
        """Read weights written by ``train.boundaries.fit``."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls({name: np.ascontiguousarray(arrays[name]) for name in arrays.files})

    @property
    def hidden(self) -> int:
        """Channels of the first layer."""
        return len(self.weights["bytes_in.bias"])

    def linear(self, name: str, x: Array) -> Array:
        """Return ``x`` through the named layer."""
        made: Array = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        return made if bias is None else made + bias

    def byte_tables(self) -> Array:
        """Return (2 BYTE_REACH + 1, 257, hidden): what a byte at each distance adds."""
        embedding = self.weights["byte.weight"]
        width = embedding.shape[1]
        parts = self.weights["bytes_in.weight"]
        tables = np.stack([embedding @ parts[:, k : k + width].T for k in range(0, parts.shape[1], width)])
        tables[BYTE_REACH] += self.weights["bytes_in.bias"]
        return np.ascontiguousarray(tables, np.float32)

    def cells(self, known: Columns) -> Array:
        """Return (groups * width, hidden): what the statistics of a column and its neighbours add."""
        overall = self.linear("overall_in", _window(known.overall[None], OVERALL_REACH)[0])
        made = []
        for group in known.by_group:
            inside = self.linear("group_in", _window(group[None], GROUP_REACH)[0]) + overall
            made.append(self.linear("cell_out", np.maximum(inside, 0)))
        return np.concatenate(made)

    def first(self, inputs: Inputs, cells: Array, tables: Array) -> Array:
        """Return (positions, hidden), the first layer."""
        x = self.linear("context_in", inputs.context)
        _first(inputs.flat.values, inputs.cell, tables, cells, x)
        return x

    def room(self, positions: int) -> tuple[Array, Array]:
        """Return room for the layers of a block of at most so many positions, to be used block after block."""
        narrow = len(self.weights["wide.bias"])
        return np.empty((positions, 3 * narrow), np.float32), np.empty((positions, narrow), np.float32)

    def logits(self, x: Array, inputs: Inputs, pooled_cells: Array, room: tuple[Array, Array]) -> Array:
        """Return (positions,) logits from the first layer of some rows and what the pools add by cell."""
        by_row = self.linear("row_pool", mean_by(x, inputs.flat.row, len(inputs.flat.at)))
        parts, second = room[0][: len(x)], room[1][: len(x)]
        np.matmul(x, self.neighbours("near"), out=parts)
        _near(parts, self.weights["near.bias"], inputs.cell, inputs.flat.row, pooled_cells, by_row, second)
        np.matmul(second, self.neighbours("wide"), out=parts)
        made = np.zeros(len(x), np.float32)
        _wide(parts, self.weights["wide.bias"], WIDE, second, inputs.cell, self.weights["out.weight"][0], made)
        made += self.weights["out.bias"]
        return made

    def neighbours(self, name: str) -> Array:
        """Return (inputs, 3 outputs): what a position adds to the one after it, itself and the one before it."""
        return np.concatenate([part.T for part in np.split(self.weights[f"{name}.weight"], 3, axis=1)], axis=1)


def _window(table: Array, reach: int) -> Array:
    """Return (n, width, features * (2 reach + 1)): each column with its neighbours, zeros beyond the ends."""
    width = table.shape[1]
    padded = np.pad(table, ((0, 0), (reach, reach), (0, 0)))
    return np.concatenate([padded[:, i : i + width] for i in range(2 * reach + 1)], axis=-1)


class Mean:
    """The mean of the first layer over the positions of each cell, added up block after block."""

    def __init__(self, size: int, hidden: int) -> None:
        self.sums = np.zeros((size, hidden), np.float32)
        self.counts = np.zeros(size, np.int64)

    def add(self, x: Array, index: NDArray[np.int32]) -> None:
        """Add positions: ``index`` is the cell of each, -1 in the padding."""
        _pool(x, index, self.sums, self.counts)

    def folded(self, width: int) -> Mean:
        """Return the means by column, of cells that are group * width + column."""
        made = Mean(width, self.sums.shape[1])
        made.sums[:] = self.sums.reshape(-1, width, self.sums.shape[1]).sum(axis=0)
        made.counts[:] = self.counts.reshape(-1, width).sum(axis=0)
        return made

    def value(self) -> Array:
        """Return (cells, hidden), zeros where there is no position."""
        made: Array = self.sums / np.maximum(self.counts, 1).astype(np.float32)[:, None]
        return made


def mean_by(x: Array, index: NDArray[np.int32], size: int) -> Array:
    """Return (size, hidden) means of the positions with the same index."""
    mean = Mean(size, x.shape[1])
    mean.add(x, index)
    return mean.value()


@cache
def shipped() -> Network:
    """Return the network whose weights the package holds."""
    return Network.load(Path(__file__).with_name("weights.npz"))
