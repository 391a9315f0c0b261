"""Constraints on the value of a field; each is a claim that the bytes can refute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Attribute

from .base import HexBytes, Model, Name, absent


class Constant(Model):
    """The field always holds these bytes."""

    kind: Literal["constant"] = "constant"
    value: HexBytes


class Enum(Model):
    """The field holds one of these byte strings (sorted)."""

    kind: Literal["enum"] = "enum"
    values: list[HexBytes]


class Range(Model):
    """The field, read as a number in its encoding and endianness, lies between these bounds, both included."""

    kind: Literal["range"] = "range"
    minimum: int
    maximum: int


class Flags(Model):
    """Only bits of this mask are ever set."""

    kind: Literal["flags"] = "flags"
    mask: HexBytes


class Length(Model):
    """
    ``value * scale + bias`` is the number of bytes of the target.

    ``message``: the whole message; ``content``: the message without the checksums that cover a field
    (``Checksum.target``), as where each block has one; ``rest``: from the end of this field to the end of its region;
    ``field``: the field or repeat of the name ``target``, which follows this field in its region.
    """

    kind: Literal["length"] = "length"
    of: Literal["message", "content", "rest", "field"]
    target: Name | None = None
    scale: int = Attribute(1, ge=1, le=64)
    bias: int = 0


class Count(Model):
    """``value + bias`` is the number of items of the repeat of this name."""

    kind: Literal["count"] = "count"
    target: Name
    bias: int = 0


class Checksum(Model):
    """
    The field is a checksum of the bytes ``[start, end)`` of the message, or of the field ``target``.

    ``target`` stands before it in the same region or item, nearest where several do. ``start`` counts from the front,
    ``end`` from the front where positive, from the end where zero or negative. Where the region covers the field
    itself, ``own_bytes`` says how it is treated. ``sum`` and ``xor`` work on units of ``unit`` bytes (0: the field's
    width), a last unit filled up with zeros; the Rocksoft parameters apply to ``crc`` (width = 8 * field width) and
    ``init``/``xorout`` also to ``sum``, ``xor`` and ``internet``. ``fletcher`` has units of half the field's width and
    the modulus ``poly``, 2**bits - 1 where it is 0; its second sum is the high half. Byte order is the field's
    endianness, of the units too (``internet`` is big).
    """

    kind: Literal["checksum"] = "checksum"
    algorithm: Literal["sum", "xor", "fletcher", "adler32", "internet", "crc"]
    start: int = Attribute(0, ge=0)
    end: int = 0
    own_bytes: Literal["excluded", "zeroed", "outside"] = "outside"
    unit: int = Attribute(0, ge=0, le=8)
    poly: int = 0
    init: int = 0
    refin: bool = False
    refout: bool = False
    xorout: int = 0
    name: str = ""
    target: Name | None = Attribute(default=None, exclude_if=absent)

    @property
    def reflected(self) -> bool:
        """Whether it goes low byte first by its own convention, whatever the order of the protocol's numbers."""
        return self.algorithm == "crc" and self.refout


class Counter(Model):
    """In a flow (and direction, where ``per_direction``) the value rises by ``step`` each message, modulo its width."""

    kind: Literal["counter"] = "counter"
    step: int = 1
    per_direction: bool = True


class Timestamp(Model):
    """The value is a time in this form, near the capture's own time where there is one."""

    kind: Literal["timestamp"] = "timestamp"
    form: Literal[
        "unix_s", "unix_ms", "unix_us", "unix_ns", "ntp", "ntp_s", "filetime", "dos", "tai", "tai64n", "mac_s", "uptime"
    ]


class Echo(Model):
    """A message repeats the value that the field ``field`` of the request (type ``type``) had in its flow."""

    kind: Literal["echo"] = "echo"
    type: Name
    field: Name


class Address(Model):
    """The field is an address; ``endpoint`` where it equals the flow's source or destination."""

    kind: Literal["address"] = "address"
    form: Literal["ipv4", "ipv6", "mac"]
    endpoint: Literal["source", "destination", "none"] = "none"


class Text(Model):
    """The bytes are text of this character set, padded at the end with ``padding`` where it is set."""

    kind: Literal["text"] = "text"
    charset: Literal["ascii", "utf-8", "utf-16le", "utf-16be"]
    padding: HexBytes | None = None


class Padding(Model):
    """Every byte is this one."""

    kind: Literal["padding"] = "padding"
    byte: int = Attribute(ge=0, le=255)


class Opaque(Model):
    """The bytes look uniform: encrypted, compressed or random; nothing inside is claimed."""

    kind: Literal["opaque"] = "opaque"


Constraint = Annotated[
    Constant
    | Enum
    | Range
    | Flags
    | Length
    | Count
    | Checksum
    | Counter
    | Timestamp
    | Echo
    | Address
    | Text
    | Padding
    | Opaque,
    Attribute(discriminator="kind"),
]
