"""The boundary network as a task of the training loop."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..labels import Labels
from ..settings import TrainSettings
from ..task import Evaluation, Source
from .examples import Example
from .labelled import MixedBoundaries
from .network import LEFT_OUT, BoundaryNetwork
from .objective import evaluate, exported, loss_of, rescale
from .source import SimulatedBoundaries

SIMULATED = SimulatedBoundaries()


class SegmenterTask:
    """
    Field boundaries, learned from simulated protocols.

    Args:
        source: simulated protocols alone, or labelled ones among them.
        without: parts of the network to leave out (``network.PARTS``).
    """

    name = "segmenter"
    gpu = False  # its recurrence is a loop that numba compiles
    defaults: Mapping[str, Any] = {"examples": 30_000, "epochs": 30, "decay": 0.4, "held_out": 100}

    def __init__(self, source: Source = SIMULATED, without: Collection[str] = LEFT_OUT) -> None:
        self.source, self._without = source, without

    @classmethod
    def made(cls, labels: Labels | None, settings: TrainSettings) -> SegmenterTask:
        """Return the task for these settings."""
        return cls(MixedBoundaries(labels, settings.share) if labels else SIMULATED)

    def network(self) -> nn.Module:
        """Return a network with fresh parameters."""
        return BoundaryNetwork(without=self._without)

    def loss(self, network: Any, example: Example) -> Tensor:
        """Return the mean cross entropy over the positions that count, and a share of that of meanings."""
        return loss_of(network, example)

    def evaluate(self, network: Any, examples: Iterable[Example]) -> Evaluation:
        """Return loss, F1 and calibration error."""
        return evaluate(network, examples)

    def calibrate(self, network: Any, examples: Iterable[Example]) -> None:
        """Fold scale and shift of the logits that fit these examples best into the last layer."""
        rescale(network, examples)

    def export(self, network: Any) -> dict[str, NDArray[np.float32]]:
        """Return the arrays that ``discovery.boundaries.network`` reads."""
        return exported(network)

    def restore(self, network: nn.Module, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Set parameters from such arrays; the head for meanings, which they lack, stays as it was drawn."""
        network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, strict=False)

    def judge(self, weights: Mapping[str, NDArray[Any]], examples: Iterable[Example]) -> Evaluation:
        """Judge such arrays."""
        network = self.network()
        self.restore(network, weights)
        return evaluate(network.eval(), examples)
