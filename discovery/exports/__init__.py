"""Exports of a specification: a Python parser, a Wireshark dissector, a JSON schema, a graph."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import NotFoundError
from ..spec import ProtocolSpec
from .dot import to_dot
from .json_schema import to_json_schema
from .python import to_python
from .wireshark import to_wireshark

FORMATS: dict[str, tuple[Callable[[ProtocolSpec], str], str]] = {
    "python": (to_python, "parser.py"),
    "wireshark": (to_wireshark, "dissector.lua"),
    "json-schema": (to_json_schema, "schema.json"),
    "dot": (to_dot, "types.dot"),
}


def export(spec: ProtocolSpec, to: str) -> str:
    """
    Return the specification in another language.

    Args:
        to: ``python``, ``wireshark``, ``json-schema`` or ``dot``.

    Raises:
        NotFoundError: there is no export of that name.
    """
    if to not in FORMATS:
        raise NotFoundError(f"no export named '{to}'", hint=f"one of {', '.join(FORMATS)}")
    return FORMATS[to][0](spec)


__all__ = ["FORMATS", "export", "to_dot", "to_json_schema", "to_python", "to_wireshark"]
