"""Export to one Python module: the specification as tables that read like a packet definition, and a small reader."""

from __future__ import annotations

from importlib.resources import files

from ..spec import ProtocolSpec
from .tables import Call, lower_spec

WIDTH = 110


def to_python(spec: ProtocolSpec) -> str:
    """
    Return the source of a module that depends on the standard library alone.

    Every name, string and byte of the specification is rendered by ``repr`` as a literal, so nothing of the traffic
    becomes code. The module offers ``parse(message) -> (type, leaves, error)`` and reads hexadecimal lines when run.
    """
    types, groups = lower_spec(spec)
    runtime = files(__package__).joinpath("python_runtime.py").read_text(encoding="utf-8")
    which = f"specification {spec.id or 'partial'}, version {spec.version}"
    head = f'"""Parser of the protocol {spec.protocol}, {which}."""'
    tables = [
        f"PROTOCOL = {spec.protocol!r}",
        "GROUPS = {" + "".join(f"\n    {name!r}: {render(group, 4)}," for name, group in groups.items()) + "}",
        f"TYPES = {render(types, 0)}",
    ]
    end = 'if __name__ == "__main__":\n    main()'
    return "\n\n".join([head, runtime.rstrip() + "\n", *tables, end]) + "\n"


def render(value: object, indent: int) -> str:
    """Render a lowered value as a Python expression, on one line where it fits, else one item a line."""
    line = _line(value)
    if len(line) + indent <= WIDTH:
        return line
    inner = indent + 4
    pad = "\n" + " " * inner
    if isinstance(value, Call):
        parts = _arguments(value, [render(item, inner) for _, item in value.arguments])
        return f"{value.name}(" + "".join(f"{pad}{part}," for part in parts) + "\n" + " " * indent + ")"
    if isinstance(value, list):
        return "[" + "".join(f"{pad}{render(item, inner)}," for item in value) + "\n" + " " * indent + "]"
    return line


def _line(value: object) -> str:
    if isinstance(value, Call):
        return f"{value.name}({', '.join(_arguments(value, [_line(item) for _, item in value.arguments]))})"
    if isinstance(value, list):
        return "[" + ", ".join(_line(item) for item in value) + "]"
    return repr(value)


POSITIONAL = ("name", "width", "size", "encoding", "stop", "of", "form")


def _arguments(call: Call, texts: list[str]) -> list[str]:
    """The leading arguments that need no name, then the others as keywords."""
    parts: list[str] = []
    named = False
    for (key, _), text in zip(call.arguments, texts, strict=True):
        named = named or key not in POSITIONAL
        parts.append(f"{key}={text}" if named else text)
    return parts
