"""What strings cost to write down: the bits by which dividing them into columns makes them shorter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

_PRIOR = 1 / 16  # pseudo-count of a byte that was not seen yet
_SYMBOLS = 257  # bytes, and the end of a string
_MOST = 1 << 14  # symbols of one list that are counted exactly
_BYTES = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(_MOST) + _PRIOR))])
_TOTALS = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(_MOST) + _PRIOR * _SYMBOLS))])
_LENGTHS = np.log2(np.arange(1, _MOST))
_FACTORIALS = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(1, _MOST)))])


def code_length(values: Sequence[bytes]) -> float:
    """
    Return the bits of an adaptive code for a list of strings (at most 256 of 512 bytes), a multiple of 1/256.

    A string seen before is named by how often it was (Chinese restaurant process, concentration 1). New ones are
    written sorted, with the order in which they came: each as the length of what it has in common with the one before
    (front coding: Witten, Moffat, Bell, Managing Gigabytes, 4.1) and the bytes behind it with the counts of all bytes
    so written (Dirichlet-multinomial over bytes and an end mark). Nothing is charged for parameters: what a list learns
    it has paid for.
    """
    seen = Counter(values)
    repeats = _FACTORIALS[len(values)] - sum(_FACTORIALS[count - 1] for count in seen.values()) + _FACTORIALS[len(seen)]
    ordered = sorted(seen)
    kept = [_in_common(*pair) for pair in pairwise(ordered)]
    novel = [value[common:] for value, common in zip(ordered, [0, *kept], strict=True)]
    counts = np.bincount(np.frombuffer(b"".join(novel), np.uint8)[: _MOST // 2], minlength=_SYMBOLS)
    counts[_SYMBOLS - 1] = len(novel)
    written = _TOTALS[counts.sum()] - _BYTES[counts].sum() + sum(_LENGTHS[common] for common in kept)
    return round(float(repeats + written) * 256) / 256


def _in_common(one: bytes, other: bytes) -> int:
    """Return the number of bytes at the front that two strings share."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def bits_saved(wholes: Sequence[bytes], *columns: Sequence[bytes]) -> float:
    """Return by how many bits strings become shorter when each column of their parts is written on its own."""
    return code_length(wholes) - sum(code_length(column) for column in columns)
