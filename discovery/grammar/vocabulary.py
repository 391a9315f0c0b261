"""Tokens: a field of a type or group, with its value where the field is a small enumeration."""

from __future__ import annotations

from collections.abc import Sequence

from ..spec import Field, Fixed

UNPARSED = "(unparsed)"  # no field can have such a name
MAX_VALUES = 16
WIDEST = 8  # bytes of a value that is a token


class Vocabulary:
    """
    Names of tokens and their ids.

    Attributes:
        names: by id: the field's qualified name (``type.path`` or ``@group.path``), with ``=hex`` or ``=other`` where
            its values are told apart.
        fields: token → field, ids of their own.
        values: qualified name → {value bytes: token}; None stands for every value without a token of its own.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.fields: list[int] = []
        self.values: dict[str, dict[bytes | None, int]] = {}
        self.unparsed = self._add(UNPARSED, 0)

    def __len__(self) -> int:
        return len(self.names)

    def _add(self, name: str, field_id: int) -> int:
        self.names.append(name)
        self.fields.append(field_id)
        return len(self.names) - 1

    def of_field(self, qualified: str, element: Field | None = None, keys: Sequence[bytes] | None = None) -> list[int]:
        """Return the tokens that a field can be, made where it is new: of its keys, or else of its enumeration."""
        if qualified not in self.values:
            field_id = len(self.values) + 1
            values = list(keys or (_values(element) if element is not None else ()))
            tokens: dict[bytes | None, int] = {v: self._add(f"{qualified}={v.hex()}", field_id) for v in values}
            tokens[None] = self._add(f"{qualified}=other" if values else qualified, field_id)
            self.values[qualified] = tokens
        return list(self.values[qualified].values())


def _values(element: Field) -> list[bytes]:
    """Return the values that are tokens of their own: of an enumeration of at most 16 values of at most 8 bytes."""
    if not isinstance(element.width, Fixed) or element.width.size > WIDEST or element.elements or element.group:
        return []
    for constraint in element.constraints:
        if constraint.kind == "enum" and 1 < len(constraint.values) <= MAX_VALUES:
            return sorted({v for v in constraint.values if len(v) == element.width.size})
    return []
