"""What the layout itself says of a field: it is a length, a count or a selector of other elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..spec import (
    Constraint,
    Count,
    Element,
    Field,
    FromLength,
    Length,
    ProtocolSpec,
    Repeat,
    Semantic,
    Switch,
    Times,
    walk,
)


@dataclass(frozen=True)
class Role:
    """What a field is to a later element, and the constraint that the parser itself uses, if it can be stated."""

    semantic: Semantic
    constraint: Constraint | None = None


def roles_of(spec: ProtocolSpec) -> dict[tuple[str, str], Role]:
    """Return the role of each referenced field by (type or group, field name); the first reference counts."""
    roles: dict[tuple[str, str], Role] = {}
    for scope, elements in _scopes(spec):
        for element in walk(elements):
            reference = _reference(element)
            if reference is not None:
                roles.setdefault((scope, reference[0]), reference[1])
    return roles


def _scopes(spec: ProtocolSpec) -> Iterator[tuple[str, list[Element]]]:
    for message_type in spec.types:
        yield message_type.name, message_type.elements
    yield from spec.groups.items()


def _reference(element: Element) -> tuple[str, Role] | None:
    """Return the name of the field that an element refers to, and what that field is."""
    if isinstance(element, Field) and isinstance(element.width, FromLength):
        width = element.width
        exact = width.origin == "self"
        constraint = Length(of="field", target=element.name, scale=width.scale, bias=width.bias) if exact else None
        return width.field, Role("length", constraint)
    if isinstance(element, Repeat) and isinstance(element.stop, Times):
        return element.stop.field, Role("count", Count(target=element.name, bias=element.stop.bias))
    if isinstance(element, Switch):
        return element.field, Role("type")
    return None
