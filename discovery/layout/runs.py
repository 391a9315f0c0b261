"""Runs of text: how many characters follow each byte of a region, in bytes or in UTF-16; runs of zeros."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .fields import PRINTABLE
from .table import Table

BYTES, LITTLE, BIG, ZEROS = range(4)
REACH = 256  # bytes behind the last offset that are read
TEXT = PRINTABLE.copy()
TEXT[9] = True
TEXT[0xA1:] = True  # UTF-8 and Latin-1; evidence counts ASCII alone


def runs_of(table: Table, span: int) -> NDArray[np.int64]:
    """
    Return the characters that follow each of the first ``span`` bytes of each region: int64, (4, regions, span).

    Characters of one byte (ASCII, or part of another alphabet), of UTF-16 with the ASCII byte first, of UTF-16 with it
    last, and zero bytes.
    """
    runs = np.zeros((4, len(table), max(span, 0)), np.int64)
    _scan(table.data, table.start, table.end, TEXT, PRINTABLE, runs)
    return runs


@njit(cache=True, nogil=True)
def _scan(data, start, end, text, ascii_text, runs):  # type: ignore[no-untyped-def]
    span = runs.shape[2]
    here, wide = np.zeros(4, np.int64), np.zeros(2, np.int64)
    for row in range(len(start)):
        size = min(end[row] - start[row], span + REACH)
        here[:], wide[:] = 0, 0
        following = 1
        for at in range(size - 1, -1, -1):
            byte = data[start[row] + at]
            here[BYTES] = here[BYTES] + 1 if text[byte] else 0
            here[ZEROS] = here[ZEROS] + 1 if byte == 0 else 0
            _pair(byte, following, at + 1 < size, ascii_text, here, wide)
            following = byte
            if at < span:
                runs[:, row, at] = here


@njit(cache=True, nogil=True)
def _pair(byte, following, is_pair, ascii_text, here, wide):  # type: ignore[no-untyped-def]
    """Carry the runs of two-byte characters one byte to the front; ``wide`` holds those that start at the next byte."""
    little = wide[0] + 1 if is_pair and following == 0 and ascii_text[byte] else 0
    big = wide[1] + 1 if is_pair and byte == 0 and ascii_text[following] else 0
    wide[0], wide[1] = here[LITTLE], here[BIG]
    here[LITTLE], here[BIG] = little, big
