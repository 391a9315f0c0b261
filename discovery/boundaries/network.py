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
CELL_BLOCK = 4096

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
def _pool(x, cell, column, row, by_cell, by_column, by_row, counts):  # type: ignore[no-untyped-def]
    """Add each position to the sums of its cell, column and row, in the order of the positions."""
    for p in range(x.shape[0]):
        if cell[p] < 0:
            continue
        counts[0, cell[p]] += 1
        counts[1, column[p]] += 1
        counts[2, row[p]] += 1
        for h in range(x.shape[1]):
            by_cell[cell[p], h] += x[p, h]
            by_column[column[p], h] += x[p, h]
            by_row[row[p], h] += x[p, h]


@njit(cache=True, nogil=True)
def _second(x, cell, row, by_cell, by_row):  # type: ignore[no-untyped-def]
    """Add pools to ``x`` in place, drop what is negative, zeros in the padding."""
    for p in range(x.shape[0]):
        if cell[p] < 0:
            x[p] = 0
            continue
        for h in range(x.shape[1]):
            x[p, h] = max(x[p, h] + by_cell[cell[p], h] + by_row[row[p], h], np.float32(0))


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
        """Channels."""
        return int(self.weights["out.weight"].shape[1])

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
        made = [
            self.linear("cell_out", np.maximum(self.linear("group_in", _window(group[None], GROUP_REACH)[0]) + overall, 0))
            for group in known.by_group
        ]
        return np.concatenate(made) if made else np.zeros((0, self.hidden), np.float32)

    def first(self, inputs: Inputs, cells: Array, tables: Array) -> Array:
        """Return (positions, hidden), the first layer."""
        x = self.linear("context_in", inputs.context)
        _first(inputs.flat.values, inputs.cell, tables, cells, x)
        return x

    def logits(self, x: Array, inputs: Inputs, pooled_cells: Array, by_row: Array) -> Array:
        """Return (positions,) logits from the first layer and what the pools add by cell and by row."""
        x = self._spread("near", x, 1)
        _second(x, inputs.cell, inputs.flat.row, pooled_cells, by_row)
        wide = self._spread("wide", x, WIDE)
        wide += x
        np.maximum(wide, 0, out=wide)
        made: Array = self.linear("out", wide)[:, 0]
        return made

    def _spread(self, name: str, x: Array, step: int) -> Array:
        """Return the named layer over each position, the one ``step`` before and the one after."""
        weight, hidden = self.weights[f"{name}.weight"], x.shape[1]
        made = x @ weight[:, hidden : 2 * hidden].T
        made[step:] += x[:-step] @ weight[:, :hidden].T
        made[:-step] += x[step:] @ weight[:, 2 * hidden :].T
        made += self.weights[f"{name}.bias"]
        return made


def _window(table: Array, reach: int) -> Array:
    """Return (n, width, features * (2 reach + 1)): each column with its neighbours, zeros beyond the ends."""
    width = table.shape[1]
    padded = np.pad(table, ((0, 0), (reach, reach), (0, 0)))
    return np.concatenate([padded[:, i : i + width] for i in range(2 * reach + 1)], axis=-1)


@dataclass
class Pools:
    """Sums of the first layer by cell, column and row, and how many positions each holds."""

    cell: Array
    column: Array
    row: Array
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, cells: int, width: int, rows: int, hidden: int) -> Pools:
        """Return pools of zeros."""
        counts = np.zeros((3, max(cells, width, rows)), np.int64)
        zeros = [np.zeros((n, hidden), np.float32) for n in (cells, width, rows)]
        return cls(zeros[0], zeros[1], zeros[2], counts)

    def add(self, x: Array, inputs: Inputs, first_row: int) -> None:
        """Add positions whose rows count from ``first_row``."""
        rows = self.row[first_row:]
        counts = self.counts.copy()
        counts[2] = 0
        _pool(x, inputs.cell, inputs.column, inputs.flat.row, self.cell, self.column, rows, counts)
        self.counts[:2] = counts[:2]
        self.counts[2, first_row:] += counts[2, : counts.shape[1] - first_row]

    def means(self) -> tuple[Array, Array, Array]:
        """Return the means, zeros where there is no position."""
        return tuple(  # type: ignore[return-value]
            sums / np.maximum(self.counts[i, : len(sums), None], 1).astype(np.float32)
            for i, sums in enumerate((self.cell, self.column, self.row))
        )


@cache
def shipped() -> Network:
    """Return the network whose weights the package holds."""
    return Network.load(Path(__file__).with_name("weights.npz"))
