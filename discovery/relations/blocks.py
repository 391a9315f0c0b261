"""
Checksums behind every block of so many bytes, the last block shorter, and of the header before the blocks.

Link layers send them so (IEC 60870-5-1 FT3, IEEE 1815, EN 13757-4). The first checksum stands at one offset of all
messages; what algorithm it may be tells where the next one stands, and all of them together its parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..findings import Finding
from ..spec import Checksum
from .claims import evidence_of, stands, types_that_hold
from .columns import Columns
from .crc import completed
from .prefixes import FARTHEST, Algorithm, Prefix, prefixes

_STARTS = (0, 1, 2, 3, 4)
_BLOCK = 256  # bytes of a block at most
_ALL = 1 << 40  # bytes of a block that is all of the body
_BITS = 40  # by which messages must agree beyond chance
_FEWEST = 8
_ROWS = 128
_LONG_ROWS = 24
_SOLVING_ROWS = 64
_PREFIXES = 6
_SIZES = 4

Rows = NDArray[np.int64]


class _Cut(NamedTuple):
    """From ``start`` on messages are blocks of ``size`` bytes; ``header`` is where the bytes of the first one begin."""

    start: int
    size: int
    header: int


@dataclass(frozen=True)
class _Frame:
    """How messages are cut, and the checksum behind each part."""

    algorithm: Algorithm
    prefix: Prefix
    cut: _Cut

    @property
    def headed(self) -> bool:
        """Whether a header of another size stands before the blocks."""
        return self.cut.start > self.prefix.end


def find_blocks(columns: Columns, generators: Sequence[Algorithm]) -> list[Finding]:
    """
    Return the checksums of the header and of the blocks behind it.

    ``generators``: CRCs that the messages as wholes obey but for what no init and xorout make up for.
    """
    if not columns.groups:
        return []
    view, rows = columns.sample.view, columns.groups[0].proposing[:_ROWS]
    candidates = [prefix for algorithm in generators for prefix in _placed(view, algorithm, rows)]
    steady = (p for p in (*candidates, *prefixes(view, rows, _STARTS)) if _is_prefix(view, p, rows))
    for prefix in islice(steady, _PREFIXES):
        for frame in _frames(columns, prefix, rows):
            found = _judged(columns, frame)
            if found:
                return found
    return []


def _placed(view: MessageView, algorithm: Algorithm, rows: Rows) -> Iterator[Prefix]:
    """Yield the offsets at which messages may have this checksum of the bytes before it."""
    for start in _STARTS:
        sizes = np.arange(2, FARTHEST - start + 1)
        same = _Behind.of(view, algorithm, rows, start, sizes).same
        yield from (Prefix(algorithm, start, start + int(size)) for size in sizes[same])


@dataclass(frozen=True)
class _Behind:
    """
    The checksums of the bytes from one offset, of each of some sizes, in the longest messages that hold them.

    Attributes:
        wanted, rest: (sizes, n) uint64, checksums and their XOR with what stands behind the bytes.
        counts: int64, how many of the n messages are long enough, the others come last.
    """

    wanted: NDArray[np.uint64]
    rest: NDArray[np.uint64]
    counts: Rows

    @classmethod
    def of(cls, view: MessageView, algorithm: Algorithm, rows: Rows, start: int, sizes: Rows, more: int = 0) -> _Behind:
        """Compute them, of messages that have so many bytes more behind the checksum."""
        rows = rows[np.argsort(-view.lengths[rows], kind="stable")[:_LONG_ROWS]]
        counts = (view.lengths[rows][None, :] >= (start + sizes + algorithm.width + more)[:, None]).sum(axis=1)
        holding = np.arange(len(rows))[None, :] < counts[:, None]
        size, row = np.nonzero(holding)
        first = view.starts[rows][row] + start
        wanted, rest = np.zeros((2, *holding.shape), np.uint64)
        wanted[holding], rest[holding] = algorithm.computed(view, first, first + sizes[size])
        return cls(wanted, rest, counts)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Of which sizes eight of ten messages have one rest: what is not so is no checksum."""
        holding = np.arange(self.rest.shape[1])[None, :] < self.counts[:, None]
        middle = np.take_along_axis(self.rest, (self.counts // 2)[:, None], axis=1)
        usual = [((self.rest == one) & holding).sum(axis=1) for one in (self.rest[:, :1], middle)]
        same: NDArray[np.bool_] = (self.counts > 2) & (10 * np.maximum(*usual) >= 8 * self.counts)
        return same

    def agrees(self, algorithm: Algorithm, size: int) -> bool:
        """Return whether nine of ten messages have the checksum at this place of the sizes."""
        count = self.counts[size]
        return _agrees(algorithm, self.wanted[size, :count], self.rest[size, :count])


def _is_prefix(view: MessageView, prefix: Prefix, rows: Rows) -> bool:
    """Return whether the messages agree that it is their first checksum, and enough of them have more behind it."""
    behind = view.lengths[rows] - prefix.end - prefix.algorithm.width
    begin = view.starts[rows[behind >= 0]]
    wanted, rest = prefix.algorithm.computed(view, begin + prefix.start, begin + prefix.end)
    return int((behind > 0).sum()) >= _FEWEST and _agrees(prefix.algorithm, wanted, rest)


def _agrees(algorithm: Algorithm, wanted: NDArray[np.uint64], rest: NDArray[np.uint64]) -> bool:
    """Return whether nine of ten messages have the checksum, or differ from it by one value where it is not exact."""
    distinct = np.unique(wanted << np.uint64(32) | rest) & np.uint64(0xFFFFFFFF)  # messages alike say it once
    agreeing = int((distinct == 0).sum() if algorithm.exact else np.unique(distinct, return_counts=True)[1].max())
    return 10 * agreeing >= 9 * len(distinct) and 8 * algorithm.width * (agreeing - 1) >= _BITS


def _frames(columns: Columns, prefix: Prefix, rows: Rows) -> Iterator[_Frame]:
    """Yield the frames that nine of ten messages have."""
    for cut in _cuts(columns, prefix, rows):
        concerned = rows[columns.lengths[rows] >= cut.start]
        for algorithm in _exact(columns, prefix, cut, concerned[:_SOLVING_ROWS]):
            filled = concerned[columns.lengths[concerned] > cut.start]
            holds = _holds(columns, algorithm, filled, cut)
            if len(filled) >= _FEWEST and 10 * int(holds.sum()) >= 9 * len(filled):
                yield _Frame(algorithm, prefix, cut)


def _cuts(columns: Columns, prefix: Prefix, rows: Rows) -> Iterator[_Cut]:
    """Yield the ways to cut what follows the first checksum; without a header it is that of the first block."""
    behind = prefix.end + prefix.algorithm.width
    sizes = _sizes(columns.sample.view, prefix.algorithm, rows, behind)
    short = int((columns.lengths[rows] < behind).sum())
    for start in (start for start in _STARTS if start < prefix.end - 1):
        first = prefix.end - start
        if first in sizes or (not sizes and short >= _FEWEST):
            yield _Cut(start, first, start)
        yield from (_Cut(behind, size, start) for size in sizes or [_ALL])


def _sizes(view: MessageView, algorithm: Algorithm, rows: Rows, start: int) -> list[int]:
    """Return the least sizes of a block at ``start`` that all messages with more bytes than that have."""
    behind = _Behind.of(view, algorithm, rows, start, np.arange(1, _BLOCK + 1), more=1)  # the last one may be shorter
    places = np.flatnonzero(behind.same).tolist()
    return list(islice((place + 1 for place in places if behind.agrees(algorithm, place)), _SIZES))


def _exact(columns: Columns, prefix: Prefix, cut: _Cut, rows: Rows) -> list[Algorithm]:
    """Return the algorithms with the parameters that header and blocks may have, the most usual first."""
    view, bare = columns.sample.view, prefix.algorithm
    if bare.exact:
        return [bare] if cut.header == prefix.start else []
    _, first, last, _ = _segments(view, rows, bare.width, cut)
    if cut.start > prefix.end:
        begin = view.starts[rows]
        first = np.concatenate([first, begin + cut.header])
        last = np.concatenate([last, begin + prefix.end])
    _, rest = bare.computed(view, first, last)
    found = sorted(
        completed(bare.bare, bare.width, bare.ordering, last - first, rest), key=lambda proposal: proposal.strangeness
    )
    return [Algorithm.of(proposal, bare.width) for proposal in found]


def _segments(view: MessageView, rows: Rows, width: int, cut: _Cut) -> tuple[Rows, Rows, Rows, NDArray[np.bool_]]:
    """
    Return for each block the place of its message in ``rows``, first byte and end; and which messages can be cut so.

    The last block of a message has a byte or more, and its checksum.
    """
    left, step = view.lengths[rows] - cut.start, cut.size + width
    counts = -(-left // step)
    fits = (left >= 0) & ((counts <= 0) | (left - (counts - 1) * step > width))
    counts = np.where(fits, counts, 0)
    owner = np.repeat(np.arange(len(rows)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = view.starts[rows][owner] + cut.start + number * step
    return owner, first, np.minimum(first + cut.size, (view.starts + view.lengths)[rows][owner] - width), fits


def _holds(columns: Columns, algorithm: Algorithm, rows: Rows, cut: _Cut) -> NDArray[np.bool_]:
    """Return which messages are blocks to their end, each with its checksum."""
    owner, first, last, fits = _segments(columns.sample.view, rows, algorithm.width, cut)
    _, rest = algorithm.computed(columns.sample.view, first, last)
    fits[owner[rest != 0]] = False
    return fits


def _judged(columns: Columns, frame: _Frame) -> list[Finding]:
    """Return the findings of the header and of what is behind it, nothing where messages refute the latter."""
    body = _body(columns, frame)
    if body is None:
        return []
    return [_of_header(columns, frame), body] if frame.headed else [body]


def _body(columns: Columns, frame: _Frame) -> Finding | None:
    algorithm, (start, size, _) = frame.algorithm, frame.cut
    holds = _holds(columns, algorithm, np.arange(len(columns.lengths)), frame.cut)
    types = _with_body(columns, types_that_hold(columns, holds, range(columns.n_types)), start)
    cut = size < _ALL
    at = f"behind each {size} bytes from {start} on, and at the end," if cut else f"at {-algorithm.width}"
    covered = "them" if cut else f"bytes [{start}:{-algorithm.width}]"
    finding = _finding(columns, algorithm, holds, types, at, covered)
    if not types or not stands(finding.evidence, columns.settings):
        return None
    if cut:
        return replace(finding, start=start, block=size)
    return replace(finding, start=-algorithm.width, constraint=_over(algorithm, start, -algorithm.width))


def _of_header(columns: Columns, frame: _Frame) -> Finding:
    algorithm, start, end = frame.algorithm, frame.cut.header, frame.prefix.end
    long = np.flatnonzero(columns.lengths >= end + algorithm.width)
    begin = columns.sample.view.starts[long]
    holds = np.zeros(len(columns.lengths), np.bool_)
    holds[long] = algorithm.computed(columns.sample.view, begin + start, begin + end)[1] == 0
    types = types_that_hold(columns, holds, range(columns.n_types))
    finding = _finding(columns, algorithm, holds, types, f"at {end}", f"bytes [{start}:{end}]")
    return replace(finding, start=end, constraint=_over(algorithm, start, end))


def _finding(
    columns: Columns, algorithm: Algorithm, holds: NDArray[np.bool_], types: tuple[int, ...], at: str, covered: str
) -> Finding:
    width, name = algorithm.width, algorithm.bare.name or algorithm.bare.algorithm
    evidence = evidence_of(columns, holds, types, "checksum", f"{8 * width} bits {at} are {name} of {covered}")
    order: Literal["big", "little"] | None = None if width == 1 else "little" if algorithm.ordering.little else "big"
    return Finding(types, 0, width, "checksum", algorithm.bare, order, evidence)


def _over(algorithm: Algorithm, start: int, end: int) -> Checksum:
    """Return the checksum over these bytes of a message."""
    return algorithm.bare.model_copy(update={"start": start, "end": end})


def _with_body(columns: Columns, types: Sequence[int], start: int) -> tuple[int, ...]:
    """Return those of the types that have bytes behind the header in some message."""
    present = set(columns.type_of_row[columns.lengths > start].tolist())
    return tuple(t for t in types if t in present)
