"""A byte that tells apart messages whose fields or lengths differ: a switch on it, with a layout for each value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .prefixed import entropy_of
from .table import Bytes, Table

REACH = 24  # offsets at which a switch is looked for
WIDTH = 96  # columns that are compared
LEAST, MOST = 6, 24  # regions of a case, values of a switch
GAIN = 1.5  # bits by which a region must become more predictable


@dataclass(frozen=True)
class Branch:
    """A switch on the byte at ``offset``; ``values`` get a layout; ``gain``: bits that it tells about a region."""

    offset: int
    values: NDArray[np.int64]
    gain: float


def best_branch(table: Table) -> Branch | None:
    """
    Return the byte that tells most about the regions behind it, None where none tells enough.

    The gain of a byte is what it tells about where the boundaries are (the divergence of the cases' mean probabilities
    from those of all regions) and about the length of the region, in bits a region.
    """
    reach = min(table.shortest(0.02), REACH)
    if reach < 2 or len(table) < 4 * LEAST or table.chances is None:
        return None
    window, _ = table.window(reach)
    chances, known = table.chance(WIDTH)
    best, chosen = GAIN, None
    for offset in _dividing(window[:, : reach - 1]).tolist():
        values, group, counts = np.unique(window[:, offset], return_inverse=True, return_counts=True)
        large = counts >= LEAST
        if _is_length(table, window[:, offset].astype(np.int64)):
            continue
        gain = _divergence(chances, known, group, len(values), offset + 1) + _lengths(table, group, len(values))
        gain -= 0.02 * offset + 0.05 * len(values)
        if gain > best:
            best, chosen = gain, Branch(offset, values[large].astype(np.int64), gain)
    return chosen


def _dividing(window: Bytes) -> NDArray[np.int64]:
    """Return the offsets at which nearly all regions have one of few values that recur."""
    width = window.shape[1]
    codes = window + 256 * np.arange(width)
    counts = np.bincount(codes.ravel(), minlength=256 * width).reshape(width, 256)
    kinds, large = (counts > 0).sum(axis=1), counts >= LEAST
    recur = (counts * large).sum(axis=1) >= 0.8 * len(window)
    return np.flatnonzero((kinds >= 2) & (kinds <= MOST) & (large.sum(axis=1) >= 2) & recur)


def _divergence(
    chances: NDArray[np.float32], known: NDArray[np.bool_], group: NDArray[np.int64], groups: int, start: int
) -> float:
    """Return the mean divergence of a region's case from all regions, in bits over the columns from ``start``."""
    member = np.zeros((groups, len(group)))
    member[group, np.arange(len(group))] = 1.0
    total = member @ known
    share = (member @ np.rint(chances * 256.0) + 16.0) / (256.0 * total + 64.0)
    pooled = (np.rint(chances * 256.0).sum(axis=0) + 16.0) / (256.0 * known.sum(axis=0) + 64.0)
    bits = share * np.log2(share / pooled) + (1 - share) * np.log2((1 - share) / (1 - pooled))
    return round(float((bits * total)[:, start:].sum()) / len(group) * 256) / 256


def _is_length(table: Table, value: NDArray[np.int64]) -> bool:
    """Return whether a byte says how long the region is rather than what it holds."""
    return entropy_of(table.sizes - value) < 0.5 * entropy_of(table.sizes)


def _lengths(table: Table, group: NDArray[np.int64], groups: int) -> float:
    sizes = table.sizes
    inner = sum(entropy_of(sizes[group == g]) * int((group == g).sum()) for g in range(groups)) / len(sizes)
    return 0.5 * (entropy_of(sizes) - inner)
