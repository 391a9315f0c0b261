"""Boundaries of a header are those of all message types that begin with it: their probabilities are drawn together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sample import Sample
from ..types.columns import CLASSES, MISSING, classes_of

HEADER = 64  # offsets that are compared
MESSAGES = 32  # from which a type has its full say
OTHERS = 3.0  # the say of all other types together, times that of the type itself
UNALIKE = 0.8  # overlap of the classes of bytes at which types no longer share a header
FLOOR = 1 / 64


def draw_together(
    sample: Sample, type_of_row: NDArray[np.int32], probabilities: NDArray[np.float32]
) -> NDArray[np.float32]:
    """
    Return the probabilities of boundaries, moved towards those of the types that are alike up to that offset.

    Types are alike up to the first offset at which the classes of their bytes (zero, text, ones, other, none) differ.
    The log odds of a type move to the mean over it and those like it; what tells its messages apart stays.

    Args:
        type_of_row: (n,) int32, -1 for none; probabilities: (n, offsets) float32 in steps of 1/256, as what returns.
    """
    kinds, place, counts = np.unique(type_of_row, return_inverse=True, return_counts=True)
    if len(kinds) < 2:
        return probabilities
    width = min(HEADER, probabilities.shape[1])
    front, exists = sample.view.front(width)
    classes = classes_of(np.where(exists, front.astype(np.int16), np.int16(MISSING)).T).T
    order, firsts = np.argsort(place, kind="stable"), np.cumsum(counts) - counts
    known = _by_type(exists, order, firsts)
    shares = np.stack([_by_type(classes == c, order, firsts) for c in range(CLASSES)]) / counts[:, None]
    parts = np.rint(probabilities[:, :width] * 256).astype(np.int64) * exists  # sums do not depend on the order of rows
    odds = _log_odds(np.round(_by_type(parts, order, firsts) / np.maximum(known, 1)) / 256)
    weights = np.where(kinds < 0, 0, np.minimum(counts, MESSAGES))
    moves = np.stack([_move(k, shares, odds, weights) if weights[k] else np.zeros(width) for k in range(len(kinds))])
    moved = moves[place] != 0
    odds_of_row = _log_odds(probabilities[:, :width]) + moves[place]
    drawn = probabilities.copy()
    drawn[:, :width][moved] = np.round(256 / (1 + np.exp2(-odds_of_row[moved]))) / 256
    return drawn


def _by_type(values: NDArray[np.generic], order: NDArray[np.int64], firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of the rows of each type: ``order`` sorts rows by type, ``firsts`` tells where each begins."""
    summed: NDArray[np.int64] = np.add.reduceat(values[order].astype(np.int64), firsts, axis=0)
    return summed


def _log_odds(chance: NDArray[np.floating]) -> NDArray[np.float64]:
    clipped = np.clip(chance.astype(np.float64), FLOOR, 1 - FLOOR)
    return np.round(np.log2(clipped / (1 - clipped)) * 256) / 256


def _move(
    kind: int, shares: NDArray[np.float64], odds: NDArray[np.float64], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return by how much the log odds of one type move, a multiple of 1/256."""
    overlap = np.minimum(shares[:, kind, None], shares).sum(axis=0)
    alike = np.clip((np.minimum.accumulate(overlap, axis=1) - UNALIKE) / (1 - UNALIKE), 0.0, 1.0)
    say = alike * weights[:, None]
    say[kind] = 0.0
    together = say.sum(axis=0)
    say *= np.minimum(1.0, OTHERS * weights[kind] / np.maximum(together, 1e-9))
    mean = (say * odds).sum(axis=0) + weights[kind] * odds[kind]
    moved: NDArray[np.float64] = np.round((mean / (say.sum(axis=0) + weights[kind]) - odds[kind]) * 256) / 256
    return moved
