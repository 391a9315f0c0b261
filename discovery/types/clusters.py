"""Clusters: what divides messages without a key near their front: a byte further in or near the end, or the length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import Guard, LengthGuard, ValueGuard
from .columns import CANDIDATES, MISSING, Columns, classes_of, explained_bits
from .keys import KeyCandidate, Split

DEEP = 256  # bytes from the front
END = 16  # bytes from the end
MIN_MESSAGES = 16
MIN_BITS_A_MESSAGE = 2.0
MAX_VALUES = 32
RIVALS = 4
MIN_COVER = 0.9  # share of messages whose value recurs
_VALUES = 0.5  # bits a message that each doubling of the values counts for


@dataclass(frozen=True)
class Cluster:
    """Messages that share a value: ``stem`` is fit for a name, ``label`` is what a person reads."""

    stem: str
    label: str
    guard: Guard


@dataclass(frozen=True)
class Division:
    """
    A number that each message has, and what divides by it.

    Attributes:
        what: "byte" or "length".
        offset: of the byte; negative from the end of the message.
        codes: (n,) int16, the index of the message's value, MISSING where it does not recur.
        values: those that recur, ascending.
        skip: the column of structure that the byte is, -1 where it is none.
        bits: what the division explains; score: of that a message, less what its values count for.
        rivals: bytes that explain less, best first.
    """

    what: str
    offset: int
    codes: NDArray[np.int16]
    values: list[int]
    skip: int
    bits: float = 0.0
    score: float = 0.0
    rivals: tuple[KeyCandidate, ...] = ()

    def key(self) -> Split | None:
        """Return the division as a key and its values; None for a length or a byte counted from the end."""
        if self.what == "length" or self.offset < 0:
            return None
        rows, key = np.arange(len(self.codes), dtype=np.int64), self.candidate()
        children = {value: Split(rows[self.codes == code]) for code, value in self.indexed()}
        return Split(rows, [key, *self.rivals], key, children)

    def candidate(self) -> KeyCandidate:
        """Return the division as a byte weighed as a key."""
        return KeyCandidate(self.offset, len(self.values), self.bits, self.score)

    def indexed(self) -> list[tuple[int, int]]:
        """Return (code, value) of the values that recur."""
        present = np.unique(self.codes[self.codes != MISSING]).tolist()
        return list(zip(present, self.values, strict=True))

    def clusters(self) -> list[Cluster]:
        """Return a cluster for each value."""
        if self.what == "length":
            return [
                Cluster(f"_{value}_bytes", f"{value} bytes", LengthGuard(minimum=value, maximum=value))
                for value in self.values
            ]
        clusters = []
        for value in self.values:
            guard = ValueGuard(offset=self.offset, width=1, values=[bytes([value])])
            clusters.append(Cluster(f"{value:02x}", f"[{self.offset}]=0x{value:02x}", guard))
        return clusters


def find_division(view: MessageView) -> Division | None:
    """
    Return the division that explains most of the structure; None where nothing explains enough.

    Structure is the classes of the bytes that all messages have: those from the front, and the last ones. The length
    explains nothing by itself, since only such bytes count.
    """
    if len(view) < MIN_MESSAGES:
        return None
    ranked = _ranked(view)
    if not ranked or ranked[0].score < MIN_BITS_A_MESSAGE:
        return None
    rivals = [other.candidate() for other in ranked[1:] if other.what == "byte" and other.offset >= 0]
    return replace(ranked[0], rivals=tuple(rivals[:RIVALS]))


def _ranked(view: MessageView) -> list[Division]:
    """Return all divisions, the one that explains most first."""
    structure, divisions = _structure(view), list(_divisions(view))
    if not divisions or not len(structure.classes):
        return []
    codes = np.stack([division.codes for division in divisions])
    bits = explained_bits(codes, np.array([division.skip for division in divisions], np.int64), structure)
    values = np.array([len(division.values) for division in divisions])
    score = np.round((bits / len(view) - _VALUES * np.log2(values)) * 256) / 256
    order = np.argsort(-score, kind="stable")
    return [replace(divisions[i], bits=float(bits[i]), score=float(score[i])) for i in order]


def _structure(view: MessageView) -> Columns:
    shortest = int(view.lengths.min())
    front, end = view.front(min(DEEP, shortest))[0], view.back(min(END, max(0, shortest - DEEP)))[0]
    values = np.ascontiguousarray(np.concatenate([front, end], axis=1).T.astype(np.int16))
    return Columns(values, np.ascontiguousarray(classes_of(values)), view.lengths, view.direction)


def _divisions(view: MessageView) -> Iterator[Division]:
    lengths, codes = np.unique(view.lengths, return_inverse=True)
    if len(lengths) <= MAX_VALUES:
        yield from _recurring("length", 0, codes.astype(np.int16), lengths.tolist(), -1)
    shortest = int(view.lengths.min())
    front, end = view.front(min(DEEP, shortest))[0], view.back(min(END, shortest))[0]
    for offset in range(CANDIDATES, front.shape[1]):
        yield from _bytes(offset, front[:, offset], offset)
    for place in range(end.shape[1]):
        offset = place - end.shape[1]
        deep = max(0, shortest - DEEP)  # bytes of the end that are structure of their own
        yield from _bytes(offset, end[:, place], min(DEEP, shortest) + deep + offset if -offset <= deep else -1)


def _bytes(offset: int, column: NDArray[np.uint8], skip: int) -> Iterator[Division]:
    values, codes = np.unique(column, return_inverse=True)
    if 1 < len(values) <= MAX_VALUES:
        yield from _recurring("byte", offset, codes.astype(np.int16), values.tolist(), skip)


def _recurring(what: str, offset: int, codes: NDArray[np.int16], values: list[int], skip: int) -> Iterator[Division]:
    """Yield the division by the values that recur, the others together, unless those are many."""
    counts = np.bincount(codes, minlength=len(values))
    kept = counts > 1
    if kept.sum() > 1 and counts[kept].sum() >= MIN_COVER * len(codes):
        together = np.where(kept[codes], codes, np.int16(MISSING)).astype(np.int16)
        recur = [value for value, keep in zip(values, kept.tolist(), strict=True) if keep]
        yield Division(what, offset, together, recur, skip)
