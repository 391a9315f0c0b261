"""Expected rule counts over packed derivations: the inside-outside pass, in scaled products or in logarithms."""

from __future__ import annotations

import numpy as np
from numba import njit

MAX_SCALED = 128
"""Tokens up to which products are scaled; of longer sequences logarithms are added."""


@njit(cache=True, nogil=True)
def _inside(edge, low, high, leaf, probability, scale, inside, outside):  # type: ignore[no-untyped-def]
    for e in range(low, high):
        for k in (0, 2, 3):
            n = edge[e, k]
            if n >= 0:
                inside[n] = scale if leaf[n] else 0.0
                outside[n] = 0.0
    for e in range(low, high):
        value = probability[edge[e, 1]] * inside[edge[e, 2]]
        if edge[e, 3] >= 0:
            value *= inside[edge[e, 3]]
        inside[edge[e, 0]] += value


@njit(cache=True, nogil=True)
def _outside(edge, low, high, probability, inside, outside, counts):  # type: ignore[no-untyped-def]
    for back in range(high - low):
        e = high - 1 - back
        share = outside[edge[e, 0]] * probability[edge[e, 1]]
        left, right = edge[e, 2], edge[e, 3]
        beside = inside[right] if right >= 0 else 1.0
        counts[edge[e, 1]] += share * inside[left] * beside
        outside[left] += share * beside
        if right >= 0:
            outside[right] += share * inside[left]


@njit(cache=True, nogil=True)
def _log_sum(a, b):  # type: ignore[no-untyped-def]
    """Return log2(2**a + 2**b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -np.inf else high + np.log2(1.0 + 2.0 ** (low - high))


@njit(cache=True, nogil=True)
def _log_inside(edge, low, high, leaf, logs, inside, outside):  # type: ignore[no-untyped-def]
    for e in range(low, high):
        for k in (0, 2, 3):
            n = edge[e, k]
            if n >= 0:
                inside[n] = 0.0 if leaf[n] else -np.inf
                outside[n] = -np.inf
    for e in range(low, high):
        value = logs[edge[e, 1]] + inside[edge[e, 2]]
        if edge[e, 3] >= 0:
            value += inside[edge[e, 3]]
        inside[edge[e, 0]] = _log_sum(inside[edge[e, 0]], value)


@njit(cache=True, nogil=True)
def _log_outside(edge, low, high, logs, inside, outside, counts):  # type: ignore[no-untyped-def]
    for back in range(high - low):
        e = high - 1 - back
        share = outside[edge[e, 0]] + logs[edge[e, 1]]
        if share == -np.inf:
            continue
        left, right = edge[e, 2], edge[e, 3]
        beside = inside[right] if right >= 0 else 0.0
        counts[edge[e, 1]] += 2.0 ** (share + inside[left] + beside)
        outside[left] = _log_sum(outside[left], share + beside)
        if right >= 0:
            outside[right] = _log_sum(outside[right], share + inside[left])


@njit(cache=True, nogil=True)
def _long(edge, low, high, root, leaf, logs, weight, inside, outside, counts):  # type: ignore[no-untyped-def]
    """Add the expected rule counts of a long sequence; return log2 of its probability."""
    _log_inside(edge, low, high, leaf, logs, inside, outside)
    total = inside[root]
    if total > -np.inf and weight > 0.0:
        outside[root] = np.log2(weight) - total
        _log_outside(edge, low, high, logs, inside, outside, counts)
    return total


@njit(cache=True, nogil=True)
def _short(edge, low, high, root, leaf, probability, weight, scale, inside, outside, counts):  # type: ignore[no-untyped-def]
    """Add the expected rule counts of a short sequence; return its probability, each token of it scaled."""
    _inside(edge, low, high, leaf, probability, scale, inside, outside)
    total = inside[root]
    if total > 0.0 and weight > 0.0:
        outside[root] = weight / total
        _outside(edge, low, high, probability, inside, outside, counts)
    return total


@njit(cache=True, nogil=True)
def inside_outside(edge, edge_first, roots, lengths, leaf, probability, weights, scale, values, counts, totals):  # type: ignore[no-untyped-def]
    """Fill ``totals`` with log2 of the probability of each sequence, and add expected rule counts by weight."""
    inside, outside = values
    logs = np.log2(probability)
    for s in range(len(roots)):
        totals[s] = -np.inf
        if roots[s] < 0:
            continue
        low, high, root, weight = edge_first[s], edge_first[s + 1], roots[s], weights[s]
        if lengths[s] > MAX_SCALED:
            totals[s] = _long(edge, low, high, root, leaf, logs, weight, inside, outside, counts)
            continue
        total = _short(edge, low, high, root, leaf, probability, weight, scale, inside, outside, counts)
        if total > 0.0:
            totals[s] = np.log2(total) - lengths[s] * np.log2(scale)
