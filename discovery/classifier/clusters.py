"""
Names for unknown protocols that hold across captures.

The signature of a group is the histogram of its byte values at each of the first offsets: counts, which do not depend
on the order of messages. Two groups are of one protocol where their histograms overlap enough, on average over the
offsets, each weighed by how much it says. The specification's id is no such name: two captures of a protocol hold
different types of messages, and one more type is another structure.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..errors import InputError, LimitError

OFFSETS = 16
VALUES = 257  # of bytes, and behind the end
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
    counts = np.bincount(values, minlength=VALUES)
    order = np.lexsort((np.arange(VALUES), -counts))[:KEPT]
    total = max(len(values), 1)
    return tuple((int(v), int(counts[v]) * SCALE // total) for v in order if counts[v] * SCALE >= total)


class Founders:
    """Signatures side by side, to compare another one with all of them at once."""

    def __init__(self) -> None:
        self.count = 0
        self._shares = np.zeros((OFFSETS, VALUES, 0), np.uint8)
        self._most = np.zeros((OFFSETS, 0), np.int64)

    def add(self, signature: Signature) -> None:
        """Add one as the last."""
        if self.count == self._shares.shape[2]:
            room = max(self.count, 16)
            self._shares = np.pad(self._shares, ((0, 0), (0, 0), (0, room)))
            self._most = np.pad(self._most, ((0, 0), (0, room)))
        for offset, frequent in enumerate(signature):
            for value, share in frequent:
                self._shares[offset, value, self.count] = share
                self._most[offset, self.count] = max(self._most[offset, self.count], share)
        self.count += 1

    def overlaps(self, one: Signature) -> NDArray[np.float64]:
        """
        Return the mean share that its histograms have in common with those of each, offsets weighed by what they say.

        Sums of whole numbers, so that no order of adding them shows.
        """
        total, weight = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
        for offset, frequent in enumerate(one):
            values, shares = np.array(frequent, np.int64).reshape(-1, 2).T
            common = np.minimum(self._shares[offset, values, : self.count], shares[:, None]).sum(axis=0)
            says = np.maximum(self._most[offset, : self.count], shares.max(initial=0))
            total += says * common
            weight += says
        made: NDArray[np.float64] = total / np.maximum(weight * SCALE, 1)
        return made


def overlap(one: Signature, two: Signature) -> float:
    """Return the mean share that the histograms of two groups have in common, offsets weighed by what they say."""
    founders = Founders()
    founders.add(two)
    return float(founders.overlaps(one)[0])


def name_of(signature: Signature) -> str:
    """Return the name that a group gives the protocol it founds."""
    return "unknown-" + hashlib.sha256(json.dumps(signature).encode()).hexdigest()[:12]


class Names(Protocol):
    """Gives unknown protocols their names."""

    def name(self, view: MessageView) -> str:
        """Return the name of the protocol that these messages are of."""
        ...


@dataclass
class UnknownClusters:
    """
    The unknown protocols met so far.

    Attributes:
        known: name → signature of the group that founded it; what joins later does not move it, so that names do not
            depend on what was seen in between.
    """

    known: dict[str, Signature] = field(default_factory=dict)
    _founders: Founders = field(default_factory=Founders, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for signature in self.known.values():
            self._founders.add(signature)

    def name(self, view: MessageView) -> str:
        """
        Return the name of the protocol that these messages are of, a new one where they are like none before.

        Raises:
            LimitError: there are ``MAX_CLUSTERS`` already.
        """
        return self.name_signature(signature_of(view))

    def name_signature(self, signature: Signature) -> str:
        """Return the name of the protocol that messages with this signature are of."""
        found = self.find(signature)
        if found is not None:
            return found
        if len(self.known) >= MAX_CLUSTERS:
            raise LimitError(f"{MAX_CLUSTERS} unknown protocols", hint="begin another store")
        name = name_of(signature)
        self.add(name, signature)
        return name

    def find(self, signature: Signature) -> str | None:
        """Return the name of the protocol that messages with this signature are of, or None where it is a new one."""
        score = self._founders.overlaps(signature)
        most = score.max(initial=0.0)
        if most < SAME:
            name = name_of(signature)  # of random bytes no histogram is like another, its own included
            return name if name in self.known else None
        return min(name for name, each in zip(self.known, score, strict=True) if each == most)

    def add(self, name: str, signature: Signature) -> None:
        """Let a signature found the protocol of that name, which is a new one."""
        self.known[name] = signature
        self._founders.add(signature)

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


def _checked(signature: Any) -> Signature:
    made = tuple(tuple((int(value), int(share)) for value, share in column) for column in signature)
    inside = all(0 <= value < VALUES and 0 <= share <= SCALE for column in made for value, share in column)
    if len(made) != OFFSETS or not inside:
        raise ValueError("not a signature")
    return made
