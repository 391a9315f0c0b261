"""Checksums: candidate places and regions, every known algorithm, and algebra for unknown CRCs, in a counted budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..checksums import checksum_values
from ..findings import Finding
from ..spec import Checksum, Rival
from .additive import Proposal, additive
from .blocks import find_blocks
from .claims import evidence_of, rival, stands, tolerated, types_that_hold
from .columns import Columns, Group
from .crc import PAIRS, Differences, differences_of, from_catalogue, generators, parameters_of
from .flows import _value
from .prefixes import Algorithm
from .regions import MOST_ROWS, Place, Region, places_of, regions_of

_PROBES = 12
_FEWEST = 8
_CRC_ROWS = 16  # generator, init and xorout are as much as three checksums: the others are the evidence
_GROUPS = 9
_SEEDS = 3
_DETECTOR = "checksum"


@dataclass
class _Budget:
    """Bytes that may still be hashed."""

    left: int

    def spend(self, columns: Columns, rows: NDArray[np.int64], times: int) -> bool:
        """Take the bytes of these rows so many times; return whether they were left."""
        self.left -= int(columns.lengths[rows].sum()) * times
        return self.left >= 0


@dataclass
class _Search:
    """One group's search and what it found; ``taken`` types are known already, ``seeds`` may be the CRCs of blocks."""

    columns: Columns
    group: Group
    budget: _Budget
    taken: frozenset[int] = frozenset()
    findings: list[Finding] = field(default_factory=list)
    seeds: list[Algorithm] = field(default_factory=list)

    def run(self) -> list[Finding]:
        """
        Try every place, then keep the most usual checksums.

        A relation of sums or XOR holds for every byte it covers as much as for the checksum itself; so of checksums
        that cover each other one is kept: the Internet checksum nearest the front, others nearest the end.
        """
        candidates = [c for place in places_of(self.columns, self.group) for c in self._at(place)]
        candidates.sort(key=lambda c: c[0])
        for _, finding in candidates:
            if not any(_overlap(finding, other) or _mutual(finding, other) for other in self.findings):
                self.findings.append(finding)
        return self.findings

    def _at(self, place: Place) -> list[tuple[int, Finding]]:
        """Return (rank, finding) of the most usual checksum that all messages of some types have at this place."""
        proposals = sorted(self._proposals(place), key=lambda p: (p.strangeness, p.constraint.start))
        lost: list[Rival] = []
        for proposal in proposals[:8]:
            finding = self._judged(place, proposal)
            if finding is None:
                continue
            if stands(finding.evidence, self.columns.settings):
                inside = (place.start >= 0) != (proposal.constraint.algorithm == "internet")
                kept = finding.evidence.model_copy(update={"rivals": lost})
                return [(2 * proposal.strangeness + inside, replace(finding, evidence=kept))]
            lost.append(rival(finding.evidence.statement, "refuted", finding.evidence))
        return []

    def _proposals(self, place: Place) -> Iterator[Proposal]:
        columns, view = self.columns, self.columns.sample.view
        rows = self.group.proposing[:MOST_ROWS]
        rows = rows[columns.lengths[rows] >= (place.start + place.width if place.start >= 0 else -place.start)]
        probes = rows[:_PROBES]
        if len(rows) < _FEWEST or _copies(columns, rows, place):
            return
        regions = regions_of(place)
        if not self.budget.spend(columns, probes, 4 * len(regions)):
            return
        found = list(additive(view, probes, place, regions))
        yield from found
        if not found and place.mixed and len(rows) >= _CRC_ROWS:
            yield from self._crcs(place, rows)

    def _crcs(self, place: Place, rows: NDArray[np.int64]) -> Iterator[Proposal]:
        """Propose CRCs: the generator from differences of messages, then the parameters that fit them."""
        view = self.columns.sample.view
        shared: tuple[Region, Differences] | None = None
        for region in regions_of(place):
            if not self.budget.spend(self.columns, rows[:PAIRS], 8):
                return
            if shared is None or (shared[0].end, shared[0].own_bytes) != (region.end, region.own_bytes):
                shared = region, differences_of(view, rows, place, region)
                yield from self._over_zeros(place, rows, shared[1])
            found = shared[1].after(region.start - shared[0].start)
            if len(found.lengths) < 4 and not found.impossible:
                if place.start < 0 and region.start == 0:
                    yield from from_catalogue(view, rows, place, region)
                continue
            for ordering, generator in generators(found, place.width, usual=region is not shared[0]):
                self.seeds.append(Algorithm.generated(place.width, ordering, generator))
                yield from parameters_of(view, rows, place, region, ordering, generator)

    def _over_zeros(self, place: Place, rows: NDArray[np.int64], found: Differences) -> Iterator[Proposal]:
        """Propose CRCs of whole messages that end with the field, which was zero when they were computed."""
        if place.start + place.width:
            return
        region = Region(0, 0, "zeroed")
        for ordering, generator in generators(found.ended_by_zeros(place.width), place.width, usual=True):
            yield from parameters_of(self.columns.sample.view, rows, place, region, ordering, generator)

    def _judged(self, place: Place, proposal: Proposal) -> Finding | None:
        """Compute the checksum of every message and return the finding for the types in which it holds."""
        columns, view = self.columns, self.columns.sample.view
        needed = place.start + place.width if place.start >= 0 else -place.start
        rows = np.flatnonzero(columns.lengths >= needed)
        probe = self.group.proposing[columns.lengths[self.group.proposing] >= needed]
        if not self._fits(place, proposal, probe) or not self.budget.spend(columns, rows, 1):
            return None
        holds = np.zeros(len(columns.lengths), np.bool_)
        wanted = checksum_values(
            view, rows, proposal.constraint, place.offsets(view, rows), place.width, proposal.little
        )
        holds[rows] = place.values(view, rows, proposal.little) == wanted
        types = types_that_hold(columns, holds, [t for t in range(columns.n_types) if t not in self.taken])
        support = np.flatnonzero(holds & np.isin(columns.type_of_row, np.asarray(types, np.int32)))
        if len(support) < _FEWEST or len(np.unique(place.values(view, support, False))) < 4:
            return None
        order = None if place.width == 1 else "little" if proposal.little else "big"
        evidence = evidence_of(columns, holds, types, _DETECTOR, _statement(place, proposal))
        return Finding(types, place.start, place.width, "checksum", proposal.constraint, order, evidence)  # type: ignore[arg-type]

    def _fits(self, place: Place, proposal: Proposal, rows: NDArray[np.int64]) -> bool:
        """Return whether it holds in up to 64 proposing messages: most proposals end here."""
        view, rows = self.columns.sample.view, rows[:64]
        wanted = checksum_values(
            view, rows, proposal.constraint, place.offsets(view, rows), place.width, proposal.little
        )
        violations = int((place.values(view, rows, proposal.little) != wanted).sum())
        return violations <= max(tolerated(len(rows), self.columns.settings), 1)


