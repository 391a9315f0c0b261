"""Where a checksum may lie and what it may cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import Checksum
from .columns import Columns, Group

FRONT_PLACES = 32
_FRONT_ROWS = 24  # fewer rows do not tell mixed bytes from others
MOST_ROWS = 256
_SHORT_SHARE = 10  # one of so many messages may be too short for a checksum
_TAIL_WIDTHS = (4, 3, 2, 1)  # a factor of a wide CRC's generator is a narrow CRC of its last bytes
_FRONT_WIDTHS = (4, 2, 1)
_STARTS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Place:
    """
    A run of bytes that may be a checksum.

    Attributes:
        start: offset from the front, or from the end where negative; width: bytes.
        mixed: every byte of it takes about as many values as random bytes would.
    """

    start: int
    width: int
    mixed: bool

    def offsets(self, view: MessageView, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where it starts in each of these messages."""
        lengths = view.lengths[rows]
        return lengths + self.start if self.start < 0 else np.full_like(lengths, self.start)

    def values(self, view: MessageView, rows: NDArray[np.int64], little: bool) -> NDArray[np.uint64]:
        """Return its value in each of these messages, which must be long enough."""
        return numbers_at(view.data, view.starts[rows] + self.offsets(view, rows), self.width, little)


def numbers_at(data: NDArray[np.uint8], at: NDArray[np.int64], width: int, little: bool) -> NDArray[np.uint64]:
    """Return the ``width`` bytes at each of these positions of the data as an unsigned number."""
    value = np.zeros(at.shape, np.uint64)
    for i in range(width):
        place = i if little else width - 1 - i
        value |= data[at + i].astype(np.uint64) << np.uint64(8 * place)
    return value


@dataclass(frozen=True)
class Region:
    """The bytes ``[start, end)`` that a checksum may cover, in the notation of ``Checksum``."""

    start: int
    end: int
    own_bytes: Literal["excluded", "zeroed", "outside"]

    def bounds(self, view: MessageView, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first byte and the byte after the last one, as positions in the view's data."""
        begin, lengths = view.starts[rows], view.lengths[rows]
        end = np.minimum(np.full_like(lengths, self.end), lengths) if self.end > 0 else lengths + self.end
        first = np.minimum(self.start, lengths)
        return begin + first, begin + np.maximum(end, first)

    def constraint(self, algorithm: str, **parameters: object) -> Checksum:
        """Return a checksum over this region."""
        region = {"start": self.start, "end": self.end, "own_bytes": self.own_bytes}
        return Checksum.model_validate({"algorithm": algorithm, **region, **parameters})


def regions_of(place: Place) -> list[Region]:
    """Return the regions that a checksum at this place may cover."""
    if place.start < 0:
        return [Region(start, place.start, "outside") for start in _STARTS]
    behind = place.start + place.width
    starts = [start for start in _STARTS[:3] if start <= place.start]
    whole = [*(Region(start, 0, "zeroed") for start in starts), *(Region(start, 0, "excluded") for start in starts)]
    before = [Region(start, place.start, "outside") for start in (0, 1) if place.start - start >= 2]
    return [*whole, Region(behind, 0, "outside"), *before]


def places_of(columns: Columns, group: Group) -> list[Place]:
    """Return the places of a group whose values are diverse enough for a checksum, the last bytes first."""
    rows = group.proposing[:MOST_ROWS]
    front = _distinct(columns.front[rows, : min(FRONT_PLACES, int(columns.lengths[rows].min()))])
    few = len(rows) // _SHORT_SHARE
    shortest = int(np.partition(columns.lengths[rows], few)[few])
    back, _ = columns.sample.view.take(rows[columns.lengths[rows] >= shortest]).back(8)
    tail = _distinct(back)
    trailer = int(np.argmax(tail[::-1][:3] != 1)) if (tail[::-1][:3] != 1).any() else 0  # constant bytes at the end
    places = []
    for skip in range(trailer + 1):
        for width in _TAIL_WIDTHS:
            start = -width - skip
            counts = tail[8 + start : 8 + start + width]
            if shortest >= width + skip + 2 and _diverse(counts, len(rows)):
                places.append(Place(start, width, _mixed(counts, len(rows))))
    return [*places, *(_front_places(front, len(rows)) if len(rows) >= _FRONT_ROWS else [])]


def _front_places(counts: NDArray[np.int64], rows: int) -> list[Place]:
    """
    Return the first and last bytes of each run of mixed bytes in the front; of runs longer than eight, the first two.

    A sum's high byte is less mixed than its low one, so one byte before or behind a mixed one may belong to it.
    """
    mixed = [_mixed(counts[i : i + 1], rows) for i in range(len(counts))]
    places: dict[tuple[int, int], bool] = {}
    for start, end in _runs(mixed):
        for place, sure in _run_places(counts, start, end, rows):
            places[place] = places.get(place, False) or sure
    ordered = sorted(places.items(), key=lambda item: (-item[0][1], item[0][0]))
    return [Place(start, width, mixed) for (start, width), mixed in ordered]


def _run_places(counts: NDArray[np.int64], start: int, end: int, rows: int) -> Iterator[tuple[tuple[int, int], bool]]:
    """Yield (offset, width) and whether all of it is mixed, of the places that a run of mixed bytes suggests."""
    if end - start > 8:
        yield (start, 2), False  # a checksum before such content is sought among the sums alone
        return
    for width in _FRONT_WIDTHS:
        if width <= end - start:
            yield from (((at, width), True) for at in (start, end - width))
    if end - start == 1:
        yield from (((at, 2), False) for at in _beside(counts, start, rows))


def _beside(counts: NDArray[np.int64], mixed: int, rows: int) -> list[int]:
    """Return where a pair of bytes starts, one of them the mixed one, the other diverse."""
    pairs = ((mixed - 1, mixed - 1), (mixed, mixed + 1))
    return [at for at, other in pairs if 0 <= other < len(counts) and _diverse(counts[other : other + 1], rows)]


def _runs(marked: list[bool]) -> list[tuple[int, int]]:
    """Return (start, end) of each run of marked places."""
    edges = np.flatnonzero(np.diff(np.array([False, *marked, False], np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _distinct(matrix: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many values each column takes."""
    n_columns = matrix.shape[1]
    seen = np.zeros(n_columns * 256, np.bool_)
    seen[(matrix + np.arange(n_columns, dtype=np.int64) * 256).ravel()] = True
    counts: NDArray[np.int64] = seen.reshape(n_columns, 256).sum(axis=1)
    return counts


def _expected(rows: int) -> float:
    """Return how many values a uniformly random byte takes in so many rows."""
    return float(256 * (1 - (1 - 1 / 256) ** rows))


def _diverse(counts: NDArray[np.int64], rows: int) -> bool:
    return bool(counts.max() >= max(4, _expected(rows) / 8))


def _mixed(counts: NDArray[np.int64], rows: int) -> bool:
    return bool(counts.min() >= max(4, _expected(rows) * 0.5))
