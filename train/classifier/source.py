"""A training set of known protocols as a source of steps for the classifier's networks; does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...discovery.errors import InputError
from ..labels import Labels
from .batches import SIMULATIONS, SIZES, Drawing, Unknown, noisy, stranger_sets
from .examples import Examples, folds_of, read_examples

FOLDS = 5  # of the captures: one judges; half of the next calibrates and chooses; the others are trained on
TRAINING, CALIBRATING, JUDGING = range(3)
HELD_OUT = 1_000_003


@dataclass(frozen=True)
class Step:
    """
    Groups of messages, all of one size.

    Attributes:
        values: (messages, FRONT_BYTES) int64; bins, features: as ``Inputs``; labels: (groups,) int64.
    """

    values: NDArray[np.int64]
    bins: NDArray[np.int64]
    features: NDArray[np.int32]
    labels: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Messages of a group."""
        return len(self.values) // len(self.labels)


@dataclass(frozen=True)
class KnownProtocols:
    """
    Groups of labelled messages, captures whole in training, calibration or judgement; and simulated strangers.

    Attributes:
        labels: the training set. simulations: how many protocols are strangers. fold: of the captures, the one that
            judges.
    """

    labels: Labels
    simulations: int = SIMULATIONS
    fold: int = 0

    @property
    def kind(self) -> type[Step]:
        """What an example is."""
        return Step

    def example(self, seed: int, number: int) -> Step:
        """Return one step, with noise."""
        rng = np.random.default_rng((seed, number))
        return self._step(data_of(self).training, rng, SIZES[number % len(SIZES)], noise=True)

    def held_out(self, part: int, number: int) -> Step:
        """Return groups of captures that were not trained on; those that judge take no part in any choice."""
        rng = np.random.default_rng((HELD_OUT, number))
        data = data_of(self)
        return self._step(data.judging if part == JUDGING else data.choosing, rng, (1, 4, 32)[number % 3], noise=False)

    def _step(self, drawing: Drawing, rng: np.random.Generator, size: int, noise: bool) -> Step:
        rows, labels = drawing.draw(rng, size)
        inputs = drawing.inputs.take(rows)
        values = inputs.values.astype(np.int64)
        return Step(noisy(values, rng) if noise else values, inputs.bins.astype(np.int64), inputs.features, labels)


@dataclass(frozen=True)
class Data:
    """What is drawn from, and what forest and vote are fitted on; ``part`` says what a message of ``known`` is for."""

    known: Examples
    part: NDArray[np.int64]
    learned: Unknown
    kept: Unknown
    training: Drawing
    choosing: Drawing
    judging: Drawing


@cache
def data_of(source: KnownProtocols) -> Data:
    """Read the training set; once in each process."""
    known, (learned, kept) = read_examples(source.labels.folder()), stranger_sets(source.simulations)
    part = parts_of(known, source.fold)
    few = set(known.label.tolist()) - set(known.label[part == TRAINING].tolist())
    if few:
        names = ", ".join(known.protocols[label] for label in sorted(few))
        hint = "captures are never divided between training and judgement"
        raise InputError("protocols with fewer than three captures", where=names, hint=hint)
    unknown = {TRAINING: learned, CALIBRATING: kept, JUDGING: kept}
    drawings = [Drawing(known.take(np.flatnonzero(part == which)), each) for which, each in unknown.items()]
    return Data(known, part, learned, kept, *drawings)


def parts_of(known: Examples, fold: int) -> NDArray[np.int64]:
    """Return what each message is for; a protocol with few captures gives none to calibration while others do."""
    half = folds_of(known, 2 * FOLDS)
    following = (fold + 1) % FOLDS
    calibrating = half == following + FOLDS
    if not calibrating.any():
        calibrating = half == following
    part = np.where(half % FOLDS == fold, JUDGING, TRAINING)
    part[calibrating] = CALIBRATING
    return part