def find_checksums(columns: Columns) -> list[Finding]:
    """Return the checksums of all messages together, then those of the largest types that have none."""
    findings: list[Finding] = []
    taken: frozenset[int] = frozenset()
    budget = _Budget(columns.settings.checksum_budget)
    for index, group in enumerate(columns.groups[:_GROUPS]):
        if len(group.proposing) < _FEWEST or any(set(group.types) <= set(f.types) for f in findings):
            continue
        search = _Search(columns, group, budget, taken)
        found = search.run()
        blocks = _blocks(columns, search) if not index else []
        if blocks:
            taken = frozenset(blocks[-1].types)
            found = [*blocks, *_Search(columns, group, budget, taken).run()] if taken < set(group.types) else blocks
        findings.extend(found)
    return findings


def _blocks(columns: Columns, search: _Search) -> list[Finding]:
    """Return the checksums of blocks, unless one checksum of all bytes is already that of all messages."""
    if any(set(search.group.types) <= set(f.types) and _says_all(f.constraint) for f in search.findings):
        return []
    return find_blocks(columns, sorted(dict.fromkeys(search.seeds), key=lambda algorithm: -algorithm.width)[:_SEEDS])


def _says_all(constraint: object) -> bool:
    """Return whether it covers the message to its end, and blocks with theirs do not obey it as a whole."""
    if not isinstance(constraint, Checksum) or constraint.end > 0 or constraint.algorithm in ("xor", "internet"):
        return False
    sent = bool(constraint.init or constraint.xorout)
    return bool(constraint.name) and sent if constraint.algorithm == "crc" else not constraint.xorout


def _copies(columns: Columns, rows: NDArray[np.int64], place: Place) -> bool:
    """Return whether the value is that of another place up to a constant: then it is no checksum but a copy."""
    rows = rows[:32]
    view = columns.sample.view
    shortest = int(columns.lengths[rows].min())
    own = place.offsets(view, rows)
    copy: bool = _repeats(columns.front[rows], place.values(view, rows, False), own, place.width, min(64, shortest))
    return copy


@njit(cache=True, nogil=True)
def _repeats(front, value, own, width, places):  # type: ignore[no-untyped-def]
    """Return whether, at some other offset, the rows' numbers differ from ``value`` by one sum or one XOR."""
    found = False
    for offset in range(places - width + 1):
        found = found or _repeats_at(front, value, own, width, offset)
    return found


@njit(cache=True, nogil=True)
def _repeats_at(front, value, own, width, offset):  # type: ignore[no-untyped-def]
    full = ~np.uint64(0) >> np.uint64(64 - 8 * width)
    first = _value(front, 0, offset, width, False)
    total, differing = (value[0] - first) & full, value[0] ^ first
    same_sum, same_xor = True, True
    for row in range(len(value)):
        number = _value(front, row, offset, width, False)
        same_sum = same_sum and (value[row] - number) & full == total
        same_xor = same_xor and value[row] ^ number == differing
        if own[row] == offset or not (same_sum or same_xor):
            return False
    return True


def _overlap(one: Finding, other: Finding) -> bool:
    if (one.start < 0) != (other.start < 0):
        return False
    return one.start < other.start + other.width and other.start < one.start + one.width


def _mutual(one: Finding, other: Finding) -> bool:
    """Return whether each lies in the region of the other."""
    return _covers(one, other) and _covers(other, one)


def _covers(one: Finding, other: Finding) -> bool:
    region = one.constraint
    if not isinstance(region, Checksum):
        return False
    if other.start < 0:
        return region.end <= 0 and other.start + other.width <= (region.end or 0)
    return region.start <= other.start and (region.end <= 0 or other.start + other.width <= region.end)


def _statement(place: Place, proposal: Proposal) -> str:
    c = proposal.constraint
    end = f"{c.end}" if c.end else "end"
    name = c.name or (f"CRC-{8 * place.width} poly 0x{c.poly:x}" if c.algorithm == "crc" else c.algorithm)
    own = {"outside": "", "excluded": " without its own", "zeroed": " with its own as zeros"}[c.own_bytes]
    return f"{8 * place.width} bits at {place.start} are {name} of bytes [{c.start}:{end}]{own}"
