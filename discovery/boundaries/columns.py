"""Statistics of every column of a group of messages, and of how columns change along a flow."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..sample import FlowSample

FEATURES = 25
FLOW_FEATURES = 6
REGION = 16


@njit(cache=True, nogil=True)
def _count_column(data, starts, lengths, rows, column, counts, sums):  # type: ignore[no-untyped-def]
    """Fill ``counts`` (256) and ``sums``: see the indices in ``_describe``."""
    counts[:] = 0
    sums[:] = 0.0
    for row in rows:
        length = lengths[row]
        if length <= column:
            continue
        value = np.int64(data[starts[row] + column])
        counts[value] += 1
        sums[0] += 1
        sums[1] += value
        sums[2] += value * value
        sums[3] += length
        sums[4] += np.float64(length) * length
        sums[5] += value * length
        sums[6] += value == length - column - 1


@njit(cache=True, nogil=True)
def _count_pairs(data, starts, lengths, rows, column, pairs, touched, sums):  # type: ignore[no-untyped-def]
    """Count this byte with the next; return the number of distinct pairs, leave their keys in ``touched``."""
    found = 0
    for row in rows:
        if lengths[row] <= column + 1:
            continue
        at = starts[row] + column
        key = np.int64(data[at]) << 8 | np.int64(data[at + 1])
        if pairs[key] == 0:
            touched[found] = key
            found += 1
        pairs[key] += 1
        sums[7] += 1
        same = ~(data[at] ^ data[at + 1]) & 0xFF
        while same:
            same &= same - 1
            sums[8] += 1
        sums[9] += data[at] == data[at + 1]
    return found


@njit(cache=True, nogil=True)
def _entropy(counts, keys, n, total, log):  # type: ignore[no-untyped-def]
    """Return the entropy in bits of the first n counts (those at ``keys``); ``log[i]`` is i log2 i."""
    inside = 0.0
    for i in range(n):
        inside += log[counts[keys[i]]]
    return np.log2(total) - inside / total


@njit(cache=True, nogil=True)
def _share(counts, low, high):  # type: ignore[no-untyped-def]
    return counts[low:high].sum()


@njit(cache=True, nogil=True)
def _describe(counts, sums, size, all_keys, log, out):  # type: ignore[no-untyped-def]
    """Write the features of one column by itself; return its entropy and distinct values."""
    n = sums[0]
    entropy = _entropy(counts, all_keys, 256, n, log)
    distinct = (counts > 0).sum()
    spread = max(0.0, sums[2] / n - (sums[1] / n) ** 2)
    length_spread = max(0.0, sums[4] / n - (sums[3] / n) ** 2)
    out[0] = np.log2(n) / 10
    out[1] = entropy / 8
    out[2] = entropy / max(1.0, min(8.0, np.log2(n)))
    out[3] = distinct / min(n, 256.0)
    out[4] = counts.max() / n
    out[5] = counts[0] / n
    out[6] = counts[255] / n
    out[7] = _share(counts, 32, 127) / n
    out[8] = _share(counts, 128, 256) / n
    out[9] = _share(counts, 0, 16) / n
    out[10] = sums[1] / n / 255
    out[11] = np.sqrt(spread) / 128
    out[12] = n / size
    if spread > 0 and length_spread > 0:
        out[19] = (sums[5] / n - sums[1] / n * sums[3] / n) / np.sqrt(spread * length_spread)
    out[20] = sums[6] / n
    out[21] = (_share(counts, 48, 58) + _share(counts, 65, 91) + _share(counts, 97, 123)) / n
    out[22] = _collisions(counts, n)
    return entropy, distinct


@njit(cache=True, nogil=True)
def _collisions(counts, n):  # type: ignore[no-untyped-def]
    """Return how far pairs of equal values exceed those of uniform bytes, in bits over 8: 0 for random, to 1."""
    pairs = 0.0
    for count in counts:
        pairs += count * (count - 1) / 2
    return np.log2((pairs + 1) / (n * (n - 1) / 512 + 1)) / 8


@njit(cache=True, nogil=True)
def _around(out):  # type: ignore[no-untyped-def]
    """Features 23 and 24: the mean of feature 22 over the next and the last ``REGION`` columns."""
    width = out.shape[0]
    for column in range(width):
        after, before = min(width, column + REGION), max(0, column - REGION)
        for other in range(column, after):
            out[column, 23] += out[other, 22] / (after - column)
        for other in range(before, column):
            out[column, 24] += out[other, 22] / (column - before)


@njit(cache=True, nogil=True)
def _column_features(data, starts, lengths, rows, log, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (columns, FEATURES) for the messages in ``rows``."""
    counts, following = np.zeros(256, np.int64), np.zeros(256, np.int64)
    sums, next_sums, scratch = np.zeros(10), np.zeros(10), np.zeros(FEATURES, np.float32)
    pairs, touched, all_keys = np.zeros(65536, np.int64), np.zeros(len(rows), np.int64), np.arange(256)
    _count_column(data, starts, lengths, rows, 0, counts, sums)
    for column in range(out.shape[0]):
        if sums[0] == 0:
            return
        _count_column(data, starts, lengths, rows, column + 1, following, next_sums)
        entropy, distinct = _describe(counts, sums, len(rows), all_keys, log, out[column])
        if next_sums[0] > 0:
            next_entropy, next_distinct = _describe(following, next_sums, len(rows), all_keys, log, scratch)
            found = _count_pairs(data, starts, lengths, rows, column, pairs, touched, sums)
            joint = _entropy(pairs, touched, found, sums[7], log)
            pairs[touched[:found]] = 0
            out[column, 13] = max(0.0, joint - entropy) / 8
            shared = max(0.0, entropy + next_entropy - joint)
            out[column, 14] = min(1.0, shared / max(0.1, min(entropy, next_entropy)))
            out[column, 15] = np.log2(found / max(1, min(found, max(distinct, next_distinct)))) / 8
            out[column, 16] = found / sums[7]
            out[column, 17] = sums[8] / sums[7] / 8
            out[column, 18] = sums[9] / sums[7]
        counts, following = following, counts
        sums, next_sums = next_sums, sums


