"""Compile guards into the tables of ``dispatch``: candidates by one shared value, then guards one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..spec import Guard, LengthGuard, MessageType, TextGuard, TokenGuard, ValueGuard
from . import dispatch
from .pool import Pool, wrapped

_WHOLE = -1  # a mask of all bits
_FAR = 1 << 40  # beyond every message
_MOST = 1 << 20  # entries of buckets
_COST = {"length": 0, "value": 1, "text": 2, "token": 3}


class GuardTables:
    """
    The guards of a specification, in the order of its types.

    Args:
        pool: where the tables go; memo: the first cell of the state for what is read once a message.
    """

    def __init__(self, types: Sequence[MessageType], pool: Pool, memo: int) -> None:
        self._pool, self._memo = pool, memo
        self._slots: dict[tuple[object, ...], int] = {}
        rows: list[list[int]] = []
        spans = [0]
        for message_type in types:
            # Cheap guards first: all have to hold, so that their order does not matter.
            rows += map(self._row, sorted(message_type.guards, key=lambda guard: _COST[guard.kind]))
            spans.append(len(rows))
        first = pool.add(number for row in rows for number in row)
        pool.numbers[dispatch.TYPE_GUARDS] = pool.add(first + dispatch.GUARD_COLUMNS * span for span in spans)
        self._buckets(types)

    @property
    def cells(self) -> int:
        """Cells of the state that hold values and tokens read once a message."""
        return dispatch.MEMO_COLUMNS * len(self._slots)

    def _slot(self, *place: object) -> int:
        return self._slots.setdefault(place, self._memo + self.cells)

    def _row(self, guard: Guard) -> list[int]:
        match guard:
            case ValueGuard():
                return self._value(guard)
            case TokenGuard():
                return self._token(guard)
            case LengthGuard():
                maximum = -1 if guard.maximum is None else min(guard.maximum, 1 << 60)
                return [dispatch.G_LENGTH, 0, min(guard.minimum, 1 << 60), maximum, 0, 0, 0, 0]
            case TextGuard():
                return [dispatch.G_TEXT, 0, guard.bytes, 0, 0, 0, 0, 0]

    def _value(self, guard: ValueGuard) -> list[int]:
        values = _values(guard)
        offset = max(min(guard.offset, _FAR), -_FAR)
        slot = self._slot("value", offset, guard.width)
        return [
            dispatch.G_VALUE, slot, offset, guard.width, _mask(guard), self._pool.add(values), len(values), 0,
        ]  # fmt: skip

    def _token(self, guard: TokenGuard) -> list[int]:
        members = bytearray(256)
        for byte in guard.separators:
            members[byte] = 1
        separators = self._pool.text(bytes(members))
        values = self._pool.add(part for v in guard.values for part in (self._pool.text(v), len(v)))
        slot = self._slot("token", guard.index, separators)
        return [
            dispatch.G_TOKEN, slot, guard.index, separators, 0, values, len(guard.values), int(guard.fold_case),
        ]  # fmt: skip

    def _buckets(self, types: Sequence[MessageType]) -> None:
        """Write the table from the value at the most shared place to the candidate types."""
        places = Counter(place for t in types for place in {_place(g) for g in t.guards} if place)
        place = min(places, key=lambda p: (-places[p], p)) if places else (0, 0, 0)
        anywhere, by_value = _candidates(types, place)
        if len(anywhere) * len(by_value) > _MOST:
            place, anywhere, by_value = (0, 0, 0), list(range(len(types))), {}
        offset, width, mask = place
        ids: dict[tuple[int, ...], int] = {tuple(anywhere): 0}
        values = sorted(by_value)
        buckets = [ids.setdefault(tuple(sorted((*anywhere, *by_value[value]))), len(ids)) for value in values]
        numbers = self._pool.numbers
        numbers[dispatch.PLACE], numbers[dispatch.PLACE_WIDTH], numbers[dispatch.PLACE_MASK] = offset, width, mask
        numbers[dispatch.VALUES], numbers[dispatch.VALUE_COUNT] = self._pool.add([*values, *buckets]), len(values)
        self._write_buckets(list(ids))

    def _write_buckets(self, buckets: list[tuple[int, ...]]) -> None:
        entries = self._pool.add(index for bucket in buckets for index in bucket)
        bounds = [entries]
        for bucket in buckets:
            bounds.append(bounds[-1] + len(bucket))
        self._pool.numbers[dispatch.BUCKETS] = self._pool.add(bounds)


def _mask(guard: ValueGuard) -> int:
    return _WHOLE if guard.mask is None else wrapped(int.from_bytes(guard.mask, "big"))


def _place(guard: Guard) -> tuple[int, int, int] | None:
    """Return offset, width and mask of the value that a guard asks for, None for other guards."""
    if not isinstance(guard, ValueGuard):
        return None
    return max(min(guard.offset, _FAR), -_FAR), guard.width, _mask(guard)


def _values(guard: ValueGuard) -> list[int]:
    """Return the values of a guard as the machine compares them, sorted."""
    return sorted({wrapped(int.from_bytes(value, "big")) for value in guard.values if len(value) == guard.width})


def _candidates(types: Sequence[MessageType], place: tuple[int, int, int]) -> tuple[list[int], dict[int, list[int]]]:
    """Return the types that have no guard at a place, and for each value there those whose guard allows it."""
    anywhere: list[int] = []
    by_value: dict[int, list[int]] = {}
    for index, message_type in enumerate(types):
        guards = [g for g in message_type.guards if isinstance(g, ValueGuard) and _place(g) == place]
        if not guards:
            anywhere.append(index)
            continue
        for value in _values(guards[0]):
            by_value.setdefault(value, []).append(index)
    return anywhere, by_value
