"""Exact support of claims: in how many messages a constraint holds, and the first messages against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .parser import ParsedBatch
from .spec import Element, Field, MessageRef, Switch
from .validator.constraints import CHECKS
from .validator.values import Leaves

KEPT = 3  # counter-examples of a claim: those with the lowest capture hash and number, so that any order keeps the same


@dataclass(frozen=True)
class ClaimCount:
    """
    A commutative monoid under ``merge``.

    Attributes:
        support, trials: fields in which the claim holds, of all it is about; a message counts as often as it occurred.
        against: (capture, number) of at most three messages, the lowest.
    """

    support: int = 0
    trials: int = 0
    against: tuple[tuple[str, int], ...] = ()

    def merge(self, other: ClaimCount) -> ClaimCount:
        """Return the count over both parts."""
        against = tuple(sorted({*self.against, *other.against})[:KEPT])
        return ClaimCount(self.support + other.support, self.trials + other.trials, against)

    def counter_examples(self) -> list[MessageRef]:
        """Return the messages against it, as evidence refers to them."""
        return [MessageRef.at(capture, number) for capture, number in self.against]


def merged(one: Mapping[str, ClaimCount], other: Mapping[str, ClaimCount]) -> dict[str, ClaimCount]:
    """Return the counts of both, claim by claim."""
    nothing = ClaimCount()
    return {claim: one.get(claim, nothing).merge(other.get(claim, nothing)) for claim in sorted({*one, *other})}


def count_claims(
    parsed: ParsedBatch, weights: NDArray[np.int64], captures: tuple[str, ...], claims: Iterable[str]
) -> dict[str, ClaimCount]:
    """
    Check the constraints that single messages can break, on messages that fit their type.

    Args:
        weights: int64, how often each message occurred; captures: capture hash by source index.
        claims: only these (``<kind>:<type>.<field>``, of a group ``<kind>:<group>.<field>``).
    """
    wanted = set(claims)
    counts: dict[str, ClaimCount] = {}
    for index, symbol in enumerate(parsed.symbols):
        if symbol.field is None:
            continue
        leaves: Leaves | None = None
        for constraint in symbol.field.constraints:
            claim = f"{constraint.kind}:{symbol.type or symbol.group}.{symbol.name}"
            if claim not in wanted or constraint.kind not in CHECKS:
                continue
            leaves = leaves or Leaves(parsed, symbol, symbol.field, _fitting(parsed, index))
            holds = CHECKS[constraint.kind](leaves, constraint) if len(leaves) else None
            if holds is not None:
                found = _count(leaves, holds, weights, captures)
                counts[claim] = counts.get(claim, ClaimCount()).merge(found)
    return counts


def _fitting(parsed: ParsedBatch, symbol: int) -> NDArray[np.int64]:
    leaves = parsed.leaves_of(symbol)
    return leaves[parsed.explained[parsed.leaf_row[leaves]]]


def _count(
    leaves: Leaves, holds: NDArray[np.bool_], weights: NDArray[np.int64], captures: tuple[str, ...]
) -> ClaimCount:
    weight = weights[leaves.rows]
    total = int(weight.sum())
    if bool(holds.all()):
        return ClaimCount(total, total)
    view = leaves.parsed.view
    broken = np.unique(leaves.rows[~holds])
    lowest = broken[np.lexsort((view.number[broken], view.source[broken]))[:KEPT]]
    against = ((captures[int(view.source[r])] if captures else "", int(view.number[r])) for r in lowest)
    return ClaimCount(int(weight[holds].sum()), total, tuple(sorted(against)))


def without(elements: Sequence[Element], owner: str, claims: Set[str]) -> list[Element]:
    """Return the elements of a type or group without the constraints that these claims are about."""
    return [_without(element, owner, claims) for element in elements]


def _without(element: Element, owner: str, claims: Set[str]) -> Element:
    if isinstance(element, Switch):
        cases = [c.model_copy(update={"elements": without(c.elements, owner, claims)}) for c in element.cases]
        return element.model_copy(update={"cases": cases, "default": without(element.default, owner, claims)})
    update: dict[str, object] = {"elements": without(element.elements, owner, claims)}
    if isinstance(element, Field):
        kept = [c for c in element.constraints if f"{c.kind}:{owner}.{element.name}" not in claims]
        update["constraints"] = kept
    return element.model_copy(update=update)
