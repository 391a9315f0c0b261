"""What every part of the specification shares: strict frozen models, hexadecimal bytes, names, probabilities."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
QUANTUM = 1 << 16
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


class Model(BaseModel):
    """A part of the specification: immutable, and of no attributes but the declared ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")


def absent(value: object) -> bool:
    """Return whether an attribute says nothing: left out of documents, it changes no id of those written before it."""
    return value is None


def _from_hex(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return bytes.fromhex(value)
    raise ValueError("expected bytes or a string of hexadecimal digits")


def _check_name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError("a name is a letter or underscore, then at most 63 letters, digits or underscores")
    return value


def _check_label(value: str) -> str:
    if len(value) > 120 or any(not 32 <= ord(c) < 127 for c in value):
        raise ValueError("a label is at most 120 printable ASCII characters")
    return value


def quantise(value: float) -> float:
    """Round to a multiple of 2**-16, so that a measure has the same bytes on every machine."""
    return round(value * QUANTUM) / QUANTUM


HexBytes = Annotated[
    bytes,
    PlainValidator(_from_hex),
    PlainSerializer(bytes.hex, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^([0-9a-f]{2})*$"}),
]
Name = Annotated[str, AfterValidator(_check_name)]
Label = Annotated[str, AfterValidator(_check_label)]
Quantised = Annotated[float, AfterValidator(quantise)]
