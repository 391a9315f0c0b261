"""The boundary network as a task of the training loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..task import Evaluation
from .examples import Example
from .fit import calibrate, exported, loss_of, run
from .network import BoundaryNetwork
from .source import SimulatedBoundaries

Array = NDArray[np.float32]
THRESHOLD = 0.5
BINS = 10


class SegmenterTask:
    """Field boundaries, learned from simulated protocols."""

    name = "segmenter"
    source = SimulatedBoundaries()
    defaults: Mapping[str, Any] = {"rate": 3e-3, "decay": 1.0}

    def network(self) -> nn.Module:
        """Return a network with fresh parameters."""
        return BoundaryNetwork()

    def loss(self, network: Any, example: Example) -> Tensor:
        """Return the mean cross entropy over the positions that count."""
        return loss_of(network, example)

    def predict(self, network: Any, examples: Iterable[Example]) -> list[tuple[Array, Array]]:
        """Return logits and targets of the positions that count, for each example that has any."""
        with torch.no_grad():
            chosen = (one for one in examples if one.counts.any())
            return [(run(network, one).numpy()[one.counts], one.target[one.counts]) for one in chosen]

    def evaluate(self, network: Any, examples: Iterable[Example]) -> Evaluation:
        """
        Return loss (cross entropy) and F1, means over protocols, and the expected calibration error over positions.

        F1 of a protocol without boundaries is left out; calibration in ten bins of probability (Naeini 2015).
        """
        losses, f1 = [], []
        predicted = self.predict(network, examples)
        for logits, targets in predicted:
            losses.append(float(np.mean(np.logaddexp(0, logits) - targets * logits)))
            found = logits > np.log(THRESHOLD / (1 - THRESHOLD))
            if targets.any():
                f1.append(2 * float(targets[found].sum()) / float(found.sum() + targets.sum()))
        chances = 1 / (1 + np.exp(-np.concatenate([logits for logits, _ in predicted])))
        truth = np.concatenate([targets for _, targets in predicted])
        figures = {"loss": float(np.mean(losses)), "f1": float(np.mean(f1)), "calibration_error": _gaps(chances, truth)}
        return Evaluation(figures, {"loss": losses, "f1": f1}, better=("f1",))

    def calibrate(self, network: Any, examples: Iterable[Example]) -> None:
        """Fold scale and shift of the logits that fit these examples best into the last layer."""
        predicted = self.predict(network, examples)
        scale, shift = calibrate(np.concatenate([p[0] for p in predicted]), np.concatenate([p[1] for p in predicted]))
        with torch.no_grad():
            network.out.weight.mul_(scale)
            network.out.bias.mul_(scale).add_(shift)

    def export(self, network: nn.Module) -> dict[str, Array]:
        """Return the arrays that ``discovery.boundaries.network`` reads."""
        return exported(network)

    def restore(self, network: nn.Module, weights: Mapping[str, Array]) -> None:
        """Set parameters from such arrays."""
        network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, strict=False)


def _gaps(chances: Array, truth: Array) -> float:
    bins = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
    apart = np.bincount(bins, truth, BINS) - np.bincount(bins, chances, BINS)
    return float(np.abs(apart).sum() / len(truth))
