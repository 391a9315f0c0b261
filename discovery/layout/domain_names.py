"""Names of length-prefixed labels (RFC 1035), alone or in counted sections before records that carry a name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ..settings import DiscoverySettings
from ..spec import Element, Repeat, SelfDelimiting, Times, ToEnd
from . import chains
from .consensus import column_odds
from .fields import as_number, named_at, plain
from .hypothesis import ACCEPTED, SEARCHED, Builder, allowed_failures
from .items import Form
from .kernels import LABELS, next_item, skip_labels, walk
from .table import NO_SPANS, Bools, Ints, Spans, Table

LABEL_BITS = 4.0  # a label that ends where the next begins, against a byte that merely is small
COUNT_REACH = 16  # bytes before the first name in which its section's count is looked for
_QUESTIONS = [Form(lead=LABELS, at=0, width=0, bias=size) for size in (4, 0, 2)]
_RECORDS = [Form(lead=LABELS, at=at, width=2, bias=at + 2) for at in (8, 4, 6)]


@dataclass(frozen=True)
class DomainName:
    """A name at ``offset``; what follows is laid out further."""

    offset: int
    bits: float
    detector: str = "name"
    spans: Spans = NO_SPANS

    def fits(self, table: Table) -> Bools:
        """Return for each region whether a well-formed name stands there."""
        ends, _ = names_at(table, self.offset)
        return ends >= 0

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the name and the layout of what follows it."""
        ends, _ = names_at(table, 0)
        name = plain(builder.names.next("name"), SelfDelimiting(form="labels"), semantic="text")
        return [name, *builder.region(table.between(ends, table.end), depth + 1)]


@dataclass(frozen=True)
class Sections:
    """As many questions (a name and a few bytes) as the count at ``at`` says, then records with a name to the end."""

    offset: int
    bits: float
    at: int
    width: int
    question: Form
    record: Form
    detector: str = "sections"

    @property
    def spans(self) -> Spans:
        """The count."""
        return frozenset({(self.at, self.width)})

    def fits(self, table: Table) -> Bools:
        """Return for each region whether the questions are followed by records to its end."""
        return _sections(table, self) >= 0

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """Return the repeat of questions and the repeat of records."""
        whole = table.between(table.start - self.offset, table.end)
        split = _sections(whole, self)
        questions = chains.Chain(0, 0.0, self.question).repeat(builder, table.between(table.start, split), depth)
        count = named_at(front, self.at, self.width)
        stop = Times(field=count)
        front[:] = [as_number(element, False, "count") if element.name == count else element for element in front]
        name = builder.names.next("questions")
        asked = Repeat(name=name, stop=stop, elements=questions)
        behind = table.between(split, table.end)
        behind = behind.take(behind.sizes > 0)
        if not len(behind):
            return [asked]
        answers = builder.names.next("answers")
        records = chains.Chain(0, 0.0, self.record).repeat(builder, behind, depth)
        return [asked, Repeat(name=answers, stop=ToEnd(), elements=records)]


def propose(table: Table, settings: DiscoverySettings) -> list[DomainName | Sections]:
    """Return names and sections that the regions support, best first."""
    span = min(table.shortest(), SEARCHED)
    allowed = allowed_failures(len(table), settings)
    few = table.take(np.arange(len(table)) < allowed + 4)
    found: list[DomainName | Sections] = []
    without = np.zeros(max(span, 0), np.int64)
    _count_without(few.data, few.start, few.end, without)
    for offset in np.flatnonzero(without <= allowed).tolist():
        ends, labels = names_at(table, offset)
        fits = ends >= 0
        kinds = np.unique((ends - table.start)[fits] * 64 + labels[fits], return_index=True)[1]
        bits = LABEL_BITS * float(labels[fits][kinds].sum()) - 4.0 * int((~fits).sum())
        if int((~fits).sum()) <= allowed and bits >= ACCEPTED and len(kinds) > 2:
            behind = table.between(ends, table.end).take(fits & (ends < table.end))
            found.append(DomainName(offset, bits + 4.0 * float(column_odds(behind, 1)[0])))
            found += _counted(table, few, offset, bits, allowed)
    return sorted(found, key=lambda hypothesis: -hypothesis.bits)[:4]


def _counted(table: Table, few: Table, offset: int, bits: float, allowed: int) -> list[DomainName | Sections]:
    for question in _QUESTIONS:
        for record in _RECORDS:
            for at in range(max(0, offset - COUNT_REACH), offset - 1):
                sections = Sections(offset, bits + 16.0, at, 2, question, record)
                if int((_sections(few, sections) < 0).sum()) > allowed:
                    continue
                if int((_sections(table, sections) < 0).sum()) <= allowed:
                    return [sections]
    return []


def names_at(table: Table, offset: int) -> tuple[Ints, Ints]:
    """Return where the name ``offset`` bytes into each region ends (-1: no name), and how many labels it has."""
    ends, labels = np.zeros(len(table), np.int64), np.zeros(len(table), np.int64)
    _scan_names(table.data, table.start + offset, table.end, ends, labels)
    return ends, labels


def _sections(table: Table, sections: Sections) -> Ints:
    """Return where the questions of each region end, -1 where questions and records do not fill it."""
    splits = np.zeros(len(table), np.int64)
    place = np.array([sections.offset, sections.at, sections.width], np.int64)
    _scan_sections(table.data, table.start, table.end, place, sections.question.row, sections.record.row, splits)
    return splits


@njit(cache=True, nogil=True)
def _scan_names(data, start, end, ends, labels):  # type: ignore[no-untyped-def]
    for row in range(len(start)):
        ends[row] = skip_labels(data, start[row], end[row])
        labels[row] = 0
        position = start[row]
        while position < ends[row] and 0 < data[position] < 64:
            labels[row] += 1
            stop = position + data[position] + 1
            position += 1
            while position < stop:
                if data[position] < 32:
                    ends[row] = -1
                position += 1


@njit(cache=True, nogil=True)
def _count_without(data, start, end, without):  # type: ignore[no-untyped-def]
    """Count the regions that have no name at each offset."""
    ends, labels = np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
    for offset in range(len(without)):
        _scan_names(data, start + offset, end, ends, labels)
        without[offset] = np.count_nonzero(ends < 0)


@njit(cache=True, nogil=True)
def _scan_sections(data, start, end, place, question, record, splits):  # type: ignore[no-untyped-def]
    places = np.zeros(0, np.int64)
    for row in range(len(start)):
        splits[row] = -1
        position = start[row] + place[0]
        if position > end[row]:
            continue
        count = np.int64(0)
        for k in range(place[2]):
            count = count << 8 | np.int64(data[start[row] + place[1] + k])
        while count > 0 and 0 <= position < end[row]:
            position = next_item(data, position, end[row], question)
            count -= 1
        if count == 0 and position >= 0 and walk(data, position, end[row], record, places) >= 0:
            splits[row] = position
