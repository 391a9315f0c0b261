"""Symbols: what a leaf or an inner node of a parsed message stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..spec import Field, Repeat, Semantic
from .values import Reader, reader


@dataclass(frozen=True)
class Symbol:
    """
    One place of a specification that bytes are read for.

    Attributes:
        type: name of the message type, empty for what stands in a group.
        group: name of the group, empty for what stands in a type.
        path: names of the enclosing fields and repeats and its own, joined by dots, from the type or group on.
        field: the field; None for the unnamed rest of a region (``payload``) and for an item of a repeat.
        repeat: the repeat, for an item.
        semantic: the field's meaning.
        repeated: whether a message may hold it more than once.
    """

    type: str
    group: str
    path: str
    field: Field | None = None
    repeat: Repeat | None = None
    semantic: Semantic = "payload"
    repeated: bool = False

    @cached_property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition(".")[2]

    @cached_property
    def read(self) -> Reader:
        """Return what makes its value out of its bytes."""
        return reader(self.field)

    @property
    def qualified(self) -> str:
        """Return ``type.path``, or ``@group.path`` for what stands in a group: unique to a column of values."""
        return f"{self.type}.{self.path}" if self.type else f"@{self.group}.{self.path}"
