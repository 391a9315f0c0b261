"""Export to JSON Schema: what ``qbitel parse --format ndjson`` prints for a message of this protocol."""

from __future__ import annotations

import json
from typing import Any

from ..spec import Element, Field, ProtocolSpec, Repeat, Switch


def to_json_schema(spec: ProtocolSpec) -> str:
    """Return a JSON Schema (draft 2020-12) with one definition a message type and one a group."""
    definitions = {name: _object(elements) for name, elements in spec.groups.items()}
    definitions.update({f"type_{t.name}": {"title": t.label or t.name, **_object(t.elements)} for t in spec.types})
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:qbitel:{spec.id or 'partial'}",
        "title": spec.protocol,
        "type": "object",
        "required": ["type", "fields"],
        "properties": {
            "row": {"type": "integer", "minimum": 0},
            "type": {"enum": [*(t.name for t in spec.types), "unknown"]},
            "error": {"type": ["string", "null"]},
        },
        "oneOf": [
            {"properties": {"type": {"const": t.name}, "fields": {"$ref": f"#/$defs/type_{t.name}"}}}
            for t in spec.types
        ]
        + [{"properties": {"type": {"const": "unknown"}, "fields": {"type": "object"}}}],
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(schema, indent=2, ensure_ascii=True) + "\n"


def _object(elements: list[Element]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for element in elements:
        properties.update(_properties(element))
    return {"type": "object", "properties": properties}


def _properties(element: Element) -> dict[str, Any]:
    if isinstance(element, Field):
        return {element.name: _field(element)}
    if isinstance(element, Repeat):
        items = {"$ref": f"#/$defs/{element.group}"} if element.group else _object(element.elements)
        return {element.name: {"type": "array", "items": items, "maxItems": element.maximum}}
    assert isinstance(element, Switch)
    merged: dict[str, Any] = {}
    for case in element.cases:
        merged.update(_object(case.elements)["properties"])
    merged.update(_object(element.default)["properties"])
    return merged


def _field(field: Field) -> dict[str, Any]:
    if field.group:
        return {"$ref": f"#/$defs/{field.group}"}
    if field.elements:
        return _object(field.elements)
    schema: dict[str, Any] = dict(_SCALARS.get(field.encoding, _BYTES))
    schema["description"] = field.semantic
    for constraint in field.constraints:
        if constraint.kind == "range" and schema["type"] == "integer":
            schema |= {"minimum": constraint.minimum, "maximum": constraint.maximum}
    return schema


_BYTES = {"type": "string", "contentEncoding": "base16", "pattern": "^([0-9a-f]{2})*$"}
_INTEGER = {"type": "integer"}
_TEXT = {"type": "string"}
_SCALARS: dict[str, dict[str, Any]] = {
    "uint": _INTEGER,
    "int": _INTEGER,
    "leb128": _INTEGER,
    "ber_length": _INTEGER,
    "float": {"type": ["number", "null"]},
    "ascii": _TEXT,
    "utf8": _TEXT,
    "utf16": _TEXT,
}
