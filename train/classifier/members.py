"""The members of the vote put together: the trained networks, and the forest that is fitted beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...discovery.classifier.model import Model
from ...discovery.classifier.networks import Convolution, Recurrence
from ...discovery.classifier.vote import SIGNS, Vote
from .batches import Unknown
from .examples import Examples, joined
from .forest import fit_forest, weights_of

BACKGROUND = 6


def members_of(
    known: Examples, unknown: Unknown, weights: dict[str, dict[str, NDArray[np.float32]]], about: dict[str, Any]
) -> Model:
    """Fit the forest and put it beside the networks with these weights; the vote is still to be fitted."""
    label = np.append(known.label, np.full(len(unknown.protocol), len(known.protocols)))
    capture = np.append(known.capture, len(known.captures) + unknown.protocol)
    inputs = joined(known.inputs, unknown.inputs)
    forest = fit_forest(inputs.features, label, weights_of(label, capture), len(known.protocols) + 1)
    rows = np.random.default_rng(0).choice(len(known.inputs), BACKGROUND, replace=False)
    return Model(
        known.protocols, forest, Convolution.read(weights["convolution"]), Recurrence.read(weights["recurrence"]),
        Vote(np.full(3, 1 / 3), np.zeros(3), np.zeros(SIGNS)), known.inputs.take(rows), about,
    )  # fmt: skip


def with_vote(model: Model, vote: Vote) -> Model:
    """Return the model with another vote."""
    return replace(model, vote=vote)
