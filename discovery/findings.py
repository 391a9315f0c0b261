"""A finding: a relation proven on raw byte columns before fields are known; it fixes boundaries and names a meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .spec import Constraint, Evidence, Semantic


@dataclass(frozen=True)
class Finding:
    """
    A run of bytes at one place of every message of some types, and the constraint that holds there.

    Attributes:
        types: indices of the message types in which it holds.
        start: offset from the front where zero or positive, from the end of the message where negative.
        width: bytes.
        semantic, constraint, endianness: what it becomes in the specification (``Length`` targets are "message" or
            "rest" here: fields have no names yet).
        evidence: support, held-out support, rivals.
        hard: it constrains the boundaries (a proven length, checksum or counter); otherwise it is a hint.
        block: where positive, not one run of bytes but one behind every so many bytes from ``start`` to the end of the
            message, the last block being shorter: a checksum that is sent with each block.
    """

    types: tuple[int, ...]
    start: int
    width: int
    semantic: Semantic
    constraint: Constraint | None
    endianness: Literal["big", "little"] | None
    evidence: Evidence
    hard: bool = True
    block: int = 0

    def claims(self, start: int, width: int) -> bool:
        """Return whether it takes a byte of the run ``[start, start + width)``, counted as its own ``start`` is."""
        if not self.block:
            return (self.start < 0) == (start < 0) and start < self.start + self.width and self.start < start + width
        if start < 0:
            return True
        inside = (start - self.start) % (self.block + self.width)
        return start + width > self.start and (start < self.start or inside + width > self.block)
