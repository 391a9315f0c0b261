"""
Distributions that moved between two sets of messages: a test with a stated bound, on counts alone.

For counts of n independent draws over k values, the L1 distance of observed shares to the true ones is above
sqrt(2 (k ln 2 + ln(1/p)) / n) with probability p at most (Weissman et al., 2003, "Inequalities for the L1 deviation of
the empirical distribution"); k is taken to be the number of values that occur. Two windows differ where their observed
distance is above the sum of both bounds by more than ``TOLERANCE``; ``ERROR`` is shared by all that is tested. Messages
of a flow are no independent draws, which the tolerance has to cover.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spec import Element, Field, ProtocolSpec
from .statistics import MessageStatistics

ERROR = 0.01
TOLERANCE = 0.25
QUANTA = 256  # distances and bounds are compared as multiples of 1/256
RESTLESS = frozenset(
    {"counter", "timestamp", "checksum", "identifier", "echo", "address", "payload", "opaque", "text", "padding"}
)
"""Meanings whose values are expected to differ from window to window."""
_SHOWN = 4


@dataclass(frozen=True)
class Moved:
    """
    A distribution that moved.

    Attributes:
        path: ``lengths``, ``directions``, or ``byte N`` for the offset from the front.
        before, after: the shares of the values that differ most. distance: L1, of the observed shares, from 0 to 2.
        bound: what sampling alone explains. counts: messages of both windows. values: that occur.
    """

    path: str
    before: str
    after: str
    distance: float
    bound: float
    counts: tuple[int, int]
    values: int

    def evidence(self) -> dict[str, Any]:
        """Return the figures of the test."""
        return {
            "test": "L1 distance of shares, Weissman bound", "distance": self.distance, "bound": self.bound,
            "tolerance": TOLERANCE, "error": ERROR, "messages": list(self.counts), "values": self.values,
        }  # fmt: skip


def moved(before: MessageStatistics, after: MessageStatistics, spec: ProtocolSpec) -> list[Moved]:
    """
    Return which distributions moved: lengths, directions, and the bytes of fields that keep their place.

    Args:
        spec: read from ``after``: says which offsets hold fields whose values are expected to move.
    """
    if before.empty or after.empty:
        return []
    pairs = [("lengths", before.lengths.exact, after.lengths.exact)]
    pairs.append(("directions", before.directions.counts, after.directions.counts))
    pairs += [(f"byte {at}", before.bytes.at(at), after.bytes.at(at)) for at in steady_offsets(spec)]
    tested = [(path, one, other) for path, one, other in pairs if one.sum() and other.sum()]
    found = (_compared(path, one, other, ERROR / (2 * len(tested))) for path, one, other in tested)
    return [each for each in found if each is not None]


def steady_offsets(spec: ProtocolSpec) -> list[int]:
    """Return the offsets that lie, in every type that reaches them, in fixed fields whose values are to stay alike."""
    steady: set[int] = set()
    restless: set[int] = set()
    for message_type in spec.types:
        end = 0
        for offset, size, semantic in _fixed(message_type.elements):
            end = offset + size
            (restless if semantic in RESTLESS else steady).update(range(offset, end))
        restless.update(range(end, 512))  # what follows varies in place
    return sorted(each for each in steady - restless if each < 512)


def _fixed(elements: list[Element]) -> Iterator[tuple[int, int, str]]:
    """Yield (offset, bytes, meaning) of the fields before the first that varies in width."""
    offset = 0
    for element in elements:
        if not isinstance(element, Field) or element.width.kind != "fixed":
            return
        yield offset, element.width.size, element.semantic
        offset += element.width.size


def _compared(path: str, one: NDArray[np.int64], other: NDArray[np.int64], error: float) -> Moved | None:
    counts = (int(one.sum()), int(other.sum()))
    shares = one / counts[0], other / counts[1]
    apart = np.abs(shares[0] - shares[1])
    values = int(np.count_nonzero(one + other))
    bound = sum(math.sqrt(2 * (values * math.log(2) + math.log(1 / error)) / n) for n in counts)
    # Decided in whole quanta, the distance rounded down and the bound up: no last bit of a float decides.
    distance_q, bound_q = math.floor(float(apart.sum()) * QUANTA), math.ceil(bound * QUANTA)
    if distance_q <= bound_q + TOLERANCE * QUANTA:
        return None
    most = np.argsort(-apart, kind="stable")[:_SHOWN]
    told = [", ".join(f"{v}: {100 * share[v]:.1f} %" for v in most.tolist()) for share in shares]
    return Moved(path, told[0], told[1], distance_q / QUANTA, bound_q / QUANTA, counts, values)
