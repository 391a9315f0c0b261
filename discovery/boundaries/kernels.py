"""Loops of the boundary network over positions of messages laid flat; each writes into room that its caller gives."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def first(values, row, tables, out):  # type: ignore[no-untyped-def]
    """Add the byte tables around each position to ``out``, drop what is negative, zeros in the padding."""
    n, hidden = out.shape
    reach = tables.shape[0] // 2
    for p in range(n):
        if row[p] < 0:
            out[p] = 0
            continue
        for k in range(tables.shape[0]):
            at = p + k - reach
            value = values[at] if 0 <= at < n else 256
            for h in range(hidden):
                out[p, h] += tables[k, value, h]
        for h in range(hidden):
            out[p, h] = max(out[p, h], np.float32(0))


@njit(cache=True, nogil=True)
def gather(table, index, out):  # type: ignore[no-untyped-def]
    """Add to each position the row of the table at its index; -1 adds nothing."""
    for p in range(out.shape[0]):
        at = index[p]
        if at >= 0:
            for h in range(out.shape[1]):
                out[p, h] += table[at, h]


@njit(cache=True, nogil=True)
def pool(x, index, sums, counts):  # type: ignore[no-untyped-def]
    """Add each position to the sum at its index, in the order of the positions; -1 is nowhere."""
    for p in range(x.shape[0]):
        if index[p] < 0:
            continue
        counts[index[p]] += 1
        for h in range(x.shape[1]):
            sums[index[p], h] += x[p, h]


@njit(cache=True, nogil=True)
def pool_shares(x, shares, group, sums, sizes):  # type: ignore[no-untyped-def]
    """
    Add each position to the sums of its group's marks, in its shares of them; group -1 is nowhere.

    ``shares`` is (marks, positions); ``sums`` is (groups * marks, channels), ``sizes`` (groups * marks,), both float32.
    """
    marks = shares.shape[0]
    for p in range(x.shape[0]):
        if group[p] < 0:
            continue
        for m in range(marks):
            at, share = group[p] * marks + m, shares[m, p]
            sizes[at] += share
            for h in range(x.shape[1]):
                sums[at, h] += share * x[p, h]


@njit(cache=True, nogil=True)
def read_shares(shares, group, table, out):  # type: ignore[no-untyped-def]
    """Add to each position the rows of its group's marks, (groups * marks, channels), in its shares of them."""
    marks = shares.shape[0]
    for p in range(out.shape[0]):
        if group[p] < 0:
            continue
        for m in range(marks):
            at, share = group[p] * marks + m, shares[m, p]
            for h in range(out.shape[1]):
                out[p, h] += share * table[at, h]


@njit(cache=True, nogil=True)
def _part(parts, at, first_channel, out, p):  # type: ignore[no-untyped-def]
    """Add the channels of position ``at`` from ``first_channel`` on to position ``p``."""
    for h in range(out.shape[1]):
        out[p, h] += parts[at, first_channel + h]


@njit(cache=True, nogil=True)
def join(parts, step, row, out):  # type: ignore[no-untyped-def]
    """Add a position's own part and those ``step`` away in its message to ``out``, drop what is negative."""
    n, hidden = out.shape
    for p in range(n):
        if row[p] < 0:
            out[p] = 0
            continue
        _part(parts, p, hidden, out, p)
        if p >= step and row[p - step] == row[p]:
            _part(parts, p - step, 0, out, p)
        if p + step < n and row[p + step] == row[p]:
            _part(parts, p + step, 2 * hidden, out, p)
        for h in range(hidden):
            out[p, h] = max(out[p, h], np.float32(0))


@njit(cache=True, nogil=True)
def _step(keep, new, p, before, low, high, out):  # type: ignore[no-untyped-def]
    """Set the state at position ``p`` from the one at ``before``, the same ``p`` where there is none."""
    for h in range(low, high):
        state = np.float32(0) if before == p else out[before, h]
        out[p, h] = new[p, h] + keep[p, h] * (state - new[p, h])


@njit(cache=True, nogil=True)
def scan(keep, new, row, out):  # type: ignore[no-untyped-def]
    """
    Run state = keep * state + (1 - keep) * new along each message: half of the channels forward, half backward.

    All are (positions, channels) float32; the state is zero before a message and in the padding.
    """
    n, channels = out.shape
    half = channels // 2
    out[:] = 0
    for p in range(n):
        if row[p] >= 0:
            _step(keep, new, p, p - 1 if p > 0 and row[p - 1] == row[p] else p, 0, half, out)
    for p in range(n - 1, -1, -1):
        if row[p] >= 0:
            _step(keep, new, p, p + 1 if p + 1 < n and row[p + 1] == row[p] else p, half, channels, out)
