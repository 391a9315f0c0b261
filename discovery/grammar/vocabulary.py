"""Tokens: a field of a type or group, with its value where the field is a small enumeration."""

from __future__ import annotations

from ..spec import Field, Fixed

UNPARSED = "unparsed"
MAX_VALUES = 16
_WIDEST = 8  # bytes of a value that is a token


class Vocabulary:
    """
    Names of tokens and their ids.

    Attributes:
        names: ``scope.field``, or ``scope.field=hex`` and ``scope.field=other`` where values are told apart; by id.
        fields: token → field, ids of their own; values: (scope, field) → {value bytes: token}, with None for the rest.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.fields: list[int] = []
        self.values: dict[tuple[str, str], dict[bytes | None, int]] = {}
        self._ids: dict[str, int] = {}
        self.unparsed = self._add(UNPARSED, 0)

    def __len__(self) -> int:
        return len(self.names)

    def _add(self, name: str, field_id: int) -> int:
        if name not in self._ids:
            self._ids[name] = len(self.names)
            self.names.append(name)
            self.fields.append(field_id)
        return self._ids[name]

    def of_name(self, scope: str, name: str) -> dict[bytes | None, int]:
        """Return the tokens of a field by value; a field not met before gets one token for every value."""
        if (scope, name) not in self.values:
            token = self._add(f"{scope}.{name}" if scope else name, len(self.values) + 1)
            self.values[scope, name] = {None: token}
        return self.values[scope, name]

    def of_field(self, scope: str, element: Field) -> list[int]:
        """Return the tokens that a field can be, in order of value."""
        if (scope, element.name) not in self.values:
            values = _values(element)
            if values:
                field_id = len(self.values) + 1
                base = f"{scope}.{element.name}="
                tokens: dict[bytes | None, int] = {v: self._add(base + v.hex(), field_id) for v in values}
                tokens[None] = self._add(base + "other", field_id)
                self.values[scope, element.name] = tokens
        return list(self.of_name(scope, element.name).values())


def _values(element: Field) -> list[bytes]:
    """Return the values that are tokens of their own: of an enumeration of at most 16 values of at most 8 bytes."""
    if not isinstance(element.width, Fixed) or element.width.size > _WIDEST or element.elements or element.group:
        return []
    for constraint in element.constraints:
        if constraint.kind == "enum" and 1 < len(constraint.values) <= MAX_VALUES:
            return sorted({v for v in constraint.values if len(v) == element.width.size})
    return []
