"""Lay out regions: the best structure that held-out messages do not refute, fixed columns before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ..falsification import refuted, violation_lower_bound
from ..settings import DiscoverySettings
from ..spec import Case, Element, Evidence, Field, Repeat, Rest, Switch, ToEnd, quantise
from . import ber, chains, domain_names, prefixed, records, strings
from .branches import best_branch
from .columns import columns_of
from .consensus import column_chance, cut
from .fields import Endianness, Names, as_number, field_of, plain
from .hypothesis import Hypothesis
from .padded import with_padded
from .table import NO_SPANS, Bools, Ints, Spans, Table
from .text import Style, is_text, text_elements

Family = Callable[[Table, DiscoverySettings], Sequence[Hypothesis]]
FAMILIES: tuple[Family, ...] = (
    chains.propose, ber.propose, domain_names.propose, prefixed.propose, records.propose, strings.propose,
)  # fmt: skip
DEPTH = 4
MIN_REGIONS = 8  # fewer regions support no structure
PROPOSERS = 256  # regions that hypotheses are searched on
READERS = 1024  # regions that columns are read from
COLUMNS = 512
OPTIONAL_DEPTH = 12


@dataclass
class Assembler:
    """
    Builds the layout of one message type.

    Attributes:
        names: names of the type's fields; groups: those of the protocol, shared by all types.
        endianness: byte order of numbers that do not show their own.
        style: of text, where the type is text.
        budget: regions that may still be searched, a bound on work.
        violations: messages known not to fit what has been built.
    """

    settings: DiscoverySettings
    groups: dict[str, list[Element]]
    names: Names = field(default_factory=Names)
    endianness: Endianness = None
    style: Style | None = None
    budget: int = 64
    evidence: list[Evidence] = field(default_factory=list)

    def group(self, name: str, elements: list[Element]) -> str:
        """Register a group and return its name."""
        self.groups.setdefault(name, elements)
        return name

    def region(self, table: Table, depth: int, spans: Spans = NO_SPANS) -> list[Element]:
        """Return the layout of these regions; each of ``spans`` is proven to be one field."""
        best = self.search(table, depth, spans)
        return self.build(table, depth, spans, best)

    def search(self, table: Table, depth: int, spans: Spans = NO_SPANS) -> Hypothesis | None:
        """Return the structure of these regions that has most evidence and that held-out regions do not refute."""
        if depth > DEPTH or self.budget <= 0 or not searchable(table) or is_text(table):
            return None
        self.budget -= 1
        proposing = table.proposing(PROPOSERS)
        found = [hypothesis for family in FAMILIES for hypothesis in family(proposing, self.settings)]
        found.sort(key=lambda hypothesis: (-hypothesis.bits, hypothesis.offset))
        return next((h for h in found if agree(h, spans) and stands(h, table, self.settings)), None)

    def build(self, table: Table, depth: int, spans: Spans, best: Hypothesis | None) -> list[Element]:
        """Return the layout of these regions with this structure, or of fixed columns where it is None."""
        if not len(table) or not int(table.sizes.max()):
            return [self._rest()]
        if best is not None:
            fits = best.fits(table)
            self.evidence.append(_evidence(best, table, fits, self.settings))
            fitting = table.take(fits)
            front = self.columns(fitting, best.offset, spans | best.spans)
            behind = best.build(self, front, fitting.after(best.offset), depth)
            return front + behind
        if depth == 0 and self.style is not None:
            return text_elements(self.names, table, self.style)
        if is_text(table):
            return text_elements(self.names, table) if depth == 0 else [self._rest()]
        branches = self._branches(table, depth, spans) if len(table) >= MIN_REGIONS else []
        return branches or self._columns_to_end(table, spans)

    def _branches(self, table: Table, depth: int, spans: Spans) -> list[Element]:
        """Return a switch on the byte that tells the regions apart, or nothing."""
        found = best_branch(table.take(slice(0, READERS))) if depth < DEPTH else None
        if found is None or any(start < found[0] + 1 and found[0] < start + width > 1 for start, width in spans):
            return []
        offset, values = found
        front = self.columns(table, offset + 1, spans | {(offset, 1)})
        key = front[-1] = as_number(front[-1], False, "type")
        window, exists = table.window(offset + 1)
        behind = table.between(table.start + offset + 1, table.end)
        cases, others = [], exists[:, offset].copy()
        for value in values.tolist():
            chosen = exists[:, offset] & (window[:, offset] == value)
            others &= ~chosen
            cases.append(Case(values=[value], elements=self.region(behind.take(chosen), depth + 1)))
        default: list[Element] = [self._rest()]
        if others.any():
            default = self._columns_to_end(behind.take(others), NO_SPANS)
        return [*front, Switch(name=self.names.next("by_" + key.name), field=key.name, cases=cases, default=default)]

    def _rest(self) -> Field:
        return plain(self.names.next("rest"), Rest(), semantic="payload")

    def columns(self, table: Table, width: int, spans: Spans) -> list[Element]:
        """Return fields for the first ``width`` bytes of the regions; each of ``spans`` is one."""
        if width <= 0:
            return []
        return self._cut(table, 0, width, self._boundaries(table, width, spans))

    def _boundaries(self, table: Table, width: int, spans: Spans) -> list[int]:
        return cut(with_padded(column_chance(table.take(slice(0, READERS)), width), table), spans)

    def _cut(self, table: Table, start: int, stop: int, boundaries: list[int]) -> list[Element]:
        """Return the fields between ``start`` and ``stop`` of the regions."""
        window, exists = table.take(slice(0, READERS)).window(stop)
        facts = columns_of(window, exists)
        edges = [start, *(b for b in boundaries if start < b < stop), stop]
        return [field_of(self.names, facts, a, b, self.endianness) for a, b in pairwise(edges)]

    def _columns_to_end(self, table: Table, spans: Spans) -> list[Element]:
        """Return fixed fields as far as all regions go, then optional parts where shorter ones end, then the rest."""
        sizes = table.sizes
        width = int(min(sizes.max(), COLUMNS))
        boundaries = self._boundaries(table, width, spans)
        filled = table.take(sizes > 0)
        if self._refuted(len(table) - len(filled), len(table)):
            return [self._optional(filled, 0, width, boundaries, OPTIONAL_DEPTH)]
        return self._chain(filled, 0, width, boundaries, OPTIONAL_DEPTH)

    def _chain(self, table: Table, start: int, width: int, boundaries: list[int], depth: int) -> list[Element]:
        """Return the fields from ``start`` on; ``table`` holds the regions that have bytes there."""
        sizes = table.sizes
        stop = self._common_end(sizes, start, [*boundaries, *([width] if (sizes == width).any() else [])])
        if stop == start:
            return [self._rest()]
        if np.ptp(sizes) == 0 and int(sizes[0]) <= width:
            return self._cut(table, start, int(sizes[0]), boundaries)
        elements = self._cut(table, start, stop, boundaries)
        longer = table.take(sizes > stop)
        if not len(longer):
            return elements
        if self._refuted(len(table) - len(longer), len(table)):
            return [*elements, self._optional(longer, stop, width, boundaries, depth)]
        return [*elements, *self._beyond(longer, stop, width, boundaries, depth)]

    def _common_end(self, sizes: Ints, start: int, ends: list[int]) -> int:
        """Return the last of ``ends`` behind ``start`` that enough regions reach, ``start`` where there is none."""
        return max(
            (b for b in ends if b > start and not self._refuted(int((sizes < b).sum()), len(sizes))), default=start
        )

    def _optional(self, table: Table, start: int, width: int, boundaries: list[int], depth: int) -> Element:
        inner = self._beyond(table, start, width, boundaries, depth)
        if len(inner) == 1 and isinstance(inner[0], Field) and isinstance(inner[0].width, Rest):
            return inner[0]
        return Repeat(name=self.names.next("optional"), stop=ToEnd(), elements=inner, maximum=1)

    def _beyond(self, table: Table, start: int, width: int, boundaries: list[int], depth: int) -> list[Element]:
        if depth == 0 or start >= width:
            return [self._rest()]
        return self._chain(table, start, width, boundaries, depth - 1)

    def _refuted(self, violations: int, trials: int) -> bool:
        return refuted(violations, trials, self.settings)


def searchable(table: Table) -> bool:
    """Return whether enough regions may propose and their lengths differ: equal ones prove no structure."""
    return int((~table.held).sum()) >= MIN_REGIONS and bool(np.ptp(table.sizes) > 0)


def stands(hypothesis: Hypothesis, table: Table, settings: DiscoverySettings) -> bool:
    """Return whether some regions fit a structure and the held-out ones do not refute it."""
    fits = hypothesis.fits(table)
    held = fits[table.held]
    return bool(fits.any()) and not refuted(int((~held).sum()), len(held), settings)


def _evidence(hypothesis: Hypothesis, table: Table, fits: Bools, settings: DiscoverySettings) -> Evidence:
    trials, support = int(table.held.sum()), int((fits & table.held).sum())
    return Evidence(
        detector=hypothesis.detector,
        support=int((fits & ~table.held).sum()),
        trials=int((~table.held).sum()),
        held_out_support=support,
        held_out_trials=trials,
        violation_bound=violation_lower_bound(trials - support, trials, settings.confidence),
        bits_saved=quantise(max(hypothesis.bits, 0.0)),
    )


def agree(hypothesis: Hypothesis, spans: Spans) -> bool:
    """Return whether a structure neither starts inside a proven field nor needs one that overlaps it."""
    if any(start < hypothesis.offset < start + width for start, width in spans):
        return False
    return all(
        (at, size) == (start, width) or at + size <= start or start + width <= at
        for at, size in hypothesis.spans
        for start, width in spans
    )


def proposed_again(hypothesis: Hypothesis, table: Table, settings: DiscoverySettings) -> bool:
    """Return whether these regions propose the same structure, with whatever evidence, and do not refute it."""
    if not searchable(table):
        return False
    proposing = table.proposing(PROPOSERS)
    family = next(family for family in FAMILIES if family.__module__ == type(hypothesis).__module__)
    found = family(proposing, settings)
    same = any(other.offset == hypothesis.offset and _shape(other) == _shape(hypothesis) for other in found)
    return same and stands(hypothesis, table, settings)


def _shape(hypothesis: Hypothesis) -> dict[str, object]:
    return {name: value for name, value in vars(hypothesis).items() if name != "bits"}
