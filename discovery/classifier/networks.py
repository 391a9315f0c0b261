"""
The two networks of the vote in NumPy: a convolution along the bytes and an LSTM (Hochreiter and Schmidhuber 1997).

Both read the first 64 bytes and the binned numbers of a message and give an embedding of it; a group is classified by
the mean and the maximum of the embeddings of its messages. What a byte adds is looked up, so that the first
layer needs no
product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .features import BINS, SIDE
from .inputs import FRONT_BYTES, Inputs

Array = NDArray[np.float32]

REACH, STRIDE = 6, 2  # bytes under the first convolution, and from one to the next
FIRST_POOL, LAST_POOL = 2, 4
WORD = 4  # bytes that the LSTM reads in one step


@njit(cache=True, nogil=True)
def _side(bins, table, out):  # type: ignore[no-untyped-def]
    """Sum one row of the table per number, drop what is negative."""
    for row in range(bins.shape[0]):
        for i in range(bins.shape[1]):
            at = i * BINS + bins[row, i]
            for h in range(out.shape[1]):
                out[row, h] += table[at, h]
        for h in range(out.shape[1]):
            out[row, h] = max(out[row, h], np.float32(0))


@njit(cache=True, nogil=True)
def _lookup(values, tables, bias, before, stride, floor, out):  # type: ignore[no-untyped-def]
    """Write to out[:, 1 + place] what the bytes under each place add to the bias; nothing lies beyond the ends."""
    reach, places = tables.shape[0], values.shape[1] // stride
    for row in range(values.shape[0]):
        for place in range(places):
            made = out[row, place + 1]
            made[:] = bias
            for k in range(reach):
                at = place * stride + k - before
                if 0 <= at < values.shape[1]:
                    added = tables[k, values[row, at]]
                    for h in range(len(made)):
                        made[h] += added[h]
            for h in range(len(made)):
                made[h] = max(made[h], floor)


@njit(cache=True, nogil=True)
def _pooled(parts, bias, pool, out):  # type: ignore[no-untyped-def]
    """Add up the products of three neighbours, drop what is negative, and write the maximum of each ``pool`` places."""
    hidden, places = len(bias), parts.shape[1] - 2
    for row in range(parts.shape[0]):
        for place in range(places // pool):
            made = out[row, place + 1]
            made[:] = 0
            for k in range(place * pool + 1, place * pool + pool + 1):
                for h in range(hidden):
                    value = parts[row, k - 1, h] + parts[row, k, hidden + h] + parts[row, k + 1, 2 * hidden + h]
                    made[h] = max(made[h], value + bias[h])


def _three(weight: Array) -> Array:
    """Return (inputs, 3 outputs): what a place adds to the next, to itself and to the one before it."""
    return np.ascontiguousarray(np.concatenate([weight[:, :, k].T for k in range(3)], axis=1))


@dataclass(frozen=True)
class Member:
    """
    What both networks share: the table of binned numbers, the embedding and the classes.

    Attributes:
        weights: named as in torch's ``state_dict`` of ``train.classifier.networks``.
        tables: what a byte adds at each place under the first layer, (places, 257, channels).
    """

    weights: dict[str, Array]
    tables: Array

    def side(self, bins: NDArray[np.uint8]) -> Array:
        """Return (messages, channels) of the binned numbers."""
        table = self.weights["side.table.weight"]
        out = np.zeros((len(bins), table.shape[1]), np.float32)
        _side(bins, table, out)
        return out

    def embedded(self, x: Array, bins: NDArray[np.uint8]) -> Array:
        """Return (messages, 64), from what the network read in the bytes."""
        joined = np.concatenate([x, self.side(bins)], axis=1)
        made: Array = np.maximum(joined @ self.weights["vote.embed.weight"].T + self.weights["vote.embed.bias"], 0)
        return made

    def classes(self, mean: Array, most: Array) -> Array:
        """Return (groups, classes) logits from the mean and the maximum of the embeddings of each group."""
        joined = np.concatenate([mean, most], axis=1)
        made: Array = joined @ self.weights["vote.out.weight"].T + self.weights["vote.out.bias"]
        return made


class Convolution(Member):
    """Three convolutions with maxima between them; the places that are left count one by one and by their maximum."""

    @classmethod
    def read(cls, weights: dict[str, Array]) -> Convolution:
        """Make it of weights by name."""
        kernel = weights["one.weight"]  # (channels, embedding, REACH)
        tables = np.stack([weights["byte.weight"] @ kernel[:, :, k].T for k in range(REACH)])
        return cls(weights, np.ascontiguousarray(tables, np.float32))

    def embeddings(self, inputs: Inputs) -> Array:
        """Return (messages, 64)."""
        n, w = len(inputs), self.weights
        places = FRONT_BYTES // STRIDE
        x = np.zeros((n, places + 2, len(w["one.bias"])), np.float32)
        _lookup(inputs.values, self.tables, w["one.bias"], (REACH - STRIDE) // 2, STRIDE, np.float32(0), x)
        for name, pool in (("two", FIRST_POOL), ("three", LAST_POOL)):
            parts = (x.reshape(-1, x.shape[2]) @ _three(w[f"{name}.weight"])).reshape(n, x.shape[1], -1)
            places //= pool
            x = np.zeros((n, places + 2, len(w[f"{name}.bias"])), np.float32)
            _pooled(parts, w[f"{name}.bias"], pool, x)
        x = x[:, 1:-1]
        flat = np.concatenate([x.transpose(0, 2, 1).reshape(n, -1), x.max(axis=1)], axis=1)
        return self.embedded(flat, inputs.bins)


class Recurrence(Member):
    """An LSTM over words of four bytes; its last state and its maximum over time."""

    @classmethod
    def read(cls, weights: dict[str, Array]) -> Recurrence:
        """Make it of weights by name."""
        embedding, kernel = weights["byte.weight"], weights["cells.weight_ih_l0"]
        width = embedding.shape[1]
        tables = np.stack([embedding @ kernel[:, k * width : (k + 1) * width].T for k in range(WORD)])
        return cls(weights, np.ascontiguousarray(tables, np.float32))

    def embeddings(self, inputs: Inputs) -> Array:
        """Return (messages, 64)."""
        n, w = len(inputs), self.weights
        steps = FRONT_BYTES // WORD
        bias = w["cells.bias_ih_l0"] + w["cells.bias_hh_l0"]
        asked = np.zeros((n, steps + 1, len(bias)), np.float32)
        _lookup(inputs.values, self.tables, bias, 0, WORD, np.float32(-np.inf), asked)
        hidden = len(bias) // 4
        across = np.ascontiguousarray(w["cells.weight_hh_l0"].T)
        state = np.zeros((n, hidden), np.float32)
        cell, most = state.copy(), np.full_like(state, -np.inf)
        for step in range(1, steps + 1):
            gates = asked[:, step] + state @ across
            np.tanh(gates[:, 2 * hidden : 3 * hidden], out=gates[:, 2 * hidden : 3 * hidden])
            for part in (slice(0, 2 * hidden), slice(3 * hidden, None)):
                gates[:, part] = _logistic(gates[:, part])
            cell = gates[:, hidden : 2 * hidden] * cell + gates[:, :hidden] * gates[:, 2 * hidden : 3 * hidden]
            state = gates[:, 3 * hidden :] * np.tanh(cell)
            np.maximum(most, state, out=most)
        return self.embedded(np.concatenate([state, most], axis=1), inputs.bins)


def _logistic(x: Array) -> Array:
    made: Array = np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)
    return made


def named(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names begin with the prefix, as contiguous float32."""
    found = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def table_rows() -> int:
    """Return how many rows the table of binned numbers has."""
    return SIDE * BINS
