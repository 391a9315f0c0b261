"""The sequence of message types in flows: a first-order chain, learned and applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import log2

import numpy as np
from numpy.typing import NDArray

from ..batch import DIRECTION_NAMES
from ..spec import SequenceModel, Transition

FIRST, LAST = "start", "end"
_STRENGTH = 2.0  # pseudo-transitions of each source, spread as targets are overall


def learn_sequence(
    flow: NDArray[np.uint64],
    types: Sequence[str],
    direction: NDArray[np.int8],
    flow_messages: int,
) -> SequenceModel:
    """
    Count which type follows which.

    Args:
        flow: of each message, messages of one flow in a row and in their order; types: type names; direction: int8.
        flow_messages: a flow of so many messages may have been cut, and says nothing of how flows end.

    Returns:
        transitions, sorted; ``direction`` is that of the target. ``start`` and ``end`` are sources and targets of
        their own; messages without a flow (flow 0) neither start nor end one.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    changes = (np.flatnonzero(np.diff(flow)) + 1).tolist()
    borders = [0, *changes, len(flow)] if len(flow) else []
    for start, end in pairwise(borders):
        whole = bool(flow[start] != 0)
        before = FIRST if whole else None
        for row in range(start, end):
            if before is not None:
                counts[before, types[row], DIRECTION_NAMES[direction[row]]] += 1
            before = types[row]
        if whole and before is not None and end - start < flow_messages:
            counts[before, LAST, "unknown"] += 1
    return SequenceModel(
        transitions=[
            Transition.model_validate({"source": s, "target": t, "direction": d, "count": n})
            for (s, t, d), n in sorted(counts.items())
        ]
    )


class TransitionLikelihood:
    """
    Probabilities of a sequence model, smoothed so that what was never seen stays possible.

    P(target | source) = (count + 2 P(target)) / (count of source + 2), P(target) add-one over the states seen and one
    more for all others; a state is a type and a direction (Chen and Goodman 1999 on interpolation).
    """

    def __init__(self, model: SequenceModel) -> None:
        self._pairs: Counter[tuple[str, str, str]] = Counter()
        self._sources: Counter[str] = Counter()
        self._targets: Counter[tuple[str, str]] = Counter()
        for t in model.transitions:
            self._pairs[t.source, t.target, t.direction] += t.count
            self._sources[t.source] += t.count
            self._targets[t.target, t.direction] += t.count
        self._total = sum(self._targets.values()) + len(self._targets) + 1

    def bits(self, source: str, target: str, direction: str) -> float:
        """Return -log2 of the probability that a message of type ``target`` follows one of type ``source``."""
        overall = (self._targets[target, direction] + 1) / self._total
        seen = self._pairs[source, target, direction] + _STRENGTH * overall
        return -log2(seen / (self._sources[source] + _STRENGTH))

    def bits_of_flow(self, types: Sequence[str], directions: Sequence[int], *, from_start: bool = True) -> list[float]:
        """
        Return the bits of each message of a flow, given the one before it.

        Args:
            types: names in order; directions: 0, 1 or 2, as in ``MessageBatch``.
            from_start: whether the first message opens the flow; otherwise it costs nothing.
        """
        out: list[float] = []
        before = FIRST if from_start else None
        for name, direction in zip(types, directions, strict=True):
            out.append(0.0 if before is None else self.bits(before, name, DIRECTION_NAMES[direction]))
            before = name
        return out


def sequence_log_probability(model: SequenceModel, types: Sequence[str], directions: Sequence[int]) -> float:
    """Return log2 of the probability of a flow's types and directions, from its start; its end is left open."""
    return -sum(TransitionLikelihood(model).bits_of_flow(types, directions))
