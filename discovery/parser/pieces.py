"""Pieces: the fields of a message that is being built, in order, with their bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError, LimitError
from ..spec import (
    Case,
    Constant,
    Element,
    Field,
    Fixed,
    FromLength,
    ProtocolSpec,
    Repeat,
    Switch,
    Times,
)  # fmt: skip
from .limits import Limits
from .tree import UNPARSED
from .values import decode, encode

Values = Mapping[str, Any]


@dataclass(eq=False)
class Piece:
    """
    A field on its way into a message.

    Attributes:
        field: None for bytes without a name.
        data: its bytes, of a region empty; given: whether the caller said them.
        start, end: where it lies, once the pieces are laid out; regions and repeats span the pieces inside.
        parent: the region or repeat around it; repeat: the repeat, where it is one; items: how many it holds.
    """

    field: Field | None
    data: bytes = b""
    given: bool = True
    repeat: Repeat | None = None
    items: int = 0
    parent: Piece | None = None
    first: int = 0
    last: int = 0
    start: int = 0
    end: int = 0


@dataclass
class Draft:
    """
    The pieces of a message, and what depends on what.

    Attributes:
        pieces: in order; a region or repeat stands before what it holds (``first`` to ``last`` in ``pieces``).
        numbers: field name → the piece that was read last.
        lengths: (number, how it says a length, what it is the length of); counts: (number, bias, repeat).
    """

    pieces: list[Piece] = field(default_factory=list)
    numbers: dict[str, Piece] = field(default_factory=dict)
    lengths: list[tuple[Piece, FromLength, Piece]] = field(default_factory=list)
    counts: list[tuple[Piece, int, Piece]] = field(default_factory=list)

    def layout(self) -> bytes:
        """Place the pieces one after the other and return their bytes."""
        at = 0
        for piece in self.pieces:
            piece.start = at
            at += len(piece.data)
            piece.end = at
        for piece in self.pieces:
            if piece.last > piece.first:
                piece.end = max(piece.end, self.pieces[piece.last - 1].end)
        return b"".join(piece.data for piece in self.pieces)


class _Names:
    """The values of one region or item; a name that stands twice is read with underscores (see ``tree.free_key``)."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.used: set[str] = set()

    def take(self, name: str) -> Any:
        while name in self.used:
            name += "_"
        self.used.add(name)
        return self.values.get(name)

    def check(self, where: str) -> None:
        unknown = sorted(str(name) for name in self.values if name not in self.used)
        if unknown:
            raise InputError(f"no field '{unknown[0]}' here", where=where)


class _Cut(Exception):  # noqa: N818 - not an error: the place where a damaged message was cut
    """No field follows any more; never leaves the drafter."""


