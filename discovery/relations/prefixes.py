"""Checksums of what stands right before them, sought behind every offset of the front at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..checksums import reflect, region_values
from ..crc_catalogue import CATALOGUE
from ..spec import Checksum
from .additive import Proposal, additive_prefixes
from .crc import Ordering
from .regions import numbers_at

FARTHEST = 64  # bytes before a first checksum at most
_WIDTHS = (4, 3, 2, 1)
_SUMS = (2, 1)  # a wider sum is of no use behind so few bytes
_ROWS = 12
_DISTINCT = 4
_TEXT = 20  # in text fewer than one of so many bytes is not printed

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Algorithm:
    """
    How a checksum is computed.

    Attributes:
        bare: its parameters, of a CRC with init and xorout of 0 unless it is ``exact``; no region.
        width: bytes of the field; ordering: of its bits and bytes.
    """

    bare: Checksum
    width: int
    ordering: Ordering
    exact: bool

    @classmethod
    def generated(cls, width: int, ordering: Ordering, generator: int) -> Algorithm:
        """Return the CRC of a generator, init and xorout unknown."""
        poly = generator ^ (1 << (8 * width))
        bare = Checksum(algorithm="crc", poly=poly, refin=ordering.refin, refout=ordering.refout)
        return cls(bare, width, ordering, False)

    @classmethod
    def of(cls, proposal: Proposal, width: int) -> Algorithm:
        """Return a checksum all of whose parameters are known."""
        bare = proposal.constraint.model_copy(update={"start": 0, "end": 0, "own_bytes": "outside"})
        return cls(bare, width, Ordering(bare.refin, bare.refout, proposal.little), True)

    def computed(self, view: MessageView, first: Rows, last: Rows) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the checksum of the data's bytes [first, last), and its XOR with what stands behind them."""
        flat, ends = first.ravel(), last.ravel()
        wanted = region_values(view.data, flat, ends, self.bare, ends, self.width, self.ordering.little)
        rest = wanted ^ numbers_at(view.data, ends, self.width, self.ordering.little)
        return wanted.reshape(first.shape), rest.reshape(first.shape)


@dataclass(frozen=True)
class Prefix:
    """A checksum at offset ``end`` that messages may have of their bytes ``[start, end)``."""

    algorithm: Algorithm
    start: int
    end: int


def prefixes(view: MessageView, rows: Rows, starts: tuple[int, ...]) -> Iterator[Prefix]:
    """Yield the checksums that the longest of these messages but one have, the nearest to the front first."""
    rows = rows[np.argsort(-view.lengths[rows], kind="stable")[:_ROWS]]
    widest = max(_WIDTHS)
    if len(rows) < _ROWS or view.lengths[rows].min() < widest:
        return
    begin = view.starts[rows]
    varied = _varied(view.data, begin, min(FARTHEST + widest, int(view.lengths[rows].min())))
    tail = _varied(view.data, begin + view.lengths[rows] - widest, widest)
    starts = tuple(start for start in starts if not start or np.ptp(view.data[begin + start - 1]))
    widths = [width for width in _WIDTHS if tail[-width:].any()]  # messages end with a checksum too
    found = [prefix for width in widths for prefix in _of_width(view, begin, varied, starts, width)]
    yield from sorted(found, key=lambda prefix: (prefix.end, -prefix.algorithm.width, prefix.start))


@njit(cache=True, nogil=True)
def _varied(data, begin, size):  # type: ignore[no-untyped-def]
    """Return which of the bytes from there on take several values, none where nearly all of them are text."""
    varied = np.zeros(size, np.bool_)
    binary = 0
    for at in range(size):
        seen = np.zeros(256, np.bool_)
        for first in begin:
            byte = data[first + at]
            seen[byte] = True
            binary += byte > 126 or (byte < 32 and byte not in (9, 10, 13))
        varied[at] = seen.sum() >= _DISTINCT
    return varied & (_TEXT * binary >= size * len(begin))


def _of_width(
    view: MessageView, begin: Rows, varied: NDArray[np.bool_], starts: tuple[int, ...], width: int
) -> Iterator[Prefix]:
    if len(varied) < width + 2:
        return
    windows = np.lib.stride_tricks.sliding_window_view(varied[2:], width)
    ends = 2 + np.flatnonzero(windows.max(axis=1))
    if not len(ends):
        return
    lasts = begin[None, :] + ends[:, None]
    if width in _SUMS:
        firsts = np.repeat(begin[None, :], len(ends), axis=0)
        for k, proposal in additive_prefixes(view.data, firsts, lasts, width):
            yield Prefix(Algorithm.of(proposal, width), 0, int(ends[k]))
    generators, tables = _catalogue(8 * width)
    reflected = np.array([refin for _, refin in generators])
    fields = np.stack([numbers_at(view.data, lasts, width, little) for little in ((False, True)[: 1 + (width > 1)])])
    agree = _agree(view.data, begin, np.array(starts), ends, 8 * width, tables, reflected, fields)
    for s, g, k, little in np.argwhere(agree):
        poly, refin = generators[g]
        ordering = Ordering(refin, refin, bool(little))
        yield Prefix(Algorithm.generated(width, ordering, poly | 1 << (8 * width)), starts[s], int(ends[k]))


