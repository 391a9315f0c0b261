"""What lengths in a message point at: chains of counted elements, nested BER elements, name labels."""

from __future__ import annotations

import numpy as np
from numba import njit

# (bytes before the length, bytes of the length, 1 for little endian, 1 where the length counts its header)
PATTERNS = np.array(
    [
        (0, 1, 0, 0), (1, 1, 0, 0), (1, 1, 0, 1), (2, 1, 0, 0), (0, 2, 0, 0), (0, 2, 1, 0), (1, 2, 0, 0), (1, 2, 1, 0),
        (2, 2, 0, 0), (2, 2, 1, 0), (2, 2, 0, 1), (0, 4, 0, 0), (0, 4, 1, 0), (4, 4, 1, 0),
    ],
    dtype=np.int64,
)  # fmt: skip
CHAIN_FEATURES = 2 * 14
BER_FEATURES = 3
LABEL_FEATURES = 2
MAX_DEPTH = 16


@njit(cache=True, nogil=True)
def _number(data, at, width, little):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    for i in range(width):
        value = value << 8 | np.int64(data[at + (width - 1 - i if little else i)])
    return value


@njit(cache=True, nogil=True)
def _elements(data, start, n, end, skip, width, little, counted, targets, filled):  # type: ignore[no-untyped-def]
    """Set where an element at each of n bytes ends (from ``start``; -1: does not fit) and if it has a value."""
    head = skip + width
    size = end - start
    high, low = (1, 0) if little else (0, 1)
    for i in range(n):
        targets[i] = -1
        at = start + i + skip
        if i + head > size:
            continue
        if width == 1:
            value = np.int64(data[at])
        elif width == 2:
            value = np.int64(data[at + high]) << 8 | np.int64(data[at + low])
        else:
            value = _number(data, at, width, little == 1)
        if counted:
            value -= head
        if value >= 0 and i + head + value <= size:
            targets[i] = i + head + value
            filled[i] = value > 0


@njit(cache=True, nogil=True)
def chain_features(data, start, end, whole, scratch, out):  # type: ignore[no-untyped-def]
    """
    Write, per pattern, how many elements lead from a byte to the end and how many led to it (both to 4, over 4).

    Args:
        data: uint8; start, end: the bytes that count; whole: where the message ends.
        scratch: (4, bytes or more) int64; out: (bytes, CHAIN_FEATURES) float32 of zeros.
    """
    n, size = end - start, whole - start
    targets, filled, hops, depth = scratch[0], scratch[1], scratch[2], scratch[3]
    for p in range(PATTERNS.shape[0]):
        _elements(
            data, start, n, whole, PATTERNS[p, 0], PATTERNS[p, 1], PATTERNS[p, 2], PATTERNS[p, 3], targets, filled
        )
        for i in range(n - 1, -1, -1):
            hops[i] = 0
            depth[i] = 0
            target = targets[i]
            if target == size:
                hops[i] = filled[i]
            elif 0 <= target < n and hops[target] > 0:
                hops[i] = hops[target] + filled[i]
        for i in range(n):
            if hops[i] == 0:
                continue
            out[i, 2 * p] = min(4, hops[i]) * np.float32(0.25)
            out[i, 2 * p + 1] = min(4, depth[i]) * np.float32(0.25)
            if targets[i] < n:
                depth[targets[i]] = max(depth[targets[i]], depth[i] + filled[i])


@njit(cache=True, nogil=True)
def _ber_head(data, at, end):  # type: ignore[no-untyped-def]
    """Return (value start, element end) of the BER element at ``at``, or (-1, -1)."""
    if at + 2 > end or data[at] & 0x1F == 0x1F:
        return -1, -1
    size = np.int64(data[at + 1])
    value = at + 2
    if size >= 0x80:
        width = size & 0x7F
        if width == 0 or width > 4 or value + width > end:
            return -1, -1
        size = _number(data, value, width, False)
        value += width
    return (value, value + size) if value + size <= end else (-1, -1)


@njit(cache=True, nogil=True)
def _walk_ber(data, start, at, end, mark, out):  # type: ignore[no-untyped-def]
    """Walk the element at ``at`` that has to end at ``end``; return its elements, 0 where it is not well formed."""
    ends = np.zeros(MAX_DEPTH, np.int64)
    depth, elements = 0, 0
    ends[0] = end
    while at < end:
        value, stop = _ber_head(data, at, ends[depth])
        if value < 0 or (elements == 0 and stop != end):
            return 0
        elements += 1
        if mark:
            _mark(out, at - start, value - start)
        at, depth = _step_ber(data[at] & 0x20 != 0, value, stop, ends, depth)
        if depth == MAX_DEPTH:
            return 0
    return elements


@njit(cache=True, nogil=True)
def _step_ber(constructed, value, stop, ends, depth):  # type: ignore[no-untyped-def]
    """Enter a constructed element, or leave those that end with this one; return where to go on and how deep."""
    if constructed and stop > value:
        if depth + 1 < MAX_DEPTH:
            ends[depth + 1] = stop
        return value, depth + 1
    while depth > 0 and stop == ends[depth]:
        depth -= 1
    return stop, depth


@njit(cache=True, nogil=True)
def _mark(out, tag, value):  # type: ignore[no-untyped-def]
    """Set the feature of a tag, of a length and of a value where they are among the bytes that count."""
    if tag < out.shape[0]:
        out[tag, 0] = 1
    if tag + 1 < out.shape[0]:
        out[tag + 1, 1] = 1
    if value < out.shape[0]:
        out[value, 2] = 1


@njit(cache=True, nogil=True)
def ber_features(data, start, end, whole, out):  # type: ignore[no-untyped-def]
    """Mark tags, lengths and values of the first nested BER element that fills the message from within 64 bytes."""
    for at in range(start, min(end, start + 64)):
        if data[at] & 0x20 == 0:
            continue
        if _walk_ber(data, start, at, whole, False, out) >= 3:
            _walk_ber(data, start, at, whole, True, out)
            return


@njit(cache=True, nogil=True)
def _is_label(data, at, size, end):  # type: ignore[no-untyped-def]
    """Return whether a count of ``size`` at ``at`` is followed by that many visible characters."""
    if size > 63 or at + size >= end:
        return False
    visible = 0
    for i in range(at + 1, at + 1 + size):
        visible += 33 <= data[i] <= 126
    return visible == size


@njit(cache=True, nogil=True)
def _label_end(data, at, end):  # type: ignore[no-untyped-def]
    """Return where a sequence of counted names that starts at ``at`` ends, -1 where there is none."""
    names = 0
    while at < end:
        size = np.int64(data[at])
        if size >= 0xC0 and names > 0 and at + 1 < end:
            return at + 2
        if size == 0:
            return at + 1 if names > 0 else -1
        if not _is_label(data, at, size, end):
            return -1
        names += 1
        at += size + 1
    return -1


@njit(cache=True, nogil=True)
def label_features(data, start, end, out):  # type: ignore[no-untyped-def]
    """Mark the bytes strictly inside sequences of counted names, and the byte after each."""
    at = start
    while at < end:
        stop = _label_end(data, at, end) if data[at] < 64 else -1
        if stop < 0:
            at += 1
            continue
        for i in range(at + 1, stop):
            out[i - start, 0] = 1
        if stop < end:
            out[stop - start, 1] = 1
        at = stop
