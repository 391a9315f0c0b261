"""Guard evaluation on many messages at once: the reference that the parser's own evaluation must agree with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import Guard, LengthGuard, TextGuard, TokenGuard, ValueGuard

Mask = NDArray[np.bool_]

PRINTABLE = np.zeros(256, np.bool_)
PRINTABLE[32:127] = True
PRINTABLE[[9, 10, 13]] = True


def guards_match(guards: Iterable[Guard], view: MessageView) -> Mask:
    """Return for each message whether all guards hold (bool, one per message); no guards hold for every message."""
    return GuardCache(view).match(guards)


class GuardCache:
    """
    Guards over one view; what several guards read (an integer, a token) is read once.

    Args:
        view: the messages; it must not change while the cache lives.
    """

    def __init__(self, view: MessageView) -> None:
        self._view = view
        self._integers: dict[tuple[int, int], tuple[NDArray[np.uint64], Mask]] = {}
        self._tokens: dict[tuple[int, bytes], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def match(self, guards: Iterable[Guard]) -> Mask:
        """Return for each message whether all guards hold."""
        matches = np.ones(len(self._view), np.bool_)
        for guard in guards:
            matches &= self._one(guard)
        return matches

    def _one(self, guard: Guard) -> Mask:
        match guard:
            case ValueGuard():
                return self._value(guard)
            case LengthGuard():
                return _length(guard, self._view.lengths)
            case TokenGuard():
                return self._token(guard)
            case TextGuard():
                return _text(guard, self._view)

    def _value(self, guard: ValueGuard) -> Mask:
        place = (guard.offset, guard.width)
        if place not in self._integers:
            self._integers[place] = read_integers(self._view, *place)
        integers, exists = self._integers[place]
        if guard.mask is not None:
            integers = integers & np.uint64(int.from_bytes(guard.mask, "big"))
        return exists & np.isin(integers, [np.uint64(int.from_bytes(value, "big")) for value in guard.values])

    def _token(self, guard: TokenGuard) -> Mask:
        place = (guard.index, guard.separators)
        if place not in self._tokens:
            self._tokens[place] = token_spans(self._view, guard.index, guard.separators)
        begin, size = self._tokens[place]
        matches = np.zeros(len(self._view), np.bool_)
        for value in guard.values:
            matches |= _equal(self._view.data, begin, size, value, guard.fold_case)
        return matches


def read_integers(view: MessageView, offset: int, width: int) -> tuple[NDArray[np.uint64], Mask]:
    """
    Return the big-endian integer of ``width`` bytes at ``offset`` of each message, and whether the message has them.

    Args:
        offset: from the front, or from the end of the message where negative; the bytes must not pass the end.
    """
    begin = np.full(len(view), offset, np.int64) if offset >= 0 else view.lengths + offset
    exists = (begin >= 0) & (begin + width <= view.lengths)
    integers = np.zeros(len(view), np.uint64)
    if exists.any():
        first = np.where(exists, view.starts + begin, 0)
        for place in range(width):
            index = np.where(exists, first + place, 0)
            integers = (integers << np.uint64(8)) | view.data[index]
        integers[~exists] = 0
    return integers, exists


def token_spans(view: MessageView, index: int, separators: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return begin (into ``view.data``) and size of the token of this index; size 0 where there is no such token."""
    separates = np.zeros(256, np.bool_)
    separates[list(separators)] = True
    begin, size = np.zeros(len(view), np.int64), np.zeros(len(view), np.int64)
    _token_spans(view.data, view.starts, view.lengths, separates, index, begin, size)
    return begin, size


@njit(cache=True, nogil=True)
def _token_spans(data, starts, lengths, separates, index, begin, size):  # type: ignore[no-untyped-def]
    for row in range(len(starts)):
        position, end = starts[row], starts[row] + lengths[row]
        for token in range(index + 1):
            while position < end and separates[data[position]]:
                position += 1
            first = position
            while position < end and not separates[data[position]]:
                position += 1
            if token == index:
                begin[row] = first
                size[row] = position - first


def _equal(
    data: NDArray[np.uint8], begin: NDArray[np.int64], size: NDArray[np.int64], value: bytes, fold_case: bool
) -> Mask:
    same: Mask = (size == len(value)) & (size > 0)
    rows = np.flatnonzero(same)
    if len(rows):
        found = data[begin[rows, None] + np.arange(len(value), dtype=np.int64)]
        if fold_case:
            found = np.where((found >= 97) & (found <= 122), found - 32, found)
        same[rows] = (found == np.frombuffer(value, np.uint8)).all(axis=1)
    return same


def _length(guard: LengthGuard, lengths: NDArray[np.int64]) -> Mask:
    matches: Mask = lengths >= guard.minimum
    if guard.maximum is not None:
        matches &= lengths <= guard.maximum
    return matches


def _text(guard: TextGuard, view: MessageView) -> Mask:
    front, exists = view.front(guard.bytes)
    matches: Mask = np.logical_and.reduce(PRINTABLE[front] | ~exists, axis=1)
    return matches


def first_match(guards: Sequence[Sequence[Guard]], view: MessageView) -> NDArray[np.int32]:
    """Return for each message the index of the first list of guards that all hold, -1 where there is none (int32)."""
    cache = GuardCache(view)
    first = np.full(len(view), -1, np.int32)
    for index, conjunction in enumerate(guards):
        first[(first < 0) & cache.match(conjunction)] = index
    return first
