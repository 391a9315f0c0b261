"""Blocks with a checksum behind each of them: the first is laid out as the start of the body, the others are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..findings import Finding
from ..spec import Element, Evidence, Field, Fixed, Repeat, Rest, ToEnd
from .claims import attach, proven
from .fields import Names, divided, plain
from .table import Spans, Table

Claims = dict[str, Evidence]


class Builder(Protocol):
    """What lays out the first block, see ``assemble.Assembler``."""

    names: Names

    def region(self, table: Table, depth: int, spans: Spans) -> list[Element]:
        """Return the layout of these regions."""
        ...


@dataclass(frozen=True)
class Blocks:
    """
    The part of a type's messages that is blocks.

    Attributes:
        finding: the checksum of the blocks; inner: findings of fields inside the first block, from its start.
        table: the regions, which may be empty.
    """

    finding: Finding
    inner: Sequence[Finding]
    table: Table

    def build(self, builder: Builder) -> tuple[list[Element], Claims]:
        """Return the elements: the first block and its checksum, optional where messages end before it; the others."""
        table, size = self.table.take(self.table.sizes > 0), self.finding.block
        first = table.between(table.start, np.minimum(table.end - self.finding.width, table.start + size))
        inner = divided(builder.region(first, 1, proven(self.inner, int(first.sizes.min()))))
        inner, claims = attach(builder.names, inner, [], self.inner)
        elements = self._block(builder.names, inner, claims)
        if len(table) < len(self.table):
            name = builder.names.next("first")
            elements = [Repeat(name=name, stop=ToEnd(), elements=elements, maximum=1)]
        if int(table.sizes.max()) > size + self.finding.width:
            name = builder.names.next("blocks")
            elements.append(Repeat(name=name, stop=ToEnd(), elements=self._block(builder.names, [], claims)))
        return elements, claims

    def _block(self, names: Names, inner: list[Element], claims: Claims) -> list[Element]:
        finding = self.finding
        data = plain(names.next("block"), Rest(at_most=finding.block), semantic="payload")
        assert finding.constraint is not None
        checksum = Field(
            name=names.next("checksum"),
            width=Fixed(size=finding.width),
            encoding="uint",
            endianness=finding.endianness,
            semantic=finding.semantic,
            constraints=[finding.constraint.model_copy(update={"target": data.name})],
        )
        claims[f"field:{{type}}.{checksum.name}"] = finding.evidence
        return [data.model_copy(update={"elements": inner}), checksum]


def parted(table: Table, findings: Sequence[Finding]) -> tuple[Table, list[Finding], Blocks | None]:
    """Return the regions before the blocks, the findings that lie there, and the blocks, None where there are none."""
    others = [finding for finding in findings if not finding.block]
    if len(others) == len(findings):
        return table, others, None
    blocks = next(finding for finding in findings if finding.block)
    start = blocks.start
    begin = np.minimum(table.start + start, table.end)
    rest = Blocks(blocks, _inside(others, start), table.between(begin, table.end))
    return table.between(table.start, begin), [f for f in others if 0 <= f.start < start], rest


def _inside(findings: Sequence[Finding], start: int) -> list[Finding]:
    """Return what is proven of the first block, counted from its start."""
    return [replace(f, start=f.start - start) for f in findings if f.hard and f.start >= start]
