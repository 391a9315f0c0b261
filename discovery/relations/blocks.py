"""
Checksums behind every block of so many bytes, the last block shorter, and of the header before the blocks.

Link layers send them so (IEC 60870-5-1 FT3, IEEE 1815). Nothing is sought but where the search for checksums has met a
generator, or an algorithm, that messages obey in part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..checksums import region_values
from ..findings import Finding
from ..spec import Checksum
from .additive import Proposal
from .claims import evidence_of, stands, types_that_hold
from .columns import Columns
from .crc import Ordering, parameters_of
from .regions import Place, Region, numbers_at

_HEADER = 48  # bytes of a header at most
_BLOCK = 256  # bytes of a block at most
_FEWEST = 8
_BITS = 40  # by which messages must agree beyond chance
_ROWS = 128
_LONGEST = 1 << 40  # bytes of a block that is all of the body
_SEEDS = 3
_STARTS = (0, 1, 2, 3, 4)

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Seed:
    """A generator of CRCs of ``width`` bytes, or a whole algorithm (``known``), that some messages obey."""

    width: int
    ordering: Ordering
    generator: int
    known: Checksum | None = None

    def bare(self) -> _Algorithm:
        """Return the checksum; that of a generator with init and xorout of 0."""
        constraint = self.known
        if constraint is None:
            poly = self.generator ^ (1 << (8 * self.width))
            refin, refout, _ = self.ordering
            constraint = Checksum(algorithm="crc", poly=poly, refin=refin, refout=refout)
        return _Algorithm(Proposal(constraint, self.ordering.little, 0), self.width, self.known is not None)


@dataclass(frozen=True)
class _Algorithm:
    """How a checksum is computed; ``exact`` where its init and xorout are known."""

    proposal: Proposal
    width: int
    exact: bool

    def differences(self, columns: Columns, first: Rows, last: Rows) -> NDArray[np.uint64]:
        """Return (2, n): the checksum of the data's bytes [first, last), and its XOR with what stands behind them."""
        constraint, little, _ = self.proposal
        data = columns.sample.view.data
        wanted = region_values(data, first, last, constraint, last, self.width, little)
        return np.stack([wanted, wanted ^ numbers_at(data, last, self.width, little)])

    def agrees(self, columns: Columns, rows: Rows, start: int, end: int) -> bool:
        """
        Return whether the bytes [start, end) of nine of ten messages have this checksum behind them.

        Where it is not exact, the difference need only be the same. Messages alike say it once.
        """
        begin = columns.sample.view.starts[rows]
        distinct = np.unique(self.differences(columns, begin + start, begin + end), axis=1)[1]
        _, counts = np.unique(distinct, return_counts=True)
        agreeing = int((distinct == 0).sum() if self.exact else counts.max())
        return 10 * agreeing >= 9 * len(distinct) and 8 * self.width * (agreeing - 1) >= _BITS

    def blocks(self, columns: Columns, rows: Rows, start: int, size: int) -> NDArray[np.bool_]:
        """Return which messages are, from ``start`` to the end, blocks of ``size`` bytes, the last of one or more."""
        view = columns.sample.view
        at, left = view.starts[rows] + start, view.lengths[rows] - start
        holds = left >= 0
        while (on := np.flatnonzero(holds & (left > 0))).size:
            part = np.minimum(left[on] - self.width, size)
            holds[on[part <= 0]] = False
            on, part = on[part > 0], part[part > 0]
            holds[on] = self.differences(columns, at[on], at[on] + part)[1] == 0
            at[on] += part + self.width
            left[on] -= part + self.width
        return holds


@dataclass(frozen=True)
class _Frame:
    """A header with its checksum, and from ``start`` on blocks of ``size`` bytes (0: one of any size) with theirs."""

    algorithm: _Algorithm
    header: Region
    start: int
    size: int


def find_blocks(columns: Columns, seeds: Sequence[Seed]) -> list[Finding]:
    """Return the checksums of the header and of the blocks behind it, of the first seed that messages do not refute."""
    if not columns.groups:
        return []
    rows = columns.groups[0].proposing[:_ROWS]
    for seed in seeds[:_SEEDS]:
        for frame in _frames(columns, seed, rows):
            found = _judged(columns, frame)
            if found:
                return found
    return []


def _frames(columns: Columns, seed: Seed, rows: Rows) -> Iterator[_Frame]:
    """Yield the frame of each reading of the header that has blocks behind it."""
    end = _header(columns, seed.bare(), rows)
    if not end:
        return
    for algorithm, header in _readings(columns, seed, rows, end):
        start = end + seed.width
        size = _block(columns, algorithm, rows, start)
        if size or _one_block(columns, algorithm, rows, start):
            yield _Frame(algorithm, header, header.start if size == end - header.start else start, size)


def _header(columns: Columns, algorithm: _Algorithm, rows: Rows) -> int:
    """Return the least number of bytes from the front behind which messages have a checksum of them, 0 for none."""
    starts = _STARTS if algorithm.exact else _STARTS[:1]  # bytes before a CRC's region change its init alone
    for end in range(2, _HEADER + 1):
        long = rows[columns.lengths[rows] >= end + algorithm.width]
        if len(long) < _FEWEST:
            return 0
        if any(algorithm.agrees(columns, long, start, end) for start in starts if start < end - 1):
            return end
    return 0