@lru_cache(maxsize=4)
def _catalogue(bits: int) -> tuple[list[tuple[int, bool]], NDArray[np.uint64]]:
    """Return (polynomial, whether reflected) of the catalogue's CRCs of this width, and a table of 256 of each."""
    known = sorted({(c.poly, c.refin) for c in CATALOGUE if c.width == bits and c.refin == c.refout})
    generators = np.array([reflect(poly, bits) if refin else poly for poly, refin in known], np.uint64)
    return known, _tables(generators, np.array([refin for _, refin in known]), bits)


@njit(cache=True, nogil=True)
def _tables(generators, reflected, bits):  # type: ignore[no-untyped-def]
    """Return the 256 remainders of each generator, as ``checksums.crc_table`` does."""
    one, full = np.uint64(1), ~np.uint64(0) >> np.uint64(64 - bits)
    top = np.uint64(bits - 1)
    tables = np.zeros((len(generators), 256), np.uint64)
    for g in range(len(generators)):
        for byte in range(256):
            register = np.uint64(byte) if reflected[g] else np.uint64(byte) << np.uint64(bits - 8)
            for _ in range(8):
                if reflected[g]:
                    register = (register >> one) ^ (generators[g] if register & one else np.uint64(0))
                else:
                    carry = generators[g] if register >> top else np.uint64(0)
                    register = ((register << one) & full) ^ carry
            tables[g, byte] = register
    return tables


@njit(cache=True, nogil=True)
def _agree(data, begin, starts, ends, bits, tables, reflected, fields):  # type: ignore[no-untyped-def]
    """Return bool (start, generator, end, order): whether field and CRC differ by one value in all rows but one."""
    orders, places, rows = fields.shape
    agree = np.zeros((len(starts), len(tables), places, orders), np.bool_)
    rests = np.zeros((orders, places, rows), np.uint64)
    for s in range(len(starts)):
        for g in range(len(tables)):
            alive = True
            for row in range(rows):
                if row == 3:
                    alive = _two_agree(rests)
                if alive:
                    _registers(
                        data, begin[row], starts[s], ends, bits, tables[g], reflected[g], fields[:, :, row],
                        rests[:, :, row],
                    )  # fmt: skip
            for place in range(places if alive else 0):
                for order in range(orders):
                    agree[s, g, place, order] = ends[place] > starts[s] + 1 and _usual(rests[order, place]) >= rows - 1
    return agree


@njit(cache=True, nogil=True)
def _registers(data, begin, start, ends, bits, table, reflected, fields, rests):  # type: ignore[no-untyped-def]
    """Write field XOR CRC of the bytes from ``start`` of one message, of each end and byte order."""
    eight, low = np.uint64(8), np.uint64(255)
    top, full = np.uint64(bits - 8), ~np.uint64(0) >> np.uint64(64 - bits)
    register = np.uint64(0)
    at = start
    for place in range(len(ends)):
        while at < ends[place]:
            byte = np.uint64(data[begin + at])
            if reflected:
                register = table[(register ^ byte) & low] ^ (register >> eight)
            else:
                register = table[((register >> top) ^ byte) & low] ^ ((register << eight) & full)
            at += 1
        for order in range(len(fields)):
            rests[order, place] = fields[order, place] ^ register


@njit(cache=True, nogil=True)
def _two_agree(rests):  # type: ignore[no-untyped-def]
    """Return whether at some place two of the first three rows have the same value."""
    for order in range(rests.shape[0]):
        for place in range(rests.shape[1]):
            a, b, c = rests[order, place, 0], rests[order, place, 1], rests[order, place, 2]
            if a in (b, c) or b == c:
                return True
    return False


@njit(cache=True, nogil=True)
def _usual(rest):  # type: ignore[no-untyped-def]
    """Return how many rows have the value that two of the first three have."""
    if rest[0] == rest[1] or rest[0] == rest[2]:
        return (rest == rest[0]).sum()
    return (rest == rest[1]).sum()
