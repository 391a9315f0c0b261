"""How a stream is cut into messages."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field as Attribute

from .base import HexBytes, Model


class DatagramFraming(Model):
    """The transport keeps message borders."""

    kind: Literal["datagram"] = "datagram"


class SegmentFraming(Model):
    """One message a segment: the fall-back where no framing was found in a stream."""

    kind: Literal["segment"] = "segment"


LengthEncoding: TypeAlias = Literal["uint", "decimal", "hex", "ber", "leb128", "vlq", "digits"]
SELF_DELIMITED = frozenset({"ber", "leb128", "vlq", "digits"})
"""Encodings that say themselves where the length field ends."""


class LengthFraming(Model):
    """
    A number at ``offset`` tells the message's length.

    Of ``uint``, ``decimal`` and ``hex`` (ASCII digits) in ``width`` bytes, the message has ``number * scale + bias``
    bytes in all. The other encodings end where they say, after at most ``width`` bytes, and the message ends
    ``number * scale + bias`` bytes behind them: ``ber`` (X.690 8.1.3, definite form), ``leb128`` (seven bits a byte,
    the lowest first: DWARF, MQTT), ``vlq`` (the highest first), ``digits`` (decimal, up to what is no digit).
    """

    kind: Literal["length"] = "length"
    offset: int = Attribute(ge=0)
    width: int = Attribute(ge=1, le=10)
    endianness: Literal["big", "little"]
    scale: int = Attribute(1, ge=1, le=64)
    bias: int = 0
    magic: HexBytes = b""  # constant bytes at the front of every message, for resynchronising
    encoding: LengthEncoding = "uint"
    mask: int = Attribute(-1, ge=-1, lt=1 << 62)  # bits of a uint that are the length; -1: all


class DelimiterFraming(Model):
    """Each message ends with these bytes, which belong to it; one that begins with ``opening`` does not end there."""

    kind: Literal["delimiter"] = "delimiter"
    delimiter: HexBytes = Attribute(min_length=1, max_length=8)
    opening: HexBytes = Attribute(b"", max_length=8)


class FixedFraming(Model):
    """Each message has this many bytes."""

    kind: Literal["fixed"] = "fixed"
    size: int = Attribute(ge=1)


class HeaderFraming(Model):
    """
    A message is lines of text up to ``end``, and as many bytes more as the line tells that begins with ``name``.

    The name is compared without case, its number is decimal; without such a line the message ends with ``end``
    (RFC 9112 6.3, RFC 3261 18.3).
    """

    kind: Literal["header"] = "header"
    end: HexBytes = Attribute(min_length=1, max_length=8)
    name: HexBytes = Attribute(min_length=1, max_length=64)


OneFraming = Annotated[
    DatagramFraming | SegmentFraming | LengthFraming | DelimiterFraming | FixedFraming | HeaderFraming,
    Attribute(discriminator="kind"),
]


class DirectedFraming(Model):
    """The two directions of a stream are framed differently."""

    kind: Literal["directed"] = "directed"
    client_to_server: OneFraming
    server_to_client: OneFraming


Framing = Annotated[
    DatagramFraming
    | SegmentFraming
    | LengthFraming
    | DelimiterFraming
    | FixedFraming
    | HeaderFraming
    | DirectedFraming,
    Attribute(discriminator="kind"),
]
