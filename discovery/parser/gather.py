"""Compiled copying of leaves into the buffers of Arrow columns."""

from __future__ import annotations

import numpy as np
from numba import njit

from .numbers import FITS, HIGH, INT, read_number


@njit(cache=True, nogil=True)
def order_by(keys, groups):  # type: ignore[no-untyped-def]
    """Return indices that sort keys of -1 to ``groups - 1``, stable, and where each key's begin (groups + 2)."""
    bounds = np.zeros(groups + 2, np.int64)
    for key in keys:
        bounds[key + 2] += 1
    for group in range(1, groups + 2):
        bounds[group] += bounds[group - 1]
    order = np.empty(len(keys), np.int64)
    place = bounds.copy()
    for index in range(len(keys)):
        key = keys[index] + 1
        order[place[key]] = index
        place[key] += 1
    return order, bounds


@njit(cache=True, nogil=True)
def copy_numbers(data, at, size, place, encoding, little, width, out, valid):  # type: ignore[no-untyped-def]
    """
    Write numbers into fixed places, low byte first.

    Args:
        data: uint8; at, size: int64, the bytes of each number; place: int64, where each goes.
        encoding, little: see ``numbers``; width: bytes of a place.
        out: uint8, places × width; valid: bool, set where a number fits its place.
    """
    for index in range(len(at)):
        value, kind = read_number(data, at[index], size[index], encoding, little)
        if kind != FITS and (kind != HIGH or encoding == INT):
            continue
        to = place[index] * width
        for k in range(width):
            out[to + k] = value & 0xFF
            value >>= 8
        valid[place[index]] = True


@njit(cache=True, nogil=True)
def copy_bytes(data, at, size, to, out):  # type: ignore[no-untyped-def]
    """Copy byte ranges of ``data`` (from ``at``, ``size`` bytes) to their places ``to`` in ``out`` (uint8)."""
    for index in range(len(at)):
        begin, place = at[index], to[index]
        for k in range(size[index]):
            out[place + k] = data[begin + k]
