"""
The boundary network in NumPy: fp32 matrix products and loops over positions; its weights are package data.

Layers: bytes, context and column statistics; their means over like positions; a convolution; a gated recurrence along
the message in both directions; a wider convolution; means over like positions again, and attention to positions that
look alike wherever they are; a last convolution.
Weights: ``python -m qbitel.train.boundaries.fit`` (see its docstring); arrays of ``weights.safetensors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from ..errors import InputError
from . import kernels
from .inputs import Columns, Inputs

BYTE_REACH = 3
GROUP_REACH = 3
OVERALL_REACH = 1
NEAR, WIDE, LAST = 1, 3, 1
PHASES, STYLE_COLUMNS = 4, 64  # columns alike by their remainder; the columns that tell of a protocol's manner

Array = NDArray[np.float32]


class Pools:
    """
    Sums of a layer over like positions: the same column of a type, of all types, from the end, the same pair of bytes.

    Args:
        known: tells the number of columns, groups and pairs; channels: of the layer.
    """

    def __init__(self, known: Columns, channels: int) -> None:
        self.width = known.width
        groups = len(known.by_group)
        sizes = {"cell": groups * known.width, "tail": known.tails.shape[0] * known.tails.shape[1]}
        sizes["gram"] = known.grams.size
        self.sums = {name: np.zeros((size, channels), np.float32) for name, size in sizes.items()}
        self.counts = {name: np.zeros(size, np.int64) for name, size in sizes.items()}

    def add(self, x: Array, inputs: Inputs) -> None:
        """Add the positions of some rows, in their order."""
        for name, index in (("cell", inputs.cell), ("tail", inputs.tail), ("gram", inputs.gram)):
            kernels.pool(x, index, self.sums[name], self.counts[name])

    def mean(self, name: str) -> Array:
        """Return (size, channels), zeros where there is no position."""
        return _divided(self.sums[name], self.counts[name])

    def by_column(self) -> Array:
        """Return (width, channels): the means over the columns of all types together."""
        return _divided(*self._columns)

    def by_phase(self) -> Array:
        """
        Return (PHASES, PHASES * channels): means over the front by column modulo ``PHASES``, each and those after it.

        They tell of the manner of a protocol: how wide its fields are for the most part, whether they are aligned.
        """
        front = [part[:STYLE_COLUMNS] for part in self._columns]
        sums, counts = (np.stack([part[k::PHASES].sum(axis=0) for k in range(PHASES)]) for part in front)
        means = _divided(sums, counts)
        return np.concatenate([np.roll(means, -phase, axis=0) for phase in range(PHASES)], axis=1)

    @property
    def _columns(self) -> tuple[Array, NDArray[np.int64]]:
        """(width, channels) sums and (width,) counts by column over all types."""
        sums, counts = self.sums["cell"], self.counts["cell"]
        return sums.reshape(-1, self.width, sums.shape[1]).sum(axis=0), counts.reshape(-1, self.width).sum(axis=0)


class Marked:
    """
    Sums of a layer over positions by the learned marks that they share in, for each group.

    Attention through inducing points (Lee et al. 2019, Set Transformer): what lies behind fields of variable length is
    compared with its like in other messages, at other offsets.

    Args:
        weights: (marks, channels), of the logits of the shares; known: tells groups and columns.
    """

    def __init__(self, weights: Array, known: Columns) -> None:
        self.weights, self.width = weights, known.width
        self.marks, channels = weights.shape
        self.sums = np.zeros((len(known.by_group) * self.marks, channels), np.float32)
        self.sizes = np.zeros(len(self.sums), np.float32)

    def shares(self, x: Array, inputs: Inputs) -> tuple[Array, NDArray[np.int32]]:
        """Return (marks, positions) shares that sum to 1, and the group of each position, -1 in the padding."""
        shares = self.weights @ x.T
        shares -= shares.max(axis=0)
        np.exp(shares, out=shares)
        shares /= shares.sum(axis=0)
        return shares, inputs.cell // np.int32(max(1, self.width))

    def add(self, x: Array, inputs: Inputs) -> None:
        """Add the positions of some rows, in their order."""
        shares, group = self.shares(x, inputs)
        kernels.pool_shares(x, shares, group, self.sums, self.sizes)

    def means(self) -> tuple[Array, Array]:
        """Return (groups * marks, channels) means by group and mark, and (marks, channels) ones over all groups."""
        sums: Array = self.sums.reshape(-1, *self.weights.shape).sum(axis=0)
        sizes: Array = self.sizes.reshape(-1, self.marks).sum(axis=0)
        one = np.float32(1)
        return self.sums / (self.sizes[:, None] + one), sums / (sizes[:, None] + one)


@dataclass(frozen=True)
class Said:
    """What the means over like positions add to a layer, by cell, distance from the end and pair of bytes."""

    cell: Array
    tail: Array
    gram: Array

    def add_to(self, out: Array, inputs: Inputs) -> None:
        """Add it to the positions of some rows."""
        kernels.gather(self.cell, inputs.cell, out)
        kernels.gather(self.tail, inputs.tail, out)
        kernels.gather(self.gram, inputs.gram, out)


@dataclass(frozen=True)
class Attended:
    """What the marks of a group, (groups * marks, channels), add to the positions that share in them."""

    marked: Marked
    said: Array

    def add_to(self, out: Array, x: Array, inputs: Inputs) -> None:
        """Add it to the positions of some rows, whose layer ``x`` tells their shares."""
        kernels.read_shares(*self.marked.shares(x, inputs), self.said, out)


@dataclass(frozen=True)
class Network:
    """Weights of a boundary network, named as in ``weights.safetensors``, and the SHA-256 (hex) of their file."""

    weights: dict[str, Array]
    digest: str = ""

    @classmethod
    def load(cls, path: Path) -> Network:
        """Read weights written by ``train.boundaries.fit``."""
        return cls.read(path.read_bytes())

    @classmethod
    def read(cls, data: bytes) -> Network:
        """
        Return the network with these weights, bytes of safetensors.

        Raises:
            InputError: they are not.
        """
        try:
            return cls(load(data), sha256(data).hexdigest())
        except SafetensorError as error:
            raise InputError(f"not weights of a boundary network: {error}") from None

    @property
    def hidden(self) -> int:
        """Channels of the first layer."""
        return len(self.weights["bytes_in.bias"])

    @property
    def narrow(self) -> int:
        """Channels of the layers after it."""
        return len(self.weights["near.bias"])

    def linear(self, name: str, x: Array) -> Array:
        """Return ``x`` through the named layer."""
        made: Array = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        if bias is not None:
            made += bias
        return made

    @cached_property
    def byte_tables(self) -> Array:
        """(2 BYTE_REACH + 1, 257, hidden): what a byte at each distance adds."""
        embedding = self.weights["byte.weight"]
        width = embedding.shape[1]
        parts = self.weights["bytes_in.weight"]
        tables = np.stack([embedding @ parts[:, k : k + width].T for k in range(0, parts.shape[1], width)])
        tables[BYTE_REACH] += self.weights["bytes_in.bias"]
        return np.ascontiguousarray(tables, np.float32)

    def statistics(self, known: Columns) -> Said:
        """Return what the statistics of columns and their neighbours add to the first layer."""
        overall = self.linear("overall_in", _window(known.overall[None], OVERALL_REACH)[0])
        cells = []
        for group in known.by_group:
            inside = self.linear("group_in", _window(group[None], GROUP_REACH)[0]) + overall
            cells.append(self.linear("cell_out", np.maximum(inside, 0)))
        tails = self.linear("tail_out", np.maximum(self.linear("tail_in", _window(known.tails, GROUP_REACH)), 0))
        nothing = np.zeros((known.grams.size, self.hidden), np.float32)
        return Said(np.concatenate(cells), tails.reshape(-1, self.hidden), nothing)

    def first(self, inputs: Inputs, statistics: Said) -> Array:
        """Return (positions, hidden), the first layer."""
        x = self.linear("context_in", inputs.context)
        kernels.gather(statistics.cell, inputs.cell, x)
        kernels.gather(statistics.tail, inputs.tail, x)
        kernels.first(inputs.flat.values, inputs.flat.row, self.byte_tables, x)
        return x

    def said(self, name: str, pools: Pools, groups: int) -> Said:
        """Return what the means of a layer add to the next: ``name`` is ``first`` or ``third``."""
        cell = self.linear(f"{name}_cell", pools.mean("cell"))
        column = self.linear(f"{name}_column", pools.by_column())
        column += self.linear(f"{name}_phase", pools.by_phase())[np.arange(pools.width) % PHASES]
        cell += np.tile(column, (groups, 1))
        tail, gram = self.linear(f"{name}_tail", pools.mean("tail")), self.linear(f"{name}_gram", pools.mean("gram"))
        return Said(cell, tail, gram)

    def middle(self, x: Array, inputs: Inputs, said: Said) -> Array:
        """Return (positions, narrow), the third layer, from the first and what its means say."""
        row = inputs.flat.row
        second = np.empty((len(x), self.narrow), np.float32)
        second[:] = self.weights["near.bias"]
        said.add_to(second, inputs)
        kernels.gather(self.linear("row_pool", _mean_by(x, row, len(inputs.flat.at))), row, second)
        kernels.join(x @ self.neighbours["near"], NEAR, row, second)
        keep, new = self.linear("scan_keep", second), self.linear("scan_new", second)
        for step in (np.negative, np.exp):
            step(keep, out=keep)
        keep += 1
        np.reciprocal(keep, out=keep)
        np.maximum(new, 0, out=new)
        state = np.empty_like(keep)
        kernels.scan(keep, new, row, state)
        third = self.linear("scan_out", state)
        third += second
        third += self.weights["wide.bias"]
        kernels.join(second @ self.neighbours["wide"], WIDE, row, third)
        return third

    def marked(self, known: Columns) -> Marked | None:
        """Return sums for attention, still empty; None where the weights were fitted without it."""
        weights = self.weights.get("mark.weight")
        return None if weights is None else Marked(weights, known)

    def attended(self, marked: Marked) -> Attended:
        """Return what attention adds to the last layer."""
        groups, everywhere = marked.means()
        said = self.linear("marked_group", groups)
        said += np.tile(self.linear("marked_all", everywhere), (len(groups) // marked.marks, 1))
        return Attended(marked, said)

    def logits(self, third: Array, inputs: Inputs, said: Said, attended: Attended | None) -> Array:
        """Return (positions,) logits from the third layer, what its means say and what it attends to."""
        fourth = third + self.weights["last.bias"]
        said.add_to(fourth, inputs)
        if attended:
            attended.add_to(fourth, third, inputs)
        kernels.join(third @ self.neighbours["last"], LAST, inputs.flat.row, fourth)
        made: Array = fourth @ self.weights["out.weight"][0]
        made += self.weights["out.bias"]
        return made

    @cached_property
    def neighbours(self) -> dict[str, Array]:
        """(inputs, 3 outputs) by layer: what a position adds to the one after it, itself and the one before it."""
        split = {name: np.split(self.weights[f"{name}.weight"], 3, axis=1) for name in ("near", "wide", "last")}
        return {name: np.concatenate([part.T for part in parts], axis=1) for name, parts in split.items()}


def _window(table: Array, reach: int) -> Array:
    """Return (n, width, features * (2 reach + 1)): each column with its neighbours, zeros beyond the ends."""
    width = table.shape[1]
    padded = np.pad(table, ((0, 0), (reach, reach), (0, 0)))
    return np.concatenate([padded[:, i : i + width] for i in range(2 * reach + 1)], axis=-1)


def _mean_by(x: Array, index: NDArray[np.int32], size: int) -> Array:
    """Return (size, channels) means of the positions with the same index."""
    sums, counts = np.zeros((size, x.shape[1]), np.float32), np.zeros(size, np.int64)
    kernels.pool(x, index, sums, counts)
    return _divided(sums, counts)


def _divided(sums: Array, counts: NDArray[np.int64]) -> Array:
    """Return means, zeros where nothing was counted."""
    made: Array = sums / np.maximum(counts, 1).astype(np.float32)[:, None]
    return made


@cache
def shipped() -> Network:
    """Return the network whose weights the package holds."""
    return Network.load(Path(__file__).with_name("weights.safetensors"))