def _readings(columns: Columns, seed: Seed, rows: Rows, end: int) -> list[tuple[_Algorithm, Region]]:
    """Return the algorithms and regions that the header's checksum may have, the most usual first."""
    regions = [Region(start, end, "outside") for start in _STARTS if start < end - 1]
    rows = rows[columns.lengths[rows] >= end + seed.width]
    if seed.known is not None:
        begin = columns.sample.view.starts[rows]
        return [
            (seed.bare(), region)
            for region in regions
            if not seed.bare().differences(columns, begin + region.start, begin + end)[1].any()
        ]
    place, view = Place(end, seed.width, True), columns.sample.view
    found = [
        (proposal.strangeness, region, _Algorithm(proposal, seed.width, True))
        for region in regions
        for proposal in parameters_of(view, rows, place, region, seed.ordering, seed.generator)
    ]
    return [(algorithm, region) for _, region, algorithm in sorted(found, key=lambda each: (each[0], each[1].start))]


def _block(columns: Columns, algorithm: _Algorithm, rows: Rows, start: int) -> int:
    """Return the least size of blocks that enough messages have from there to the end, 0 where there is none."""
    for size in range(1, _BLOCK + 1):
        long = rows[columns.lengths[rows] >= start + size + algorithm.width]
        if len(long) < _FEWEST:
            return 0
        if not algorithm.agrees(columns, long, start, start + size):
            continue
        holds = algorithm.blocks(columns, long, start, size)
        if 10 * int(holds.sum()) >= 9 * len(long):
            return size
    return 0


def _one_block(columns: Columns, algorithm: _Algorithm, rows: Rows, start: int) -> bool:
    """Return whether what is behind the header has one checksum at its end, in nine of ten messages."""
    rows = rows[columns.lengths[rows] > start]
    holds = algorithm.blocks(columns, rows, start, _LONGEST)
    return len(rows) >= _FEWEST and 10 * int(holds.sum()) >= 9 * len(rows)


def _judged(columns: Columns, frame: _Frame) -> list[Finding]:
    """Return the findings of the header and of what is behind it, nothing where messages refute the latter."""
    body = _body(columns, frame)
    if body is None:
        return []
    return [body] if frame.start <= frame.header.start else [_of_header(columns, frame), body]


def _body(columns: Columns, frame: _Frame) -> Finding | None:
    algorithm, start = frame.algorithm, frame.start
    holds = algorithm.blocks(columns, np.arange(len(columns.lengths)), start, frame.size or _LONGEST)
    types = _with_body(columns, types_that_hold(columns, holds, range(columns.n_types)), start)
    at = f"behind each {frame.size} bytes from {start} on, and at the end," if frame.size else f"at {-algorithm.width}"
    covered = "them" if frame.size else f"bytes [{start}:{-algorithm.width}]"
    finding = _finding(columns, algorithm, holds, types, at, covered)
    if not types or not stands(finding.evidence, columns.settings):
        return None
    if frame.size:
        return replace(finding, start=start, block=frame.size)
    return replace(finding, start=-algorithm.width, constraint=_over(algorithm, start, -algorithm.width))


def _of_header(columns: Columns, frame: _Frame) -> Finding:
    algorithm, (start, end) = frame.algorithm, (frame.header.start, frame.header.end)
    long = np.flatnonzero(columns.lengths >= end + algorithm.width)
    begin = columns.sample.view.starts[long]
    holds = np.zeros(len(columns.lengths), np.bool_)
    holds[long] = algorithm.differences(columns, begin + start, begin + end)[1] == 0
    types = types_that_hold(columns, holds, range(columns.n_types))
    finding = _finding(columns, algorithm, holds, types, f"at {end}", f"bytes [{start}:{end}]")
    return replace(finding, start=end, constraint=_over(algorithm, start, end))


def _finding(
    columns: Columns, algorithm: _Algorithm, holds: NDArray[np.bool_], types: tuple[int, ...], at: str, covered: str
) -> Finding:
    (constraint, little, _), width = algorithm.proposal, algorithm.width
    name = constraint.name or constraint.algorithm
    evidence = evidence_of(columns, holds, types, "checksum", f"{8 * width} bits {at} are {name} of {covered}")
    order: Literal["big", "little"] | None = None if width == 1 else "little" if little else "big"
    return Finding(types, 0, width, "checksum", _over(algorithm, 0, 0), order, evidence)


def _over(algorithm: _Algorithm, start: int, end: int) -> Checksum:
    """Return the checksum over these bytes of a message."""
    region = {"start": start, "end": end, "own_bytes": "outside"}
    return algorithm.proposal.constraint.model_copy(update=region)


def _with_body(columns: Columns, types: Sequence[int], start: int) -> tuple[int, ...]:
    """Return those of the types that have bytes behind the header in some message."""
    present = set(columns.type_of_row[columns.lengths > start].tolist())
    return tuple(t for t in types if t in present)
