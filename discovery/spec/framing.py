"""How a stream is cut into messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Attribute

from .base import HexBytes, Model


class DatagramFraming(Model):
    """The transport keeps message borders."""

    kind: Literal["datagram"] = "datagram"


class SegmentFraming(Model):
    """One message a segment: the fall-back where no framing was found in a stream."""

    kind: Literal["segment"] = "segment"


class LengthFraming(Model):
    """``width`` bytes at ``offset`` hold a number; times ``scale`` plus ``bias`` it is the message's length."""

    kind: Literal["length"] = "length"
    offset: int = Attribute(ge=0)
    width: int = Attribute(ge=1, le=8)
    endianness: Literal["big", "little"]
    scale: int = Attribute(1, ge=1, le=64)
    bias: int = 0
    magic: HexBytes = b""  # constant bytes at the front of every message, for resynchronising


class DelimiterFraming(Model):
    """Each message ends with these bytes, which belong to it."""

    kind: Literal["delimiter"] = "delimiter"
    delimiter: HexBytes = Attribute(min_length=1, max_length=8)


class FixedFraming(Model):
    """Each message has this many bytes."""

    kind: Literal["fixed"] = "fixed"
    size: int = Attribute(ge=1)


Framing = Annotated[
    DatagramFraming | SegmentFraming | LengthFraming | DelimiterFraming | FixedFraming, Attribute(discriminator="kind")
]
