"""
The layout of a message type: fields, repeats and switches, read in order from the front of a region.

A region is the message, or the bytes of a field that has ``elements``. Elements are read one after the other from a
cursor at the start of the region. A ``rest`` field takes what is left of its region minus the fixed width of the
elements that follow it, so a trailer such as a checksum is written as fixed fields after a ``rest`` field.
References to fields are names: the most recently read field of that name, in this region or before it, that holds a
number (``uint`` or ``int`` of at most 8 bytes, ``ber_length``, ``leb128``). A reference to a field that was not read is
an error of the message; one to a name that no field bears is an error of the specification.

A message fits where its elements read it to the last byte. Where they do not, what was read stays and the error stands
at the first byte that was not. A type without elements is one leaf. Regions, items and cases nest at most 32 deep in a
message, and a message has at most 65536 leaves.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Attribute

from .base import HexBytes, Model, Name, Quantised, absent
from .constraints import Checksum, Constraint

Semantic = Literal[
    "type", "length", "count", "checksum", "counter", "timestamp", "constant", "magic", "version", "enum", "flags",
    "identifier", "echo", "address", "float", "integer", "text", "bcd", "padding", "delimiter", "offset", "payload",
    "opaque", "unknown",
]  # fmt: skip
Encoding = Literal["uint", "int", "float", "bcd", "ber_length", "leb128", "bytes", "ascii", "utf8", "utf16"]


class Fixed(Model):
    """So many bytes."""

    kind: Literal["fixed"] = "fixed"
    size: int = Attribute(ge=1)


class FromLength(Model):
    """
    ``value(field) * scale + bias`` says where this field ends.

    ``origin`` "self": it is the number of bytes of this field; "message": the offset from the start of the message at
    which this field ends; "length_end": the number of bytes from the end of the length field to the end of this one.
    """

    kind: Literal["from_length"] = "from_length"
    field: Name
    scale: int = Attribute(default=1, ge=1, le=64)
    bias: int = 0
    origin: Literal["self", "message", "length_end"] = "self"


class Delimited(Model):
    """
    Up to the first occurrence of any of these delimiters (1 to 8 bytes each), the longest where several stand there, or
    to the end of the region where there is none.

    ``include``: the delimiter belongs to the field; otherwise it is left for the next element. ``required``: that no
    delimiter follows is an error.
    """

    kind: Literal["delimited"] = "delimited"
    delimiters: list[HexBytes] = Attribute(min_length=1, max_length=16)
    include: bool = False
    required: bool = False


class Run(Model):
    """The longest run of bytes of one class; it may be empty unless ``required``."""

    kind: Literal["run"] = "run"
    of: Literal["space", "digit", "letter", "alnum", "printable", "zero", "ff"]
    required: bool = False


class SelfDelimiting(Model):
    """
    An encoding that shows its own end.

    ``ber_length``: X.690 8.1.3 length octets; ``ber_tag``: X.690 8.1.2 identifier octets; ``leb128``: base-128 varint,
    the tenth byte is the last; ``labels``: RFC 1035 4.1.4 name: length-prefixed labels up to a zero byte or a two-byte
    pointer.
    """

    kind: Literal["self_delimiting"] = "self_delimiting"
    form: Literal["ber_length", "ber_tag", "leb128", "labels"]


class Rest(Model):
    """
    What is left of the region, minus the fixed width of the elements that follow; may be empty.

    ``at_most``: no more bytes than this, None for no bound: a block of a fixed size, of which the last one is shorter.
    """

    kind: Literal["rest"] = "rest"
    at_most: int | None = Attribute(default=None, ge=1, exclude_if=absent)


Width = Annotated[Fixed | FromLength | Delimited | Run | SelfDelimiting | Rest, Attribute(discriminator="kind")]


class Field(Model):
    """
    A run of bytes with one meaning; with ``elements`` or ``group`` it is a region that is read further.

    Attributes:
        name: unique among the fields of a message type (groups have their own names).
        endianness: of numbers of two or more bytes; None where it does not apply.
        elements: the layout of its bytes; the rest of the region, if any is left, is one unnamed ``payload`` leaf.
        group: name of a group of the specification that lays out its bytes (recursion passes here).
        probability: that both ends are right, a multiple of 2**-16.
    """

    kind: Literal["field"] = "field"
    name: Name
    width: Width
    encoding: Encoding = "bytes"
    endianness: Literal["big", "little"] | None = None
    semantic: Semantic = "unknown"
    constraints: list[Constraint] = []
    elements: list[Element] = []
    group: Name | None = None
    probability: Quantised = 1.0


def is_little(field: Field) -> bool:
    """Return whether a field is a number whose first byte is its lowest."""
    return field.endianness == "little" and field.encoding in ("uint", "int")


def checks_field(field: Field) -> bool:
    """Return whether a field is a checksum that covers a field: it is no ``content`` of the message."""
    return any(isinstance(constraint, Checksum) and constraint.target for constraint in field.constraints)


class ToEnd(Model):
    """Items follow until the region has no more bytes (minus the fixed width of what follows the repeat)."""

    kind: Literal["to_end"] = "to_end"


class Times(Model):
    """So many items: ``value(field) + bias``."""

    kind: Literal["times"] = "times"
    field: Name
    bias: int = 0


class Until(Model):
    """Items follow until the next bytes of the message are these (left for the next element) or the region ends."""

    kind: Literal["until"] = "until"
    bytes: HexBytes = Attribute(min_length=1, max_length=8)


Stop = Annotated[ToEnd | Times | Until, Attribute(discriminator="kind")]


class Repeat(Model):
    """Items of one layout, one after the other; ``maximum=1`` makes an optional part."""

    kind: Literal["repeat"] = "repeat"
    name: Name
    stop: Stop
    elements: list[Element] = []
    group: Name | None = None
    maximum: int = Attribute(default=65536, ge=1, le=65536)


class Case(Model):
    """The layout for these values of the field switched on."""

    values: list[int]
    elements: list[Element] = []
    group: Name | None = None


class Switch(Model):
    """A choice: ``value(field) & mask`` picks the first case that lists it, else the default."""

    kind: Literal["switch"] = "switch"
    name: Name
    field: Name
    mask: int = Attribute(default=-1, description="-1: all bits")
    cases: list[Case]
    default: list[Element] = []


Element = Annotated[Field | Repeat | Switch, Attribute(discriminator="kind")]

for model in (Field, Repeat, Case, Switch):
    model.model_rebuild()
