"""RuleSet: a probabilistic context-free grammar over integers, the form in which it is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..spec import Grammar, GrammarRule
from ..spec.base import QUANTUM

Symbol = int  # a terminal t >= 0, or a non-terminal n written ~n
Rule = tuple[int, tuple[Symbol, ...]]  # the index of the left side, and a right side of one symbol or more


@dataclass
class RuleSet:
    """
    Rules without empty right sides and without unary cycles; non-terminal 0 is the start.

    Attributes:
        names: of the non-terminals.
        rules: (left, right), each once.
        probabilities: float64, one a rule; those of one left side sum to 1.
        constraints: rule → names of claims that relate the values of its fields (lengths, counts, checksums, keys).
    """

    names: list[str]
    rules: list[Rule]
    probabilities: NDArray[np.float64]
    constraints: dict[Rule, list[str]] = field(default_factory=dict)

    @classmethod
    def uniform(cls, names: Sequence[str], rules: Iterable[Rule], seed: int = 0) -> RuleSet:
        """
        Return the rules with nearly equal probabilities for each left side.

        A seeded tenth of noise breaks ties between symbols that EM could not tell apart from an equal start.
        """
        distinct = list(dict.fromkeys(rules))
        noise = np.random.Generator(np.random.PCG64(seed)).integers(0, 1 << 16, len(distinct)) / (1 << 16)
        return cls(list(names), distinct, by_left(distinct, len(names), 1.0 + 0.1 * noise))

    @classmethod
    def from_spec(cls, grammar: Grammar, vocabulary: Mapping[str, int]) -> RuleSet:
        """
        Return the integer form of a specification's grammar over token ids.

        Raises:
            SpecError: a symbol is neither a left side nor in the vocabulary, a right side is empty, or the start has
                no rule.
        """
        lefts = dict.fromkeys(rule.left for rule in grammar.rules)
        if grammar.start not in lefts:
            raise SpecError(f"no rule for the start symbol '{grammar.start}'", where="grammar")
        names = sorted(lefts, key=lambda left: left != grammar.start)
        symbols = {**vocabulary, **{name: ~i for i, name in enumerate(names)}}
        rules: list[Rule] = []
        for rule in grammar.rules:
            unknown = set(rule.right) - symbols.keys()
            if unknown or not rule.right:
                what = f"right side of '{rule.left}' is empty or has unknown symbols {sorted(unknown)}"
                raise SpecError(what, where="grammar")
            rules.append((~symbols[rule.left], tuple(symbols[symbol] for symbol in rule.right)))
        return cls(names, rules, np.array([rule.probability for rule in grammar.rules], np.float64))

    def to_rules(self, vocabulary: Sequence[str]) -> list[GrammarRule]:
        """Return the rules by name, probabilities in whole 65536ths that sum to 1 for each left side."""
        units = quantised(self.rules, self.probabilities, len(self.names))
        named = [
            GrammarRule(
                left=self.names[left],
                right=[vocabulary[s] if s >= 0 else self.names[~s] for s in right],
                probability=float(unit) / QUANTUM,
                constraints=self.constraints.get((left, right), []),
            )
            for (left, right), unit in zip(self.rules, units, strict=True)
        ]
        order = sorted(range(len(named)), key=lambda i: (self.rules[i][0], -units[i], named[i].right))
        return [named[i] for i in order]


def by_left(rules: Sequence[Rule], lefts: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights divided by the sum over their left side; a left side without weight gets equal shares."""
    left = np.array([rule[0] for rule in rules], np.int64)
    total = np.bincount(left, weights, lefts)
    size = np.bincount(left, minlength=lefts)
    empty = total <= 0
    return np.asarray(np.where(empty[left], 1.0 / size[left], weights / np.where(empty, 1.0, total)[left]), np.float64)


def quantised(rules: Sequence[Rule], probabilities: NDArray[np.float64], lefts: int) -> NDArray[np.int64]:
    """Return units of 1/65536: at least one for each rule, 65536 in all for each left side (largest remainders)."""
    units = np.zeros(len(rules), np.int64)
    left = np.array([rule[0] for rule in rules], np.int64)
    order = np.argsort(left, kind="stable")
    borders = np.searchsorted(left[order], np.arange(lefts + 1)).tolist()
    for first, last in pairwise(borders):
        mine = order[first:last]
        if last - first == 1:
            units[mine] = QUANTUM
        elif last > first:
            units[mine] = _apportion(probabilities[mine])
    return units


def _apportion(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    if len(shares) > QUANTUM:
        raise SpecError(f"{len(shares)} rules for one left side, at most {QUANTUM}", where="grammar")
    exact = shares * (QUANTUM - len(shares))
    units = np.floor(exact).astype(np.int64)
    # remainders are rounded so that the last bit of a sum cannot pick another winner
    order = np.lexsort((np.arange(len(shares)), -np.round(exact - units, 6)))
    units[order[: QUANTUM - len(shares) - int(units.sum())]] += 1
    return units + 1
