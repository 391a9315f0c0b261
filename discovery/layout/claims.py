"""Findings in a layout: the boundaries they prove, the trailer they show, the constraints and meanings they name."""

from __future__ import annotations

from collections.abc import Sequence

from ..findings import Finding
from ..spec import Checksum, Element, Evidence, Field, Fixed, FromLength, Repeat, Switch, Times, walk
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
        if isinstance(finding.constraint, Checksum) and finding.constraint.reflected:
            continue
        if finding.hard and finding.endianness and finding.width > 1:
            votes[finding.endianness] += finding.width
    if votes["big"] == votes["little"]:
        return None
    return "big" if votes["big"] > votes["little"] else "little"


def trailer(names: Names, table: Table, findings: Sequence[Finding]) -> tuple[Table, list[Element]]:
    """Return the regions without the fields that hard findings place at the end of messages, and those fields."""
    places = _from_the_end(findings)
    size = -places[0][0] if places else 0
    if not size or size > int(table.sizes.min()):
        return table, []
    elements: list[Element] = []
    at = -size
    for start, width in [*places, (0, 0)]:
        if start >= at:
            elements += [plain(names.next("trailer"), Fixed(size=part)) for part in (start - at, width) if part > 0]
            at = start + width
    return table.between(table.start, table.end - size), elements


def _from_the_end(findings: Sequence[Finding]) -> list[tuple[int, int]]:
    """Return (start, width) of what hard findings place at the end of messages, first to last."""
    return sorted({(f.start, f.width) for f in findings if f.hard and f.start + f.width <= 0})


def attach(
    names: Names, elements: list[Element], tail: list[Element], findings: Sequence[Finding]
) -> tuple[list[Element], dict[str, Evidence]]:
    """Return elements and trailer with the findings' constraints, and the evidence of each claim."""
    kept = referred([*elements, *tail])
    evidence: dict[str, Evidence] = {}
    placed = {(f.start, f.width): f for f in reversed(findings)}
    claimed: list[Element] = []
    for element, place in zip([*elements, *tail], _places(elements, tail), strict=True):
        finding = placed.get(place)
        if finding is not None and isinstance(element, Field):
            element = _claim(names, element, finding, kept)
            evidence[f"field:{{type}}.{element.name}"] = finding.evidence
        claimed.append(element)
    return claimed, evidence


def _places(elements: list[Element], tail: list[Element]) -> list[tuple[int, int]]:
    """Return (start, width) of elements and trailer as findings say it; width 0 where the start is not known."""
    sizes = [_size(element) for element in elements]
    fixed = sizes.index(0) if 0 in sizes else len(sizes)
    front = [(sum(sizes[:k]), sizes[k] if k < fixed else 0) for k in range(len(sizes))]
    back = [_size(element) for element in tail]
    return front + [(-sum(back[k:]), back[k]) for k in range(len(back))]


def referred(elements: list[Element]) -> set[str]:
    """Return the names of fields that others refer to."""
    found = set()
    for element in walk(elements):
        if isinstance(element, Field) and isinstance(element.width, FromLength):
            found.add(element.width.field)
        elif isinstance(element, Repeat) and isinstance(element.stop, Times):
            found.add(element.stop.field)
        elif isinstance(element, Switch):
            found.add(element.field)
    return found


def _size(element: Element) -> int:
    return element.width.size if isinstance(element, Field) and isinstance(element.width, Fixed) else 0


def _claim(names: Names, element: Field, finding: Finding, kept: set[str]) -> Field:
    """Return the field with what the finding says; it takes the meaning as its name unless others refer to it."""
    if finding.semantic == "unknown":
        return element
    update: dict[str, object] = {"semantic": finding.semantic}
    if finding.endianness and finding.width in (2, 3, 4, 8):
        update |= {"endianness": finding.endianness, "encoding": "uint"}
    if finding.constraint is not None:
        update["constraints"] = [*element.constraints, finding.constraint]
    if element.name not in kept:
        update["name"] = names.claim(finding.semantic)
    return element.model_copy(update=update)
