"""Lay out regions: the best structure that held-out messages do not refute, fixed columns before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, pairwise

import numpy as np

from ..falsification import refuted, violation_lower_bound
from ..settings import DiscoverySettings
from ..spec import Case, Element, Evidence, Field, Repeat, Rest, Switch, ToEnd, quantise
from . import ber, chains, counted_parts, domain_names, prefixed, protobuf, records, strings, varint_rest
from .agreement import Agreement, Starts, likely
from .branches import Branch, best_branch
from .columns import columns_of
from .consensus import column_chance, cut
from .fields import Endianness, Names, as_number, field_of, plain
from .hypothesis import Hypothesis
from .padded import with_padded
from .table import NO_SPANS, Bools, Ints, Spans, Table
from .text import Style, is_text, text_elements

Family = Callable[[Table, DiscoverySettings], Sequence[Hypothesis]]
FAMILIES: tuple[Family, ...] = (
    chains.propose, ber.propose, domain_names.propose, prefixed.propose, counted_parts.propose, records.propose,
    strings.propose, protobuf.propose, varint_rest.propose,
)  # fmt: skip
DEPTH = 4
MIN_REGIONS = 8  # fewer regions support no structure
PROPOSERS = 256  # regions that hypotheses are searched on
READERS = 1024  # regions that columns are read from
COLUMNS = 512
OPTIONAL_DEPTH = 12
ALTERNATIVES = 2  # structures of a type that are built and compared
OPINIONS = 36.0  # independent readings of a field's start that the segmenter's probabilities are worth
FAR = 64.0  # bits of evidence that no disagreement with the segmenter made up for: such a layout is not built
BRANCH_OPINIONS = 6.0  # the same of a region, for what a switch tells


@dataclass
class Assembler:
    """
    Builds the layout of one message type.

    Attributes:
        names: names of the type's fields; groups: those of the protocol, shared by all types.
        endianness: byte order of numbers that do not show their own.
        style: of text, where the type is text.
        budget: regions that may still be searched, a bound on work.
    """

    settings: DiscoverySettings
    groups: dict[str, list[Element]]
    names: Names = field(default_factory=Names)
    endianness: Endianness = None
    style: Style | None = None
    budget: int = 64
    evidence: list[Evidence] = field(default_factory=list)
    starts: Starts = field(default_factory=Starts)

    def scope(self, hint: str) -> str:
        """Return a name that no group has."""
        taken = (hint if not number else f"{hint}{number + 1}" for number in range(len(self.groups) + 1))
        return next(name for name in taken if name not in self.groups)

    def group(self, name: str, elements: Callable[[list[Element]], list[Element]]) -> str:
        """Register a group, or what becomes of the one that has this name, and return the name."""
        self.groups[name] = elements(self.groups.get(name, []))
        return name

    def region(self, table: Table, depth: int, spans: Spans = NO_SPANS) -> list[Element]:
        """Return the layout of these regions; each of ``spans`` is proven to be one field."""
        return self.build(table, depth, spans, self.search(table, depth, spans)[:1])

    def mark(self, table: Table, offset: int = 0) -> None:
        """Note that a field starts ``offset`` bytes into these regions."""
        self.starts.add(table, offset)

    def mark_places(self, places: Ints) -> None:
        """Note that fields start at these offsets of the data."""
        self.starts.add_places(places)

    def search(self, table: Table, depth: int, spans: Spans = NO_SPANS) -> list[Hypothesis]:
        """Return the structures of these regions that held-out regions do not refute, those of most evidence first."""
        if depth > DEPTH or self.budget <= 0 or not searchable(table) or is_text(table):
            return []
        self.budget -= 1
        proposing = table.proposing(PROPOSERS)
        found = _together([hypothesis for family in FAMILIES for hypothesis in family(proposing, self.settings)])
        found.sort(key=lambda hypothesis: (-hypothesis.bits, hypothesis.offset))
        return list(islice((h for h in found if agree(h, spans) and stands(h, table, self.settings)), ALTERNATIVES))

    def build(self, table: Table, depth: int, spans: Spans, structures: Sequence[Hypothesis]) -> list[Element]:
        """
        Return the layout of these regions: by one of these structures, by a switch, or by fixed columns.

        Of those that can be built the one is taken whose evidence and agreement with the segmenter together say most.
        """
        if not len(table) or not int(table.sizes.max()):
            return [self._rest()]
        if depth == 0 and self.style is not None and not structures:
            self.mark_places(likely(table))
            return text_elements(self.names, table, self.style)
        if is_text(table):
            self.mark_places(likely(table))
            return text_elements(self.names, table) if depth == 0 else [self._rest()]
        self.mark(table)
        plans = self._plans(table, depth, spans, structures)
        if len(plans) == 1:
            return plans[0].build(self)
        return self._adopt(_best([self._try(table, plan) for plan in plans]))

    def _plans(self, table: Table, depth: int, spans: Spans, structures: Sequence[Hypothesis]) -> list[_Plan]:
        plans = [_Plan(0.0, partial(Assembler._columns_to_end, table=table, spans=spans))]
        branch = self._branch(table, depth, spans)
        if branch is not None:
            switch = partial(Assembler._branches, table=table, depth=depth, branch=branch, spans=spans)
            plans.append(_Plan(BRANCH_OPINIONS * branch.gain, switch))
        for structure in structures:
            build = partial(Assembler._structured, table=table, depth=depth, spans=spans, structure=structure)
            plans.append(_Plan(structure.bits, build))
        most = max(plan.bits for plan in plans)
        return [plan for plan in plans if plan.bits >= most - FAR]

    def _try(self, table: Table, plan: _Plan) -> _Trial:
        fork = replace(self, names=self.names.fork(), groups=dict(self.groups), evidence=[], starts=Starts())
        elements = plan.build(fork)
        self.budget = fork.budget
        return _Trial(fork, elements, plan.bits, fork.starts.agreement(table))

    def _adopt(self, trial: _Trial) -> list[Element]:
        fork = trial.assembler
        self.names.join(fork.names)
        self.groups.update(fork.groups)
        self.evidence += fork.evidence
        self.starts.extend(fork.starts)
        return trial.elements

    def _structured(self, table: Table, depth: int, spans: Spans, structure: Hypothesis) -> list[Element]:
        fits = structure.fits(table)
        self.evidence.append(_evidence(structure, table, fits, self.settings))
        fitting = table.take(fits)
        front = self.columns(fitting, structure.offset, spans | structure.spans)
        behind = fitting.after(structure.offset)
        self.mark(behind)
        elements = structure.build(self, front, behind, depth)
        return front + elements

    def _branch(self, table: Table, depth: int, spans: Spans) -> Branch | None:
        """Return the byte that tells the regions apart, None where there is none or it is part of a wider field."""
        found = best_branch(table.take(slice(0, READERS))) if depth < DEPTH and len(table) >= MIN_REGIONS else None
        if found is None or any(start <= found.offset < start + width > 1 for start, width in spans):
            return None
        return found

    def _branches(self, table: Table, depth: int, spans: Spans, branch: Branch) -> list[Element]:
        """Return a switch on the byte that tells the regions apart."""
        offset, values = branch.offset, branch.values
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
        facts = columns_of(table.take(slice(0, READERS)), stop, start)
        edges = [start, *(b for b in boundaries if start < b < stop), stop]
        for edge in edges:
            self.mark(table, edge)
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
        ordered, last = np.sort(ends), start
        counts = np.searchsorted(np.sort(sizes), ordered)
        for end, shorter in zip(ordered.tolist(), counts.tolist(), strict=True):
            if end > start and self._refuted(shorter, len(sizes)):
                break  # more messages are shorter than what is further behind
            last = max(last, end)
        return last

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


@dataclass(frozen=True)
class _Plan:
    """A way to lay regions out, and the evidence for it in bits."""

    bits: float
    build: Callable[[Assembler], list[Element]]


@dataclass(frozen=True)
class _Trial:
    """A layout that may be taken: what was built, by whom, and how many bits speak for it."""

    assembler: Assembler
    elements: list[Element]
    bits: float
    agreement: Agreement


def _best(trials: list[_Trial]) -> _Trial:
    """Return the layout of most evidence, less what it disagrees with the segmenter for each field, in bits."""
    starts = max([1.0, *(trial.agreement.starts for trial in trials)])
    return max(trials, key=lambda trial: trial.bits + OPINIONS * trial.agreement.bits / starts)


def _together(found: list[Hypothesis]) -> list[Hypothesis]:
    """Return the structures, a chain that begins with a counted string with what speaks for the string too."""
    counted = [(string.chained, string.bits) for string in found if isinstance(string, strings.Counted)]
    gains = {
        chain: max((bits for first, bits in counted if first == chain.first), default=0.0)
        for chain in found
        if isinstance(chain, chains.Chain)
    }
    return [replace(h, bits=h.bits + gains[h]) if isinstance(h, chains.Chain) else h for h in found]


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
        epsilon=settings.epsilon,
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
