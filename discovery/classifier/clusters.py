"""
Names for unknown protocols that hold across captures.

The signature of a group is the histogram of its byte values at each of the first offsets: counts, which do not depend
on the order of messages. Two groups are of one protocol where their histograms overlap enough, on average over
the offsets
where at least one of them is not uniform. The specification's id is no such name: two captures of a protocol hold
different types of messages, and one more type is another structure.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..errors import InputError, LimitError

OFFSETS = 16
KEPT = 8  # most frequent values of an offset
SCALE = 255
SAME = 0.55  # overlap at which two groups count as one protocol
MAX_CLUSTERS = 4096
MAX_FILE = 32 << 20

Signature = tuple[tuple[tuple[int, int], ...], ...]
"""Per offset, (value, share of 255) of its most frequent values, most frequent first; 256 is behind the end."""


def signature_of(view: MessageView) -> Signature:
    """Return the signature of some messages."""
    front, exists = view.front(OFFSETS)
    return signature_of_front(np.where(exists, front.astype(np.int64), 256))


def signature_of_front(values: NDArray[np.int64]) -> Signature:
    """Return the signature of messages whose first bytes are the rows of ``values``, 256 behind the end."""
    return tuple(_frequent(values[:, column]) for column in range(OFFSETS))


def _frequent(values: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    counts = np.bincount(values, minlength=257)
    order = np.lexsort((np.arange(257), -counts))[:KEPT]
    total = max(len(values), 1)
    return tuple((int(v), int(counts[v]) * SCALE // total) for v in order if counts[v] * SCALE >= total)


def overlap(one: Signature, two: Signature) -> float:
    """Return the mean share that the histograms of two groups have in common, offsets weighed by how much they say."""
    total = weight = 0.0
    for here, there in zip(one, two, strict=True):
        other = dict(there)
        says = max(max((s for _, s in side), default=0) for side in (here, there)) / SCALE
        total += says * sum(min(share, other.get(value, 0)) for value, share in here) / SCALE
        weight += says
    return total / weight if weight else 0.0


def name_of(signature: Signature) -> str:
    """Return the name that a group gives the protocol it founds."""
    return "unknown-" + hashlib.sha256(json.dumps(signature).encode()).hexdigest()[:12]


@dataclass
class UnknownClusters:
    """
    The unknown protocols met so far.

    Attributes:
        known: name → signature of the group that founded it; what joins later does not move it, so that names do not
            depend on what was seen in between.
    """

    known: dict[str, Signature] = field(default_factory=dict)

    def name(self, view: MessageView) -> str:
        """
        Return the name of the protocol that these messages are of, a new one where they are like none before.

        Raises:
            LimitError: there are ``MAX_CLUSTERS`` already.
        """
        return self.name_signature(signature_of(view))

    def name_signature(self, signature: Signature) -> str:
        """Return the name of the protocol that messages with this signature are of."""
        best, score = max(
            ((n, overlap(s, signature)) for n, s in sorted(self.known.items())), key=_score, default=("", 0.0)
        )
        if score >= SAME:
            return best
        if len(self.known) >= MAX_CLUSTERS:
            raise LimitError(f"{MAX_CLUSTERS} unknown protocols", hint="begin another store")
        name = name_of(signature)
        self.known[name] = signature
        return name

    def write(self, path: Path) -> None:
        """Write the store as JSON."""
        path.write_text(json.dumps({"version": 1, "clusters": self.known}, sort_keys=True), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> UnknownClusters:
        """
        Read a store.

        Raises:
            InputError: it is not one. LimitError: it is larger than ``MAX_FILE``.
        """
        try:
            if path.stat().st_size > MAX_FILE:
                raise LimitError("too large a store of unknown protocols", where=str(path))
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls({str(name): _checked(signature) for name, signature in document["clusters"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a store of unknown protocols: {error}", where=str(path)) from error


def _score(one: tuple[str, float]) -> float:
    return one[1]


def _checked(signature: Any) -> Signature:
    made = tuple(tuple((int(value), int(share)) for value, share in column) for column in signature)
    if len(made) != OFFSETS:
        raise ValueError(f"a signature of {len(made)} offsets")
    return made
