"""Guards: how a message's bytes alone say which type it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Attribute

from .base import HexBytes, Model


class ValueGuard(Model):
    """
    The ``width`` bytes at ``offset`` (negative: from the end of the message), masked, are one of ``values``.

    A message too short to hold them does not match. ``mask`` has ``width`` bytes; values are stored masked and sorted.
    """

    kind: Literal["value"] = "value"
    offset: int
    width: int = Attribute(ge=1, le=8)
    mask: HexBytes | None = None
    values: list[HexBytes] = Attribute(min_length=1)


class LengthGuard(Model):
    """The message has between ``minimum`` and ``maximum`` bytes, both included; None is no bound."""

    kind: Literal["length"] = "length"
    minimum: int = 0
    maximum: int | None = None


class TokenGuard(Model):
    """
    The token of this index is one of ``values``.

    Tokens are the runs of bytes between separators; ``separators`` is the set of separator bytes, of which a run
    counts as one. ``fold_case`` compares ASCII letters without case (values are stored in upper case).
    """

    kind: Literal["token"] = "token"
    index: int = Attribute(0, ge=0, le=15)
    separators: HexBytes = b" \t\r\n"
    fold_case: bool = False
    values: list[HexBytes] = Attribute(min_length=1)


class TextGuard(Model):
    """The first ``bytes`` bytes (or all, if fewer) are printable ASCII, tab, CR or LF."""

    kind: Literal["text"] = "text"
    bytes: int = Attribute(16, ge=1, le=512)


Guard = Annotated[ValueGuard | LengthGuard | TokenGuard | TextGuard, Attribute(discriminator="kind")]