@njit(cache=True, nogil=True)
def _flow_features(data, starts, lengths, before, after, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (columns, FLOW_FEATURES) from pairs of messages that follow one another."""
    for column in range(out.shape[0]):
        n = equal = one = more = falls = carries = 0
        for i in range(len(before)):
            first, second = before[i], after[i]
            if lengths[first] <= column:
                continue
            step = np.int64(data[starts[second] + column]) - np.int64(data[starts[first] + column])
            n += 1
            equal += int(step == 0)
            one += int(step == 1 or step == -255)
            more += int(step > 0)
            if lengths[first] > column + 1:
                low = np.int64(data[starts[second] + column + 1]) - np.int64(data[starts[first] + column + 1])
                falls += int(low < 0)
                carries += int(low < 0 and step != 0)
        if n == 0:
            return
        out[column, 0] = np.log2(n + 1.0) / 10
        out[column, 1] = equal / n
        out[column, 2] = one / n
        out[column, 3] = more / n
        out[column, 4] = falls / n
        out[column, 5] = carries / max(1, falls)


def column_features(
    view: MessageView, lengths: NDArray[np.int64], groups: list[NDArray[np.int64]], width: int
) -> NDArray[np.float32]:
    """
    Return (groups, width, FEATURES) float32, all near 0 to 1: size, entropy, distinct values, shares of byte classes,
    moments, joint statistics with the next column, correlation with the length; zeros where a group has no byte.

    Args:
        lengths: bytes of each message that count; groups: rows of each group.
    """
    size = max((len(rows) for rows in groups), default=0)
    numbers = np.arange(size + 1, dtype=np.float64)
    log = numbers * np.log2(np.maximum(numbers, 1))
    made = np.zeros((len(groups), width, FEATURES), np.float32)
    for rows, out in zip(groups, made, strict=True):
        _column_features(view.data, view.starts, lengths, rows, log, out)
        _around(out)
    return made


def flow_features(flows: FlowSample, width: int) -> NDArray[np.float32]:
    """
    Return (width, FLOW_FEATURES) float32: how a column changes between neighbours of one flow, direction and length.

    The columns: number of pairs, shares of equal, one more and more, share of falls of the next column, and share of
    these falls at which this column changes (a carry).
    """
    view = flows.view
    order = np.lexsort((np.arange(len(view)), view.lengths, view.direction, view.flow))
    before, after = order[:-1], order[1:]
    alike = (view.flow[before] != 0) & (view.flow[before] == view.flow[after])
    alike &= (view.direction[before] == view.direction[after]) & (view.lengths[before] == view.lengths[after])
    made = np.zeros((width, FLOW_FEATURES), np.float32)
    _flow_features(view.data, view.starts, view.lengths, before[alike], after[alike], made)
    return made
