"""A grammar whose rules have at most two symbols on the right, in the tables that a chart parser reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from .rules import Rule

NO_RULE = -1


@dataclass(frozen=True)
class Binarised:
    """
    Rules of at most two symbols on the right; symbols are terminals, then non-terminals, then suffixes.

    Attributes:
        start: symbol; terminals, symbols: how many there are.
        unary: (head, rule) by child, ``unary_first[c] : unary_first[c + 1]``; rank: children below their heads.
        binary: (head, right, rule) by left child, likewise; rule -1 is a suffix's own, of probability 1.
    """

    start: int
    terminals: int
    symbols: int
    rank: NDArray[np.int64]
    unary_first: NDArray[np.int64]
    unary: NDArray[np.int64]
    binary_first: NDArray[np.int64]
    binary: NDArray[np.int64]


def binarise(rules: Sequence[Rule], lefts: int, terminals: int) -> Binarised:
    """
    Split right sides of more than two symbols by suffixes, which rules share.

    Raises:
        SpecError: a unary rule leads back to its left side, or a right side is empty.
    """
    suffixes: dict[tuple[int, ...], int] = {}
    unary: list[tuple[int, int, int]] = []
    binary: list[tuple[int, int, int, int]] = []

    def symbol_of(right: tuple[int, ...]) -> int:
        if len(right) == 1:
            return right[0]
        if right not in suffixes:
            suffixes[right] = terminals + lefts + len(suffixes)
            binary.append((right[0], suffixes[right], symbol_of(right[1:]), NO_RULE))
        return suffixes[right]

    for number, (left, right) in enumerate(rules):
        symbols = tuple(s if s >= 0 else terminals + ~s for s in right)
        if not symbols:
            raise SpecError("a rule has an empty right side", where="grammar")
        if len(symbols) == 1:
            unary.append((symbols[0], terminals + left, number))
        else:
            binary.append((symbols[0], terminals + left, symbol_of(symbols[1:]), number))
    count = terminals + lefts + len(suffixes)
    unary_first, unary_rows = _by_first(unary, 3, count)
    binary_first, binary_rows = _by_first(binary, 4, count)
    rank = _ranks(unary, count)
    return Binarised(terminals, terminals, count, rank, unary_first, unary_rows, binary_first, binary_rows)


def _by_first(rows: Sequence[tuple[int, ...]], width: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    table = np.array(sorted(rows), np.int64).reshape(len(rows), width)
    return np.searchsorted(table[:, 0], np.arange(count + 1)), np.ascontiguousarray(table[:, 1:])


def _ranks(unary: Sequence[tuple[int, int, int]], count: int) -> NDArray[np.int64]:
    rank = np.zeros(count, np.int64)
    for _ in range(len(unary) + 1):
        raised = False
        for child, head, _ in unary:
            if rank[head] <= rank[child]:
                rank[head] = rank[child] + 1
                raised = True
        if not raised:
            return rank
    raise SpecError("a unary rule leads back to its own left side", where="grammar")
