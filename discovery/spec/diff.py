"""The semantic difference of two specifications: what a reader has to know before moving from one to the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .constraints import Constraint
from .layout import Delimited, Element, Field, Fixed, FromLength, Repeat, Run, SelfDelimiting, Switch, Width
from .model import MessageType, ProtocolSpec


@dataclass(frozen=True)
class Change:
    """One difference at ``type`` or ``type.element[.element]``; before or after is empty where there is none."""

    kind: Literal["added", "removed", "changed", "grew", "shrank"]
    path: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-"}.get(self.kind, "~")
        if self.before and self.after:
            return f"{sign} {self.path}: {self.before} -> {self.after}"
        return f"{sign} {self.path}: {self.before or self.after}"


def diff(old: ProtocolSpec, new: ProtocolSpec) -> list[Change]:
    """Return the changes of framing, types, guards, fields and constraints, in the order of the new specification."""
    changes: list[Change] = []
    if old.framing != new.framing:
        changes.append(Change("changed", "framing", old.framing.model_dump_json(), new.framing.model_dump_json()))
    before = {t.name: t for t in old.types}
    for message_type in new.types:
        earlier = before.pop(message_type.name, None)
        if earlier is None:
            changes.append(Change("added", message_type.name, after=f"type {message_type.label or message_type.name}"))
        else:
            changes.extend(_type_changes(earlier, message_type))
    changes.extend(Change("removed", name, before=f"type {t.label or name}") for name, t in before.items())
    for name in sorted({*old.groups, *new.groups}):
        changes.extend(_layout_changes(name, old.groups.get(name, []), new.groups.get(name, [])))
    return changes


def _type_changes(old: MessageType, new: MessageType) -> Iterator[Change]:
    if old.guards != new.guards:
        yield Change("changed", f"{new.name} (guards)", _guards_text(old), _guards_text(new))
    yield from _layout_changes(new.name, old.elements, new.elements)


def _guards_text(message_type: MessageType) -> str:
    return " and ".join(guard.model_dump_json(exclude_none=True) for guard in message_type.guards) or "none"


def _layout_changes(path: str, old: Sequence[Element], new: Sequence[Element]) -> Iterator[Change]:
    before = _flatten(path, old)
    for name, element in _flatten(path, new).items():
        earlier = before.pop(name, None)
        if earlier is None:
            yield Change("added", name, after=describe(element))
            continue
        if describe(earlier) != describe(element):
            yield Change("changed", name, describe(earlier), describe(element))
        if isinstance(earlier, Field) and isinstance(element, Field):
            yield from _constraint_changes(name, earlier.constraints, element.constraints)
    for name, element in before.items():
        yield Change("removed", name, before=describe(element))


def _flatten(path: str, elements: Sequence[Element]) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for element in elements:
        name = f"{path}.{element.name}"
        found[name] = element
        if isinstance(element, Switch):
            for case in element.cases:
                found.update(_flatten(f"{name}[{','.join(map(str, case.values))}]", case.elements))
            found.update(_flatten(f"{name}[default]", element.default))
        else:
            found.update(_flatten(name, element.elements))
    return found


def describe(element: Element) -> str:
    """Return one line of what an element is: width, encoding, endianness and meaning."""
    if isinstance(element, Switch):
        return f"switch on {element.field}"
    if isinstance(element, Repeat):
        stop = {"to_end": "to the end", "times": "by count", "until": "until a mark"}[element.stop.kind]
        return "optional part" if element.maximum == 1 else f"repeat {stop}"
    size = _width_text(element.width)
    endianness = {"big": "be", "little": "le", None: ""}[element.endianness]
    return f"{element.semantic} {element.encoding}{endianness} {size}"


def _width_text(width: Width) -> str:
    if isinstance(width, Fixed):
        return f"{width.size} B"
    if isinstance(width, FromLength):
        return f"length from {width.field}"
    if isinstance(width, Run):
        return f"run of {width.of}"
    if isinstance(width, SelfDelimiting):
        return width.form
    if isinstance(width, Delimited):
        return "up to a delimiter"
    return f"rest, at most {width.at_most} B" if width.at_most else "rest"


def _constraint_changes(path: str, old: Sequence[Constraint], new: Sequence[Constraint]) -> Iterator[Change]:
    before = {c.kind: c for c in old}
    for constraint in new:
        earlier = before.pop(constraint.kind, None)
        text = constraint.model_dump_json(exclude={"kind"})
        if earlier is None:
            yield Change("added", f"{path} ({constraint.kind})", after=text)
        elif constraint.kind == "enum" and earlier.kind == "enum":
            yield from _enum_changes(path, set(earlier.values), set(constraint.values))
        elif earlier != constraint:
            yield Change("changed", f"{path} ({constraint.kind})", earlier.model_dump_json(exclude={"kind"}), text)
    for kind, constraint in before.items():
        yield Change("removed", f"{path} ({kind})", before=constraint.model_dump_json(exclude={"kind"}))


def _enum_changes(path: str, old: set[bytes], new: set[bytes]) -> Iterator[Change]:
    if new - old:
        yield Change("grew", f"{path} (enum)", after=", ".join(f"0x{v.hex()}" for v in sorted(new - old)))
    if old - new:
        yield Change("shrank", f"{path} (enum)", before=", ".join(f"0x{v.hex()}" for v in sorted(old - new)))
