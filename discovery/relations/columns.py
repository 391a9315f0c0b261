"""What every detector reads: the front of each message as a matrix, rows by type, and flows with their types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..findings import Finding
from ..sample import Sample
from ..settings import DiscoverySettings

FRONT = 64
WIDEST = 16
SMALLEST_GROUP = 8
MOST_GROUPS = 32

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Rows of some types, in sample order: ``proposing`` ones and those ``held`` back."""

    types: tuple[int, ...]
    proposing: Rows
    held: Rows


@dataclass(frozen=True)
class Columns:
    """
    A sample cut into byte columns.

    Attributes:
        type_of_row: int32, -1 where a message has no type; n_types: how many types there are.
        kept: what the detectors before have found; grows as they run.
        content: int64, bytes of each message that count as its length, None for all of them.
    """

    sample: Sample
    type_of_row: NDArray[np.int32]
    n_types: int
    settings: DiscoverySettings
    kept: list[Finding] = field(default_factory=list)
    content: NDArray[np.int64] | None = None

    def claimed(self, start: int, width: int, types: Iterable[int]) -> bool:
        """Return whether a byte of these, in any of these types, belongs to what a surer detector has found."""
        return any(set(types) & set(other.types) for other in self.kept if other.claims(start, width))

    def of_types(self, types: Iterable[int]) -> NDArray[np.bool_]:
        """Return bool, which rows are of one of these types."""
        wanted = np.zeros(self.n_types + 1, np.bool_)  # the last one is that of rows without a type, -1
        wanted[list(types)] = True
        return wanted[self.type_of_row]

    @cached_property
    def front(self) -> NDArray[np.uint8]:
        """(n, FRONT + WIDEST) uint8, the first bytes of each message, zero where it ends before."""
        return front_bytes(self.sample.view)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each message, or of its content."""
        return self.sample.view.lengths if self.content is None else self.content

    @cached_property
    def flow_front(self) -> NDArray[np.uint8]:
        """As ``front``, of the messages of the sampled flows."""
        return front_bytes(self.sample.flows.view)

    @cached_property
    def flow_types(self) -> NDArray[np.int32]:
        """int32, the type of each message of the sampled flows, -1 where it is not in the sample."""
        known, wanted = content_hashes(self.sample.view), content_hashes(self.sample.flows.view)
        if not len(known):
            return np.full(len(wanted), -1, np.int32)
        order = np.argsort(known, kind="stable")
        place = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
        return np.where(known[place] == wanted, self.type_of_row[place], -1).astype(np.int32)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All typed rows together, then the largest types by themselves."""
        return tuple(self._groups())

    def _groups(self) -> Iterator[Group]:
        counts = np.bincount(self.type_of_row[self.type_of_row >= 0], minlength=self.n_types)
        present = np.flatnonzero(counts)
        if len(present):
            yield self._group(tuple(int(t) for t in present), self.type_of_row >= 0)
        if len(present) < 2:
            return
        largest = [t for t in np.argsort(-counts, kind="stable") if counts[t] >= SMALLEST_GROUP][:MOST_GROUPS]
        for t in largest:
            yield self._group((int(t),), self.type_of_row == t)

    def _group(self, types: tuple[int, ...], chosen: NDArray[np.bool_]) -> Group:
        held = self.sample.held_out
        return Group(types, np.flatnonzero(chosen & ~held), np.flatnonzero(chosen & held))


def front_bytes(view: MessageView) -> NDArray[np.uint8]:
    """Return the first FRONT + WIDEST bytes of each message as a matrix, zero-filled."""
    matrix: NDArray[np.uint8] = _front(view.data, view.starts, view.lengths, FRONT + WIDEST)
    return matrix


def content_hashes(view: MessageView) -> NDArray[np.uint64]:
    """Return a 64-bit FNV-1a hash of each message's bytes."""
    hashes: NDArray[np.uint64] = _hashes(view.data, view.starts, view.lengths)
    return hashes


def numbers(matrix: NDArray[np.uint8], offset: int, width: int, little: bool) -> NDArray[np.uint64]:
    """Return the ``width`` (at most 8) bytes at this column of each row as an unsigned number."""
    value: NDArray[np.uint64] = _numbers(np.ascontiguousarray(matrix[:, offset : offset + width]), little)
    return value


@njit(cache=True, nogil=True)
def _numbers(octets, little):  # type: ignore[no-untyped-def]
    count, width = octets.shape
    values = np.zeros(count, np.uint64)
    for row in range(count):
        value = np.uint64(0)
        for i in range(width):
            value = (value << np.uint64(8)) | np.uint64(octets[row, width - 1 - i if little else i])
        values[row] = value
    return values


@njit(cache=True, nogil=True)
def _front(data, starts, lengths, width):  # type: ignore[no-untyped-def]
    matrix = np.zeros((len(starts), width), np.uint8)
    for row in range(len(starts)):
        for i in range(min(width, lengths[row])):
            matrix[row, i] = data[starts[row] + i]
    return matrix


@njit(cache=True, nogil=True)
def _hashes(data, starts, lengths):  # type: ignore[no-untyped-def]
    hashes = np.zeros(len(starts), np.uint64)
    for row in range(len(starts)):
        value = np.uint64(14695981039346656037)
        for i in range(starts[row], starts[row] + lengths[row]):
            value = (value ^ np.uint64(data[i])) * np.uint64(1099511628211)
        hashes[row] = value
    return hashes
