"""Compile guards into the tables of ``dispatch``: candidates by one shared value, then guards one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..spec import Guard, LengthGuard, MessageType, TextGuard, TokenGuard, ValueGuard
from . import dispatch
from .pool import Pool, wrapped

_WHOLE = -1  # a mask of all bits
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
        values = sorted({wrapped(int.from_bytes(v, "big")) for v in guard.values if len(v) == guard.width})
        offset = max(min(guard.offset, 1 << 40), -(1 << 40))
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
        offset, width, mask = place
        anywhere, by_value = _candidates(types, place)
        ids: dict[tuple[int, ...], int] = {tuple(anywhere): 0}
        table = [0] * ((1 << 8 * width) + 1 if width else 1)
        for value, indices in by_value.items():
            candidates = tuple(sorted((*anywhere, *indices)))
            table[value] = ids.setdefault(candidates, len(ids))
        numbers = self._pool.numbers
        numbers[dispatch.PLACE], numbers[dispatch.PLACE_WIDTH], numbers[dispatch.PLACE_MASK] = offset, width, mask
        numbers[dispatch.TABLE] = self._pool.add(table)
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
    """Return offset, width and mask of a value of one or two bytes near the front, None for other guards."""
    if not isinstance(guard, ValueGuard) or guard.width > 2 or abs(guard.offset) > 1 << 20:
        return None
    return guard.offset, guard.width, _mask(guard)


def _candidates(types: Sequence[MessageType], place: tuple[int, int, int]) -> tuple[list[int], dict[int, list[int]]]:
    """Return the types that have no guard at a place, and for each value there those whose guard allows it."""
    anywhere: list[int] = []
    by_value: dict[int, list[int]] = {}
    for index, message_type in enumerate(types):
        guards = [g for g in message_type.guards if isinstance(g, ValueGuard) and _place(g) == place]
        if not guards:
            anywhere.append(index)
            continue
        for value in sorted({v for v in guards[0].values if len(v) == guards[0].width}):
            by_value.setdefault(int.from_bytes(value, "big"), []).append(index)
    return anywhere, by_value
