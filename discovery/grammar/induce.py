"""
Structure from sequences alone: merging of a grammar that begins with one rule a sequence.

Stolcke and Omohundro, "Inducing probabilistic grammars by Bayesian model merging", ICGI 1994, with a description
length in place of their prior: bits of the rules plus bits of the derivations. Moves: fold a run of symbols into a
non-terminal (new, or one that exists: repeats and recursion come from there), or merge two non-terminals (choices).
The best move is taken until none shortens the description or the budget is spent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import log2

from .rules import Rule

Counts = dict[Rule, float]
Move = tuple[int, tuple[int, ...]]  # fold the run into this left side

_LONGEST_RUN = 4
_RUNS = 12  # candidate runs weighed at each step
_QUANTUM = 256


class Induction:
    """
    A grammar that shrinks move by move.

    Args:
        sequences: distinct token tuples; weights: of each; terminals: token ids there are.
        budget: symbols that may be touched; what is found by then is the result.

    Attributes:
        counts: rule → how often the derivations use it; left side 0 is the start.
    """

    def __init__(
        self, sequences: Sequence[tuple[int, ...]], weights: Sequence[float], terminals: int, budget: int
    ) -> None:
        self.counts: Counts = {(0, s): float(w) for s, w in zip(sequences, weights, strict=True)}
        self._terminals = terminals
        self._budget = budget
        self._fresh = 1
        self._weighed: tuple[Counts | None, int, int] = (None, 0, 0)

    def run(self) -> Counts:
        """Take moves while they shorten the description; return the counts."""
        length = self._length(self.counts)
        while self._budget > 0:
            best: Counts | None = None
            for counts in self._neighbours():
                shorter = self._length(counts)
                if shorter < length:
                    length, best = shorter, counts
                if self._budget <= 0:
                    break
            if best is None:
                break
            self.counts = best
            self._fresh = 1 + max((left for left, _ in best), default=0)
        return self.counts

    def _length(self, counts: Counts) -> int:
        """Return the description length in 1/256 bits; of the grammar weighed last it is known, and costs the same."""
        last, symbols, length = self._weighed
        if counts is not last:
            symbols, length = _described(counts, self._terminals)
            self._weighed = counts, symbols, length
        self._budget -= symbols
        return length

    def _neighbours(self) -> Iterator[Counts]:
        lefts = sorted({left for left, _ in self.counts})
        for left, run in self._folds(lefts):
            folded = fold(self.counts, left, run)
            if folded is not None:
                yield folded
                yield self._closed(folded, left)
        for i, kept in enumerate(lefts):
            for gone in lefts[i + 1 :]:
                merged = merge(self.counts, kept, gone)
                if merged is not None:
                    yield merged

    def _closed(self, counts: Counts, left: int) -> Counts:
        """Return what repeats and nesting make of a fold: its own rules folded in turn, while that is shorter."""
        length = self._length(counts)
        runs = _own_runs(counts, left)
        while runs and self._budget > 0:
            folded = self._exhausted(counts, left, runs.pop(0))
            if folded is not None and (shorter := self._length(folded)) < length:
                counts, length = folded, shorter
                runs = _own_runs(counts, left)
        return counts

    def _exhausted(self, counts: Counts, left: int, run: tuple[int, ...]) -> Counts | None:
        """Return the fold repeated until the run no longer occurs: of nesting, only the whole is shorter."""
        result = None
        while self._budget > 0 and (folded := fold(counts, left, run)) is not None:
            self._budget -= sum(len(right) for _, right in folded)
            result = counts = folded
        return result

    def _folds(self, lefts: list[int]) -> Iterator[Move]:
        for left, right in list(self.counts):
            if len(right) <= _LONGEST_RUN:
                yield left, right
        gain: Counter[tuple[int, ...]] = Counter()
        for _, right in self.counts:
            for size in range(2, _LONGEST_RUN + 1):
                for start in range(len(right) - size + 1):
                    gain[right[start : start + size]] += size - 1
        self._budget -= sum(len(right) for _, right in self.counts) * _LONGEST_RUN
        for run, _ in sorted(gain.items(), key=lambda item: (-item[1], item[0]))[:_RUNS]:
            for left in (*lefts, self._fresh):
                yield left, run


def _described(counts: Counts, terminals: int) -> tuple[int, int]:
    """Return the symbols of the rules, and the description length in 1/256 bits."""
    totals: dict[int, float] = {}
    symbols = 0
    for (left, right), count in counts.items():
        totals[left] = totals.get(left, 0) + count
        symbols += len(right) + 1
    model = symbols * log2(terminals + len(totals) + 1)
    data = sum(n * log2(n) for n in totals.values() if n > 0) - sum(c * log2(c) for c in counts.values() if c > 0)
    return symbols, round((model + data) * _QUANTUM)


def _own_runs(counts: Counts, left: int) -> list[tuple[int, ...]]:
    """Return the runs that make a non-terminal repeat or nest: itself twice, and its short rules that hold it."""
    nested = [right for head, right in counts if head == left and ~left in right and len(right) <= _LONGEST_RUN]
    return [(~left, ~left), *sorted(right for right in nested if right != (~left, ~left))]


def fold(counts: Counts, left: int, run: tuple[int, ...]) -> Counts | None:
    """Return the grammar with the run replaced by ``left`` and a rule left → run; None if nothing changes."""
    folded: Counts = {}
    uses = counts.get((left, run), 0.0)
    changed = 0.0
    for rule, count in counts.items():
        head, right = rule
        if right == run and head == left:
            continue
        shorter, times = _replace(right, run, ~left)
        if shorter == (~head,):  # the rule says what left → run says
            changed += count
            continue
        kept = (head, shorter) if times else rule
        folded[kept] = folded.get(kept, 0.0) + count
        changed += times * count
    if not changed:
        return None
    folded[left, run] = folded.get((left, run), 0.0) + uses + changed
    return None if _unary_cycle(folded) else folded


def merge(counts: Counts, kept: int, gone: int) -> Counts | None:
    """Return the grammar with one non-terminal in place of two; None where a unary cycle would come of it."""
    merged: Counts = {}
    for (head, right), count in counts.items():
        head = kept if head == gone else head
        right = tuple(~kept if symbol == ~gone else symbol for symbol in right)
        if right != (~head,):
            merged[head, right] = merged.get((head, right), 0.0) + count
    return None if _unary_cycle(merged) else merged


def _replace(right: tuple[int, ...], run: tuple[int, ...], by: int) -> tuple[tuple[int, ...], int]:
    first, size = run[0], len(run)
    if first not in right:
        return right, 0
    out: tuple[int, ...] = ()
    done = times = 0
    for at in range(right.index(first), len(right) - size + 1):
        if right[at] == first and at >= done and right[at : at + size] == run:
            out += (*right[done:at], by)
            done = at + size
            times += 1
    return (out + right[done:], times) if times else (right, 0)


def _unary_cycle(counts: Counts) -> bool:
    above: dict[int, set[int]] = {}
    for head, right in counts:
        if len(right) == 1 and right[0] < 0:
            above.setdefault(~right[0], set()).add(head)
    for first in above:
        seen: set[int] = set()
        todo = list(above[first])
        while todo:
            node = todo.pop()
            if node == first:
                return True
            if node not in seen:
                seen.add(node)
                todo.extend(above.get(node, ()))
    return False
