"""
Keyed 64-bit hashes of message contents and flow ids; they order the samples and split the held-out part.

The content hash is the one-lane form of XXH64 (Collet, https://github.com/Cyan4973/xxHash) started from a key and the
length; ``mix`` is the finaliser of SplitMix64 (Steele, Lea, Flood 2014), a bijection on 64-bit numbers. Two distinct
messages share a hash with probability 2**-64; where they did, they would count as one.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

MASK = (1 << 64) - 1
CONTENT, FLOW, HELD_OUT = 1, 2, 3

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def key(seed: int, purpose: int) -> np.uint64:
    """Return the 64-bit key for one purpose (``CONTENT``, ``FLOW``, ``HELD_OUT``) under a seed of any size."""
    state = (seed * 0x9E3779B97F4A7C15 + purpose * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & MASK
    state = ((state ^ (state >> 30)) * int(_M1)) & MASK
    state = ((state ^ (state >> 27)) * int(_M2)) & MASK
    return np.uint64(state ^ (state >> 31))


def mix(values: NDArray[np.uint64], under: np.uint64) -> NDArray[np.uint64]:
    """Return a keyed bijection of 64-bit numbers, the same shape."""
    state = values ^ under
    state = (state ^ (state >> np.uint64(30))) * _M1
    state = (state ^ (state >> np.uint64(27))) * _M2
    return np.asarray(state ^ (state >> np.uint64(31)), np.uint64)


@njit(cache=True, nogil=True)
def _word(data, start, count):  # type: ignore[no-untyped-def]
    word = np.uint64(0)
    for i in range(count):
        word |= np.uint64(data[start + i]) << np.uint64(8 * i)
    return word


@njit(cache=True, nogil=True)
def _word8(data, start):  # type: ignore[no-untyped-def]
    low = (
        np.uint64(data[start])
        | (np.uint64(data[start + 1]) << np.uint64(8))
        | (np.uint64(data[start + 2]) << np.uint64(16))
        | (np.uint64(data[start + 3]) << np.uint64(24))
    )
    high = (
        np.uint64(data[start + 4])
        | (np.uint64(data[start + 5]) << np.uint64(8))
        | (np.uint64(data[start + 6]) << np.uint64(16))
        | (np.uint64(data[start + 7]) << np.uint64(24))
    )
    return low | (high << np.uint64(32))


@njit(cache=True, nogil=True)
def _absorb(state, word):  # type: ignore[no-untyped-def]
    word = word * _P2
    word = ((word << np.uint64(31)) | (word >> np.uint64(33))) * _P1
    state ^= word
    return ((state << np.uint64(27)) | (state >> np.uint64(37))) * _P1 + _P4


@njit(cache=True, nogil=True)
def _hash_rows(data, starts, lengths, under, out):  # type: ignore[no-untyped-def]
    for row in range(len(starts)):
        position = starts[row]
        end = position + lengths[row]
        state = under ^ (np.uint64(lengths[row]) * _P3)
        while position + 8 <= end:
            state = _absorb(state, _word8(data, position))
            position += 8
        if position < end:
            state = _absorb(state, _word(data, position, end - position))
        state ^= state >> np.uint64(33)
        state *= _P2
        state ^= state >> np.uint64(29)
        state *= _P3
        out[row] = state ^ (state >> np.uint64(32))


def hash_contents(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], under: np.uint64
) -> NDArray[np.uint64]:
    """Return the keyed hash of ``data[starts[i] : starts[i] + lengths[i]]`` for each row, (n,) uint64."""
    out = np.empty(len(starts), np.uint64)
    _hash_rows(data, starts, lengths, under, out)
    return out
