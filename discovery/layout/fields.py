"""Fields from columns: their names, and whether their bytes read as a number, text or plain bytes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

import numpy as np

from ..spec import Element, Encoding, Field, Fixed, Semantic, Width
from .columns import Columns

Endianness = Literal["big", "little"] | None
NUMBERS = (1, 2, 3, 4, 8)
PRINTABLE = np.zeros(256, np.bool_)
PRINTABLE[32:127] = True
SPACES = np.zeros(256, np.bool_)
SPACES[[9, 10, 13]] = True


class Names:
    """
    Names that are unique in one scope (a message type, or a group): ``f1``, ``f2``, … or a hint with a number.

    ``reserved`` names are given by ``claim`` alone: a proven field of the header has the same name in every type,
    whatever the bodies hold.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = set(reserved)
        self._taken = set(self._reserved)
        self._count = 0

    def fork(self) -> Names:
        """Return a scope in which the same names are taken, for a layout that may not be used."""
        fork = Names()
        fork.join(self)
        return fork

    def join(self, other: Names) -> None:
        """Take the names that are taken there."""
        self._taken |= other._taken
        self._count = max(self._count, other._count)

    def claim(self, name: str) -> str:
        """Return a reserved name the first time, afterwards ``name`` with a number."""
        if name in self._reserved:
            self._reserved.remove(name)
            return name
        return self.next(name)

    def next(self, hint: str = "") -> str:
        """Return a new name; ``hint`` itself where it is free."""
        if hint and hint not in self._taken:
            self._taken.add(hint)
            return hint
        number = 2
        while True:
            if not hint:
                self._count += 1
            name = f"{hint}{number}" if hint else f"f{self._count}"
            number += 1
            if name not in self._taken:
                self._taken.add(name)
                return name


def encoding_of(columns: Columns, start: int, stop: int, prior: Endianness) -> tuple[Encoding, Endianness]:
    """
    Return the encoding and byte order of the field that takes the columns ``start`` to ``stop``.

    The high byte of a number varies less than its low byte; where neither end does, ``prior`` decides. Wide fields and
    fields whose both ends look random are bytes.
    """
    width = stop - start
    if width > 1 and _is_padded_text(columns, start, stop):
        return "ascii", None
    if width == 1:
        return "uint", None
    if width not in NUMBERS or not columns.rows[start]:
        return "bytes", None
    if width == 8 and float(columns.entropy[[start, stop - 1]].min()) > 4:
        return "bytes", None
    return "uint", _byte_order(columns, start, stop - 1) or prior or "big"


def _byte_order(columns: Columns, first: int, last: int) -> Endianness:
    """Return the byte order that the entropy, else the zeros, of a number's outer columns show."""
    order = float(columns.entropy[last] - columns.entropy[first])
    if abs(order) <= 0.25:
        order = float(columns.zeros[first] - columns.zeros[last])
    if order == 0:
        return None
    return "big" if order > 0 else "little"


def _is_padded_text(columns: Columns, start: int, stop: int) -> bool:
    rows, text = columns.rows[start:stop], columns.printable[start:stop]
    if not rows[0] or int(text[0]) != int(rows[0]):
        return False
    return bool(((text + columns.zeros[start:stop]) == rows).all()) and 2 * int(text.sum()) > int(rows.sum())


def field_of(names: Names, columns: Columns, start: int, stop: int, prior: Endianness) -> Field:
    """Return a field of fixed width that takes the columns ``start`` to ``stop``."""
    encoding, endianness = encoding_of(columns, start, stop, prior)
    return Field(
        name=names.next(),
        width=_fixed(stop - start),
        encoding=encoding,
        endianness=endianness,
        constraints=[],  # given, because a default list is copied deeply
        elements=[],
    )


@lru_cache(maxsize=1024)
def _fixed(size: int) -> Fixed:
    return Fixed(size=size)  # nothing changes it, so that fields may share it


def named_at(front: list[Element], at: int, width: int) -> str:
    """Return the name of the field of fixed width that takes the bytes ``at`` to ``at + width`` of a front part."""
    place = 0
    for element in front:
        size = element.width.size if isinstance(element, Field) and isinstance(element.width, Fixed) else 0
        if place == at and size == width:
            return element.name
        place += size
    raise AssertionError("a hypothesis names its boundaries in `fixed`")


def as_number(element: Element, little: bool, semantic: Semantic) -> Element:
    """Return a field of fixed width as a number of known byte order and meaning, so that others can refer to it."""
    if not isinstance(element, Field) or not isinstance(element.width, Fixed):
        return element
    endianness: Endianness = None if element.width.size == 1 else "little" if little else "big"
    return element.model_copy(update={"encoding": "uint", "endianness": endianness, "semantic": semantic})


def plain(name: str, width: Width, encoding: Encoding = "bytes", semantic: Semantic = "unknown") -> Field:
    """Return a field of one encoding without byte order."""
    return Field(name=name, width=width, encoding=encoding, semantic=semantic, constraints=[], elements=[])


def number(name: str, size: int, little: bool, semantic: Semantic) -> Field:
    """Return an unsigned number of fixed width."""
    endianness: Endianness = None if size == 1 else "little" if little else "big"
    return Field(name=name, width=Fixed(size=size), encoding="uint", endianness=endianness, semantic=semantic)


def divided(elements: list[Element]) -> list[Element]:
    """Return the elements if they divide their region, nothing if they are one field."""
    return [] if len(elements) == 1 and isinstance(elements[0], Field) and not elements[0].elements else elements
