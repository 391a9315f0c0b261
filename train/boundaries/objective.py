"""What the boundary network is fitted to, how it is judged and calibrated, and the arrays that inference reads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from ..task import Evaluation
from .examples import Example
from .network import BoundaryNetwork

Array = NDArray[np.float32]
KIND_SHARE, ORDER_SHARE, TYPE_SHARE = 0.1, 0.05, 0.05
TEMPERATURE = 0.1
HEADS = ("kind.", "order.", "embed.")  # fitted along, not shipped
THRESHOLD = 0.35


def loss_of(network: BoundaryNetwork, one: Example) -> Tensor:
    """Return the mean cross entropy over the positions that count, and shares of the losses of the other heads."""
    counts, told = torch.from_numpy(one.counts), network(one)
    if not bool(counts.any()):
        return told.boundaries.sum() * 0
    loss = binary_cross_entropy_with_logits(told.boundaries[counts], torch.from_numpy(one.target)[counts])
    if told.kinds is not None and bool((one.kinds >= 0).any()):  # labelled messages tell of boundaries and types only
        loss = loss + KIND_SHARE * cross_entropy(told.kinds, torch.from_numpy(one.kinds), ignore_index=-1)
    if told.orders is not None and bool((one.orders >= 0).any()):
        truth = torch.from_numpy(one.orders)
        there = truth >= 0
        loss = loss + ORDER_SHARE * binary_cross_entropy_with_logits(told.orders[there], truth[there].float())
    if told.types is not None:
        loss = loss + TYPE_SHARE * apart(told.types, torch.from_numpy(one.types))
    return loss


def apart(embedded: Tensor, types: Tensor) -> Tensor:
    """Return the supervised contrastive loss of rows (Khosla et al. 2020): near their type, far from the others."""
    same = (types[:, None] == types[None]) & (types[:, None] >= 0)
    same.fill_diagonal_(False)
    if not bool(same.any()) or bool((types == types[0]).all()):
        return embedded.sum() * 0
    near = normalize(embedded, dim=1)
    alike = (near @ near.T / TEMPERATURE).masked_fill(torch.eye(len(near), dtype=torch.bool), -1e9)
    chance = alike - alike.logsumexp(1, keepdim=True)
    counted = same.sum(1)
    each = -(chance * same).sum(1)[counted > 0] / counted[counted > 0]
    return each.mean()


def predict(network: BoundaryNetwork, held_out: Iterable[Example]) -> list[tuple[Array, Array]]:
    """Return logits and targets of the positions that count, per example."""
    with torch.no_grad():
        return [(network(one).boundaries.numpy()[one.counts], one.target[one.counts]) for one in held_out]


def calibrate(logits: Array, targets: Array) -> tuple[float, float]:
    """Return scale and shift of the logits that minimise the cross entropy (Platt 1999), by Newton's method."""
    x = np.stack([logits, np.ones_like(logits)], 1).astype(np.float64)
    weights = np.array([1.0, 0.0])
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - targets)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        weights -= np.linalg.solve(hessian, gradient)
    return float(weights[0]), float(weights[1])


def rescale(network: BoundaryNetwork, held_out: Iterable[Example]) -> None:
    """Fold the calibration on these examples into the last layer."""
    pairs = predict(network, held_out)
    scale, shift = calibrate(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]))
    with torch.no_grad():
        network.out.weight *= scale
        network.out.bias.mul_(scale).add_(shift)


def evaluate(network: BoundaryNetwork, held_out: Iterable[Example]) -> Evaluation:
    """
    Return cross entropy and F1 by protocol, and the expected calibration error over positions.

    F1 of a protocol without boundaries is left out; calibration in ten bins of probability (Naeini 2015).
    """
    losses, f1 = [], []
    pairs = [pair for pair in predict(network, held_out) if len(pair[1])]
    for logits, targets in pairs:
        losses.append(float(np.mean(np.logaddexp(0, logits) - targets * logits)))
        found = 1 / (1 + np.exp(-logits)) >= THRESHOLD
        if targets.any():
            f1.append(2 * float(targets[found].sum()) / float(found.sum() + targets.sum()))
    chance = 1 / (1 + np.exp(-np.concatenate([logits for logits, _ in pairs])))
    truth = np.concatenate([targets for _, targets in pairs])
    bins = np.minimum((chance * 10).astype(np.int64), 9)
    gaps = np.abs(np.bincount(bins, truth, 10) - np.bincount(bins, chance, 10)).sum() / len(truth)
    figures = {"loss": float(np.mean(losses)), "f1": float(np.mean(f1)), "calibration_error": float(gaps)}
    return Evaluation(figures, {"loss": losses, "f1": f1}, better=("f1",))


def exported(network: BoundaryNetwork) -> dict[str, Array]:
    """Return the arrays that inference reads: not other heads than that of boundaries, nor attention left out."""
    dropped = (*HEADS, "mark") if "attention" in network.without else HEADS
    kept = {name: value for name, value in network.state_dict().items() if not name.startswith(dropped)}
    return {name: value.detach().cpu().numpy().astype(np.float32) for name, value in kept.items()}
