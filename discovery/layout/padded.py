"""Fields of fixed width that hold text and then zeros or blanks: what they say about boundaries in columns."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .hypothesis import ACCEPTED
from .runs import BYTES, REACH, TEXT, ZEROS, runs_of
from .strings import CHARACTER_BITS, COUNTED, MEAN
from .table import Ints, Table

ROWS = 256
COLUMNS = 512
LEAST = 6  # bytes of a padded field
FILLED = 0.5  # share of regions in which it is not empty
SURE, NEAR = 0.4, 5  # chance of a boundary that is believed; bytes of others that may pass for text before it
CERTAIN = 63 / 64
_BLANK = 32


def with_padded(chance: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
    """
    Return the chance of a boundary before each column, certain around padded text and none inside it.

    Text that ends at different places, and nothing but zeros from there to one column in all regions, is a field up to
    that column or, where the zeros may belong to what follows, up to the likeliest width before it. Runs of blanks that
    end at one column in most regions show a boundary there.
    """
    few = table.take(slice(0, ROWS))
    width = min(len(chance), COLUMNS, int(few.sizes.min())) if len(few) else 0
    if width < LEAST:
        return chance
    sums = np.zeros((3, width + 1), np.int64)
    _text_columns(few.data, few.start, few.end, TEXT, sums)
    likely = (sums[0] / len(few) >= MEAN) & (sums[1] / len(few) >= FILLED)
    blanks = 4 * int(sums[2].max()) >= len(few)
    if not blanks and not likely.any():
        return chance
    window, _ = few.window(width)
    firm = chance.copy()
    zeros = _zero_padded(few, window, chance, likely) if likely.any() else []
    for start, stop in zeros + (_blank_padded(window) if blanks else []):
        firm[start + 1 : stop] = 0.0
        firm[stop : stop + 1] = CERTAIN
    firm[[start for start, _ in zeros]] = CERTAIN
    return firm


@njit(cache=True, nogil=True)
def _text_columns(data, start, end, text, sums):  # type: ignore[no-untyped-def]
    """
    Add up the characters that follow each column within the window, the regions that have any, and the blanks.

    The window has one column less than ``sums``; all regions fill it. A run counts as far as ``runs_of`` reads it.
    """
    width = sums.shape[1] - 1
    for row in range(len(start)):
        run = 0
        for column in range(min(end[row] - start[row], width + 1 + REACH) - 1, -1, -1):
            byte = data[start[row] + column]
            run = run + 1 if text[byte] else 0
            if column < width:
                sums[0, column] += min(run, width - column)
                sums[1, column] += run > 0
                sums[2, column] += byte == _BLANK


def _zero_padded(
    table: Table, window: NDArray[np.uint8], chance: NDArray[np.float64], likely: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Return (start, stop) of fields of text and zeros, none over another."""
    width = window.shape[1]
    runs = runs_of(table, width + 1)
    text, zeros = np.minimum(runs[BYTES], width - np.arange(width + 1)), runs[ZEROS]
    zeros = np.minimum(zeros, width - np.arange(width + 1))
    found: list[tuple[int, int]] = []
    for at in np.flatnonzero(likely).tolist():
        if at + LEAST <= width and (not found or at >= found[-1][1]):
            start = _start(at, likely, chance)
            stop = _stop(window, text[:, start], zeros, start, chance)
            found += [(start, stop)] if stop else []
    return found


def _start(at: int, likely: NDArray[np.bool_], chance: NDArray[np.float64]) -> int:
    """Return where text starts: here, or a little further, where a boundary is likely behind what passes for text."""
    if chance[at] >= SURE:
        return at
    near = [place for place in range(at, min(at + NEAR, len(likely) - LEAST)) if likely[place]]
    return max(near, key=lambda place: float(chance[place]), default=at)


def _stop(window: NDArray[np.uint8], run: Ints, zeros: Ints, at: int, chance: NDArray[np.float64]) -> int:
    """Return where the padded field that starts here ends, 0 where none does."""
    reach = int((run + zeros[np.arange(len(run)), at + run]).min())
    longest = int(run.max())
    if reach < max(LEAST, longest) or reach == longest == int(run.min()) or int((run < longest).sum()) * 4 < len(run):
        return 0
    strings = np.unique(window[:, at : at + min(reach, 4 * COUNTED)], axis=0)
    if CHARACTER_BITS * np.minimum((strings != 0).sum(axis=1), COUNTED).sum() < ACCEPTED:
        return 0
    widths = np.arange(max(longest, LEAST), reach + 1)
    scores = [_usual(int(size)) + (0.5 if size == reach else 0.0) + _said(chance, at + int(size)) for size in widths]
    return at + int(widths[int(np.argmax(scores))])


def _usual(size: int) -> float:
    """Return how usual a width of strings is: powers of two, then multiples of 8, 4 and 10, then even ones."""
    if size >= 8 and size & (size - 1) == 0:
        return 2.0
    return next((score for step, score in ((8, 1.5), (4, 1.0), (10, 0.8), (2, 0.3)) if size % step == 0), 0.0)


def _said(chance: NDArray[np.float64], at: int) -> float:
    return float(chance[at]) if at < len(chance) else 1.0


def _blank_padded(window: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return (first blank column, stop) of the columns at which runs of blanks of different lengths end."""
    blank = window == _BLANK
    place = np.arange(window.shape[1])
    runs = place - np.maximum.accumulate(np.where(blank, -1, place), axis=1)
    ended = blank[:, :-1] & ~blank[:, 1:]  # a run's last column
    often = np.flatnonzero(2 * np.count_nonzero(ended, axis=0) > len(window)) + 1
    found = []
    for stop in often[often >= LEAST].tolist():
        lengths = runs[ended[:, stop - 1], stop - 1]
        if len(np.unique(lengths)) > 2 and int(lengths.max()) > 2:
            found.append((stop - int(lengths.max()), stop))
    return found