class Drafter:
    """Turns values into pieces along the layout of a type."""

    def __init__(self, spec: ProtocolSpec, limits: Limits) -> None:
        self.spec, self.limits = spec, limits
        self.draft = Draft()
        self.damaged = False

    def message(self, elements: Sequence[Element], values: Values, where: str, damaged: bool) -> Draft:
        """
        Return the pieces of a message; the fields of a ``damaged`` one end with the first that is missing.

        Raises:
            InputError: a value is missing, unknown or of the wrong type. LimitError: it nests too deeply.
        """
        names = _Names(values)
        self.damaged = damaged
        try:
            if not elements:
                self._bytes(names, "payload", None)
            self._elements(elements, names, None, 0)
        except _Cut:
            pass
        self._bytes(names, UNPARSED, None)
        names.check(where)
        return self.draft

    def _elements(self, elements: Sequence[Element], names: _Names, parent: Piece | None, depth: int) -> None:
        if depth > self.limits.depth:
            raise LimitError(f"nested more than {self.limits.depth} deep")
        for element in elements:
            if isinstance(element, Field):
                self._field(element, names, parent, depth)
            elif isinstance(element, Repeat):
                self._repeat(element, names, parent, depth)
            else:
                case = self._case(element)
                self._elements(self._inside(case), names, parent, depth + 1)

    def _inside(self, holder: Field | Repeat | Case) -> Sequence[Element]:
        return self.spec.groups[holder.group] if holder.group else holder.elements

    def _add(self, piece: Piece) -> Piece:
        if len(self.draft.pieces) >= self.limits.leaves:
            raise LimitError(f"more than {self.limits.leaves} fields")
        self.draft.pieces.append(piece)
        return piece

    def _field(self, element: Field, names: _Names, parent: Piece | None, depth: int) -> None:
        value = names.take(element.name)
        if value is None and self.damaged:
            raise _Cut
        piece = self._add(Piece(element, parent=parent, given=value is not None))
        width = element.width
        if isinstance(width, FromLength):
            self.draft.lengths.append((self._number(width.field), width, piece))
        if isinstance(value, Mapping) and (element.elements or element.group):
            self._region(element, value, piece, depth)
        else:
            piece.data = self._data(element, value)
        if element.encoding in ("uint", "int", "ber_length", "leb128"):
            self.draft.numbers[element.name] = piece

    def _data(self, element: Field, value: Any) -> bytes:
        if value is not None:
            if isinstance(value, str) and (element.elements or element.group):
                value = _hex(value, element.name)
            return encode(element, value, self._size(element))
        constant = next((c.value for c in element.constraints if isinstance(c, Constant)), None)
        if constant is not None:
            return constant
        if isinstance(element.width, Fixed):
            return bytes(element.width.size)
        return b"\0" if element.encoding in ("ber_length", "leb128") else b""

    def _size(self, element: Field) -> int | None:
        """Return the bytes that a length which was given leaves for a number."""
        if not isinstance(element.width, FromLength) or element.width.origin != "self":
            return None
        number = self._number(element.width.field)
        if not number.given:
            return None
        size = number_of(number) * element.width.scale + element.width.bias
        return size if 0 <= size <= 8 else None

    def _region(self, element: Field, value: Values, piece: Piece, depth: int) -> None:
        inner = _Names(value)
        piece.first = len(self.draft.pieces)
        self._elements(self._inside(element), inner, piece, depth + 1)
        self._bytes(inner, "payload", piece)
        inner.check(element.name)
        piece.last = len(self.draft.pieces)

    def _bytes(self, names: _Names, name: str, parent: Piece | None) -> None:
        """Add bytes without a field: the rest of a region, or what could not be parsed."""
        value = names.take(name)
        if value is not None:
            self._add(Piece(None, value if isinstance(value, bytes) else _hex(value, name), parent=parent))

    def _repeat(self, element: Repeat, names: _Names, parent: Piece | None, depth: int) -> None:
        items = names.take(element.name) or []
        if not isinstance(items, Sequence) or isinstance(items, (str, bytes)) or len(items) > element.maximum:
            raise InputError(f"expected a list of at most {element.maximum} items", where=element.name)
        piece = self._add(Piece(None, parent=parent, repeat=element, items=len(items)))
        if isinstance(element.stop, Times):
            self.draft.counts.append((self._number(element.stop.field), element.stop.bias, piece))
        piece.first = len(self.draft.pieces)
        for item in items:
            if not isinstance(item, Mapping):
                raise InputError("an item is a table of values", where=element.name)
            inner = _Names(item)
            self._elements(self._inside(element), inner, piece, depth + 1)
            inner.check(element.name)
        piece.last = len(self.draft.pieces)

    def _case(self, element: Switch) -> Case:
        value = number_of(self._number(element.field))
        if element.mask != -1:
            value &= element.mask
        for case in element.cases:
            if value in case.values:
                return case
        return Case(values=[], elements=element.default)

    def _number(self, name: str) -> Piece:
        if name not in self.draft.numbers:
            if self.damaged:
                raise _Cut
            raise InputError(f"'{name}' is not read before what depends on it", where=name)
        return self.draft.numbers[name]


def number_of(piece: Piece) -> int:
    """Return the number that a piece holds, 0 where it holds none."""
    value = decode(piece.field, piece.data)
    return value if isinstance(value, int) else 0


def _hex(value: Any, where: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except (ValueError, TypeError) as error:
        raise InputError("expected bytes, or pairs of hexadecimal digits", where=where) from error
