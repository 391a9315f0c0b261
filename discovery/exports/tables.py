"""A specification as a neutral tree of constructor calls, which each target language renders with its own escaper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..spec import (
    Case,
    Delimited,
    Field,
    Fixed,
    FromLength,
    LengthGuard,
    MessageType,
    ProtocolSpec,
    Repeat,
    Rest,
    Run,
    SelfDelimiting,
    Switch,
    TextGuard,
    Times,
    ToEnd,
    TokenGuard,
    Until,
    ValueGuard,
)  # fmt: skip
from ..spec.base import Model

# Model → constructor name and its arguments in order: the contract between the tables and every runtime.
CONSTRUCTORS: dict[type[Model], tuple[str, tuple[str, ...]]] = {
    MessageType: ("Type", ("name", "label", "guards", "elements")),
    Field: ("Field", ("name", "width", "encoding", "endianness", "semantic", "elements", "group")),
    Repeat: ("Repeat", ("name", "stop", "elements", "group", "maximum")),
    Switch: ("Switch", ("name", "field", "mask", "cases", "default")),
    Case: ("Case", ("values", "elements", "group")),
    ValueGuard: ("Value", ("offset", "width", "mask", "values")),
    LengthGuard: ("Length", ("minimum", "maximum")),
    TokenGuard: ("Token", ("index", "separators", "fold_case", "values")),
    TextGuard: ("Text", ("bytes",)),
    Fixed: ("Fixed", ("size",)),
    FromLength: ("FromLength", ("field", "scale", "bias", "origin")),
    Delimited: ("Delimited", ("delimiters", "include", "required")),
    Run: ("Run", ("of", "required")),
    SelfDelimiting: ("SelfDelimiting", ("form",)),
    Rest: ("Rest", ("at_most",)),
    ToEnd: ("ToEnd", ()),
    Times: ("Times", ("field", "bias")),
    Until: ("Until", ("bytes",)),
}


@dataclass(frozen=True)
class Call:
    """A constructor with its named arguments, in order; those equal to their default are left out."""

    name: str
    arguments: tuple[tuple[str, object], ...]


# What a runtime assumes where an argument is absent.
DEFAULTS: dict[str, object] = {
    "elements": [], "group": None, "maximum": 65536, "default": [], "endianness": None, "semantic": "unknown",
    "label": "", "mask": None, "include": False, "required": False, "fold_case": False,
    "at_most": None,
}  # fmt: skip


def lower(value: object) -> object:
    """Turn models into calls, recursively; lists and scalars stay what they are."""
    if isinstance(value, Model):
        name, arguments = CONSTRUCTORS[type(value)]
        lowered = [(argument, lower(getattr(value, argument))) for argument in arguments]
        return Call(name, tuple((key, item) for key, item in lowered if key not in DEFAULTS or item != DEFAULTS[key]))
    if isinstance(value, list):
        return [lower(item) for item in value]
    return value


def lower_spec(spec: ProtocolSpec) -> tuple[list[object], dict[str, list[object]]]:
    """Return the types and the groups of a specification as calls."""
    return [lower(t) for t in spec.types], {name: _lowered(group) for name, group in sorted(spec.groups.items())}


def _lowered(elements: Sequence[object]) -> list[object]:
    return [lower(element) for element in elements]
