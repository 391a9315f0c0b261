"""Boundaries that the messages of a type share, column by column: a most likely cut under a prior on field widths."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .table import Spans, Table

MAX_WIDTH = 32
FLOOR, THRESHOLD = 1 / 64, 0.45
CERTAIN = 64.0
_WIDTH_BITS = np.full(MAX_WIDTH + 1, -0.5)
_WIDTH_BITS[[1, 2, 4, 8, 16]] = (0.15, 0.25, 0.3, 0.1, 0.1)
_WIDTH_BITS[[3, 6, 12, 20, 32]] = (-0.3, -0.1, -0.3, -0.3, -0.2)


def column_chance(table: Table, width: int) -> NDArray[np.float64]:
    """
    Return the mean probability of a boundary before each of the first ``width`` columns (multiples of 1/256).

    Rows that end before a column have no say in it; where no row knows a column its probability is 0.
    """
    parts, known = np.zeros(width, np.int64), np.zeros(width, np.int64)
    if table.chances is not None:
        _add_up(table.chances, table.row, table.begin, table.start, table.end, parts, known)
    means: NDArray[np.float64] = np.round(parts / np.maximum(known, 1)) / 256
    return means


def column_odds(table: Table, width: int) -> NDArray[np.float64]:
    """Return log2 odds of a boundary before each of the first ``width`` columns, between -3 and 3; 0 where unknown."""
    if table.chances is None or not len(table):
        return np.zeros(width)
    chance = np.clip(column_chance(table, width), 1 / 9, 8 / 9)
    odds = np.round(np.log2(chance / (1 - chance)) * 256) / 256 - np.log2(THRESHOLD / (1 - THRESHOLD))
    if bool((table.start == table.begin).all()):
        odds[0] = 0.0  # nothing is known of the start of a message
    clipped: NDArray[np.float64] = np.clip(odds, -3.0, 3.0)
    return clipped


@njit(cache=True, nogil=True)
def _add_up(chances, row, begin, start, end, parts, known):  # type: ignore[no-untyped-def]
    """Add up, column by column, the known chances in 1/256 (whole numbers: no order matters) and their number."""
    for k in range(len(row)):
        origin = start[k] - begin[k]
        for column in range(min(len(parts), end[k] - start[k], chances.shape[1] - origin)):
            parts[column] += np.int64(np.rint(chances[row[k], origin + column] * np.float32(256)))
            known[column] += 1


def cut(chance: NDArray[np.float64], spans: Spans) -> list[int]:
    """
    Return the boundaries (0 < b < width) of the most likely division of the columns into fields.

    Args:
        chance: probability of a boundary before each column.
        spans: runs of columns that are known to be one field each.
    """
    width = len(chance)
    odds = np.log2(np.maximum(chance, FLOOR) / np.maximum(1 - chance, FLOOR)) - np.log2(THRESHOLD / (1 - THRESHOLD))
    for start, size in spans:
        odds[start + 1 : start + size] = -CERTAIN
    for start, size in spans:
        for edge in (start, start + size):
            if edge < width:
                odds[edge] = CERTAIN
    origin = np.zeros(width + 1, np.int64)
    _best_path(odds, _WIDTH_BITS, origin)
    path, stop = [], int(origin[width])
    while stop > 0:
        path.append(stop)
        stop = int(origin[stop])
    return path[::-1]


@njit(cache=True, nogil=True)
def _best_path(odds, prior, origin):  # type: ignore[no-untyped-def]
    """Viterbi over columns: the score of a division is the sum of its boundaries' log odds and its widths' priors."""
    width, widest = len(odds), len(prior) - 1
    best = np.zeros(width + 1)
    long_best, long_from = -1e9, 0  # the best start of a field wider than the prior knows
    for stop in range(1, width + 1):
        before = stop - widest - 1
        if before >= 0 and best[before] > long_best:
            long_best, long_from = best[before], before
        score, start = long_best - 0.5, long_from
        for size in range(1, min(widest, stop) + 1):
            candidate = best[stop - size] + prior[size]
            if candidate > score:
                score, start = candidate, stop - size
        best[stop] = score + (odds[stop] if stop < width else 0.0)
        origin[stop] = start
