"""Steps of the classifier's networks: groups of messages of known protocols and of strange ones, with noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...discovery.classifier.inputs import ABSENT, Inputs
from .examples import Examples, joined, simulated

BATCH = 128
SIZES = (4, 8, 16, 4)  # of the groups in a step
SIMULATIONS, UNKNOWN_SHARE = 1500, 0.12
NOISE = 0.1


@dataclass(frozen=True)
class Unknown:
    """Messages of simulated protocols, and which protocol each is of: they are the class of what is unknown."""

    inputs: Inputs
    protocol: NDArray[np.int64]


@cache
def stranger_sets(simulations: int = SIMULATIONS) -> tuple[Unknown, Unknown]:
    """Return simulated protocols to learn from, and others to fit the vote on."""
    inputs, which = simulated(simulations)
    cut = int(np.searchsorted(which, simulations * 4 // 5))
    first, second = np.arange(cut), np.arange(cut, len(which))
    return Unknown(inputs.take(first), which[first]), Unknown(inputs.take(second), which[second])


class Drawing:
    """Draws groups: protocols equally often, captures by the root of their messages, strange protocols now and then."""

    def __init__(self, known: Examples, unknown: Unknown) -> None:
        self.inputs, offset = joined(known.inputs, unknown.inputs), len(known.inputs)
        self._pools = [_captures(known, label) for label in range(len(known.protocols))]
        self._there = [label for label, (parts, _) in enumerate(self._pools) if parts]
        self._strange = [offset + r for r in np.split(np.arange(len(unknown.inputs)), borders(unknown.protocol))]

    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of ``inputs`` of one step, group after group of ``size``, and the label of each group."""
        rows, labels = [], []
        for _ in range(BATCH // size):
            if rng.random() < UNKNOWN_SHARE:
                rows.append(rng.choice(self._strange[rng.integers(len(self._strange))], size))
                labels.append(len(self._pools))
                continue
            label = self._there[int(rng.integers(len(self._there)))]
            parts, chance = self._pools[label]
            part = parts[rng.choice(len(parts), p=chance)]
            start = int(rng.integers(max(1, len(part) - size + 1)))
            rows.append(np.resize(part[start : start + size], size))
            labels.append(label)
        return np.concatenate(rows), np.array(labels)


def noisy(values: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Put nothing or anything in the place of some bytes, in some messages more than in others."""
    hit = rng.random(values.shape) < NOISE * rng.random((len(values), 1))
    values[hit] = np.where(rng.random(int(hit.sum())) < 0.5, ABSENT, rng.integers(0, 256, int(hit.sum())))
    return values


def borders(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where a new key begins."""
    return np.flatnonzero(np.diff(key)) + 1


def _captures(known: Examples, label: int) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    rows = np.flatnonzero(known.label == label)
    if not len(rows):
        return [], np.zeros(0)
    rows = rows[np.argsort(known.capture[rows], kind="stable")]
    parts = np.split(rows, borders(known.capture[rows]))
    chance = np.sqrt([len(part) for part in parts])
    return parts, chance / chance.sum()
