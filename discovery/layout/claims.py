"""Findings in a layout: the boundaries they prove, the trailer they show, the constraints and meanings they name."""

from __future__ import annotations

from collections.abc import Sequence

from ..findings import Finding
from ..spec import Element, Evidence, Field, Fixed
from .fields import Endianness, Names, plain
from .table import Spans, Table


def proven(findings: Sequence[Finding], shortest: int) -> Spans:
    """Return the runs of bytes from the front that hard findings prove to be one field, none over another."""
    spans: list[tuple[int, int]] = []
    for finding in findings:
        start, stop = finding.start, finding.start + finding.width
        if (
            finding.hard
            and start >= 0
            and stop <= shortest
            and all(stop <= at or at + size <= start for at, size in spans)
        ):
            spans.append((start, finding.width))
    return frozenset(spans)


def byte_order(findings: Sequence[Finding]) -> Endianness:
    """Return the byte order that most bytes of hard findings have, None where there is none."""
    votes = {"big": 0, "little": 0}
    for finding in findings:
        if finding.hard and finding.endianness and finding.width > 1:
            votes[finding.endianness] += finding.width
    if votes["big"] == votes["little"]:
        return None
    return "big" if votes["big"] > votes["little"] else "little"


def trailer(names: Names, table: Table, findings: Sequence[Finding]) -> tuple[Table, list[Element]]:
    """Return the regions without the fields that hard findings place at the end of messages, and those fields."""
    starts = sorted({(f.start, f.width) for f in findings if f.hard and f.start < 0 and f.start + f.width <= 0})
    size = -starts[0][0] if starts else 0
    if not size or size > int(table.sizes.min()):
        return table, []
    elements: list[Element] = []
    at = -size
    for start, width in starts:
        if start < at:
            continue
        if start > at:
            elements.append(plain(names.next("trailer"), Fixed(size=start - at)))
        elements.append(plain(names.next("trailer"), Fixed(size=width)))
        at = start + width
    if at < 0:
        elements.append(plain(names.next("trailer"), Fixed(size=-at)))
    return table.between(table.start, table.end - size), elements


def attach(
    elements: list[Element], tail: list[Element], findings: Sequence[Finding]
) -> tuple[list[Element], dict[str, Evidence]]:
    """Return elements and trailer with the findings' constraints, and the evidence of each claim."""
    used: set[str] = {e.name for e in (*elements, *tail)}
    evidence: dict[str, Evidence] = {}
    placed = {(f.start, f.width): f for f in reversed(findings)}
    front, at = [], 0
    for element in elements:
        size = _size(element)
        finding = placed.get((at, size)) if at >= 0 else None
        front.append(_claim(element, finding, used, evidence))
        at = at + size if size and at >= 0 else -1
    back, at = [], -sum(_size(e) for e in tail)
    for element in tail:
        back.append(_claim(element, placed.get((at, _size(element))), used, evidence))
        at += _size(element)
    return [*front, *back], evidence


def _size(element: Element) -> int:
    return element.width.size if isinstance(element, Field) and isinstance(element.width, Fixed) else 0


def _claim(element: Element, finding: Finding | None, used: set[str], evidence: dict[str, Evidence]) -> Element:
    if finding is None or not isinstance(element, Field):
        return element
    update: dict[str, object] = {"semantic": finding.semantic}
    if finding.endianness and finding.width in (2, 3, 4, 8):
        update |= {"endianness": finding.endianness, "encoding": "uint"}
    if finding.constraint is not None:
        update["constraints"] = [*element.constraints, finding.constraint]
    name = element.name
    if (name[0] == "f" and name[1:].isdigit()) or name.startswith("trailer"):
        hint = finding.semantic
        name = hint if hint not in used else next(f"{hint}{k}" for k in range(2, 999) if f"{hint}{k}" not in used)
        used.add(name)
        update["name"] = name
    evidence[f"field:{{type}}.{name}"] = finding.evidence
    return element.model_copy(update=update)
