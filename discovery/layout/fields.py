"""Fields from columns: their names, and whether their bytes read as a number, text or plain bytes."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..spec import Encoding, Field, Fixed, Semantic, Width
from .table import Bools, Bytes

Endianness = Literal["big", "little"] | None
NUMBERS = (1, 2, 3, 4, 8)
PRINTABLE = np.zeros(256, np.bool_)
PRINTABLE[32:127] = True
SPACES = np.zeros(256, np.bool_)
SPACES[[9, 10, 13]] = True


class Names:
    """Names that are unique in one scope (a message type, or a group): ``f1``, ``f2``, … or a hint with a number."""

    def __init__(self, taken: set[str] | None = None) -> None:
        self._taken = taken if taken is not None else set()
        self._count = 0

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


def entropy(column: Bytes) -> float:
    """Return the entropy of a column of bytes in bits."""
    counts = np.bincount(column, minlength=256)
    shares = counts[counts > 0] / max(len(column), 1)
    return float(-(shares * np.log2(shares)).sum())


def encoding_of(columns: Bytes, prior: Endianness) -> tuple[Encoding, Endianness]:
    """
    Return the encoding of a field's bytes (n, width) and its byte order.

    The high byte of a number varies less than its low byte; where neither end does, ``prior`` decides. Wide fields and
    fields whose both ends look random are bytes.
    """
    width = columns.shape[1]
    if width > 1 and _is_padded_text(columns):
        return "ascii", None
    if width == 1:
        return "uint", None
    if width not in NUMBERS or not len(columns):
        return "bytes", None
    first, last = entropy(columns[:, 0]), entropy(columns[:, -1])
    if width == 8 and min(first, last) > 4:
        return "bytes", None
    if abs(first - last) > 0.25:
        return "uint", "big" if first < last else "little"
    high, low = int((columns[:, 0] == 0).sum()), int((columns[:, -1] == 0).sum())
    if high != low:
        return "uint", "big" if high > low else "little"
    return "uint", prior or "big"


def _is_padded_text(columns: Bytes) -> bool:
    text = PRINTABLE[columns]
    return bool(len(columns) and (text | (columns == 0)).all() and text[:, 0].all() and text.mean() > 0.5)


def field_of(
    names: Names,
    columns: Bytes,
    exists: Bools,
    prior: Endianness,
    hint: str = "",
    semantic: Semantic = "unknown",
    probability: float = 1.0,
) -> Field:
    """Return a field of fixed width whose bytes are ``columns`` (n, width) where they exist."""
    encoding, endianness = encoding_of(columns[exists.all(axis=1)], prior)
    return Field(
        name=names.next(hint),
        width=Fixed(size=columns.shape[1]),
        encoding=encoding,
        endianness=endianness,
        semantic=semantic,
        probability=probability,
    )


def plain(name: str, width: Width, encoding: Encoding = "bytes", semantic: Semantic = "unknown") -> Field:
    """Return a field of one encoding without byte order."""
    return Field(name=name, width=width, encoding=encoding, semantic=semantic)


def number(name: str, size: int, little: bool, semantic: Semantic) -> Field:
    """Return an unsigned number of fixed width."""
    endianness: Endianness = None if size == 1 else "little" if little else "big"
    return Field(name=name, width=Fixed(size=size), encoding="uint", endianness=endianness, semantic=semantic)
