"""What the members say of groups of messages, and the vote of least cross entropy over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ...discovery.classifier.model import Model
from ...discovery.classifier.vote import MOST, SIGNS, Vote, doublings_of, given_known, log_softmax, signs_of
from .batches import Unknown, borders
from .examples import Examples, groups_of

SIZES = (1, 4, 32)
# What forest, convolution and recurrence count against each other, for one message and for ``MOST``. Fitted shares do
# not hold: captures that calibrate are of the sources that were trained on, where the networks look better than they
# are elsewhere. Of a group they see what its messages have together, and the forest does not.
ALONE, TOGETHER = np.array([1.0, 0.1, 0.1]), np.array([1.0, 0.3, 0.3])
DOUBLINGS = float(np.log2(MOST))
SMALL = 1e-4  # keeps weights that nothing speaks for near zero

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """What the members said of groups: logs (3, groups, classes), sizes and true labels of the groups."""

    logs: NDArray[np.float32]
    sizes: NDArray[np.int64]
    label: NDArray[np.int64]


def evaluate(model: Model, known: Examples, rows: NDArray[np.int64], size: int) -> Heard:
    """Return what the members say of the rows in groups of up to ``size`` of one protocol and capture."""
    groups = groups_of(known, rows, size)
    sizes = np.array([len(group) for group in groups], np.int64)
    logs = model.logs(known.inputs.take(np.concatenate(groups)), np.cumsum(sizes) - sizes)
    return Heard(logs, sizes, known.label[[group[0] for group in groups]])


def strangers(model: Model, unknown: Unknown, size: int) -> Heard:
    """Return what the members say of simulated protocols, labelled as unknown."""
    parts = np.split(np.arange(len(unknown.inputs)), borders(unknown.protocol))
    groups = [part[:size] for part in parts]
    sizes = np.array([len(group) for group in groups], np.int64)
    logs = model.logs(unknown.inputs.take(np.concatenate(groups)), np.cumsum(sizes) - sizes)
    return Heard(logs, sizes, np.full(len(groups), len(model.protocols)))


def fit_vote(model: Model, known: Examples, rows: NDArray[np.int64], unknown: Unknown) -> Vote:
    """Return the vote that fits captures and simulated protocols best which the members of the model never saw."""
    here = [evaluate(model, known, rows, size) for size in SIZES]
    return vote_of(here, [strangers(model, unknown, size) for size in SIZES])


def vote_of(known: Sequence[Heard], strange: Sequence[Heard]) -> Vote:
    """Return the vote of least cross entropy: of the protocol where it is known, then of whether it is."""
    base, growth = _weights(known)
    signs, is_unknown, counts = [], [], []
    for heard in (*known, *strange):
        doublings = doublings_of(heard.sizes)
        weights = base[:, None] + growth[:, None] * doublings
        sure = log_softmax(np.einsum("mg,mgc->gc", weights, given_known(heard.logs))).max(axis=1)
        signs.append(signs_of(heard.logs, doublings, sure))
        is_unknown.append((heard.label == heard.logs.shape[2] - 1).astype(np.float64))
        counts.append(_equal(heard))
    x, y, each = (torch.from_numpy(np.concatenate(parts)) for parts in (signs, is_unknown, counts))

    def cost(w: Tensor) -> Tensor:
        return (binary_cross_entropy_with_logits(x @ w, y, reduction="none") * each).sum()

    return Vote(base, growth, _least(np.zeros(SIGNS), cost))


def _weights(known: Sequence[Heard]) -> tuple[Floats, Floats]:
    """Return the members' shares times the sharpness that fits best (temperature scaling, Guo et al. 2017), by size."""
    logs = torch.from_numpy(np.concatenate([given_known(heard.logs) for heard in known], axis=1))
    far = torch.from_numpy(np.concatenate([doublings_of(heard.sizes) / DOUBLINGS for heard in known]))[:, None]
    label = torch.from_numpy(np.concatenate([heard.label for heard in known]))
    each = torch.from_numpy(np.concatenate([_equal(heard) for heard in known]))

    alone, together = (torch.einsum("m,mgc->gc", torch.from_numpy(shares), logs) for shares in (ALONE, TOGETHER))

    def cost(w: Tensor) -> Tensor:
        total = alone * (1 - far) * w[0] + together * far * w[1]
        return (cross_entropy(total, label, reduction="none") * each).sum()

    sharp = _least(np.ones(2), cost)
    return sharp[0] * ALONE, (sharp[1] * TOGETHER - sharp[0] * ALONE) / DOUBLINGS


def _equal(heard: Heard) -> Floats:
    """Return weights of the groups that sum to one, so that sizes count the same, and known and unknown."""
    return np.full(len(heard.label), 1 / len(heard.label))


def _least(start: Floats, cost: Callable[[Tensor], Tensor]) -> Floats:
    weights = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        made = cost(weights) + SMALL * (weights**2).sum()
        made.backward()
        return made

    optimiser.step(closure)
    found: Floats = weights.detach().numpy()
    return found
