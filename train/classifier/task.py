"""The classifier's networks as a task of the training loop; forest and vote are fitted when they are calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...discovery.classifier.features import bins_of
from ...discovery.classifier.inputs import Inputs
from ...discovery.classifier.model import Model
from ...discovery.errors import InputError
from ..labels import Labels
from ..settings import TrainSettings
from ..task import Evaluation
from .members import members_of, with_vote
from .networks import loss, module
from .source import CALIBRATING, JUDGING, TRAINING, KnownProtocols, Step, data_of
from .vote import fit_vote

BINS = 10
FLOOR = 1e-9


class ClassifierTask:
    """
    Names of known protocols, learned from a training set (``qbitel train classifier --set known``).

    A fifth of the captures judges, a tenth calibrates, on the others convolution and recurrence are trained. Then the
    forest is fitted on these too, and the vote of the three on those that calibrate. The forest is fitted once more,
    with the captures that have calibrated.
    """

    name = "classifier"
    gpu = False  # evaluation runs the NumPy form
    defaults: Mapping[str, Any] = {
        "examples": 6000, "epochs": 5, "batch": 2, "rate": 3e-3, "decay": 1.0, "held_out": 60,
    }  # fmt: skip

    def __init__(self, source: KnownProtocols) -> None:
        self.source = source
        self._model: Model | None = None

    @classmethod
    def made(cls, labels: Labels | None, settings: TrainSettings) -> ClassifierTask:
        """
        Return the task for these settings.

        Raises:
            InputError: they name no training set.
        """
        if labels is None:
            raise InputError("the classifier learns from a training set", hint="qbitel sets add, then --set")
        return cls(KnownProtocols(labels))

    def network(self) -> nn.Module:
        """Return both networks with fresh parameters."""
        classes = len(data_of(self.source).known.protocols) + 1
        return nn.ModuleDict({name: make(classes) for name, make in module.items()})

    def loss(self, network: Any, example: Step) -> Tensor:
        """Return the sum of both networks' losses over the groups of a step."""
        batch = torch.from_numpy(example.values), torch.from_numpy(example.bins), torch.from_numpy(example.labels)
        return torch.stack([loss(network[name], *batch) for name in module]).sum()

    def evaluate(self, network: Any, examples: Iterable[Step]) -> Evaluation:
        """
        Return cross entropy, accuracy over groups (unknown is a class), and expected calibration error in ten bins.

        Before the vote is fitted the networks count the same and the forest does not.
        """
        if self._model is not None:
            return _evaluated((_voted(self._model, one), one.labels) for one in examples)
        return _evaluated((_equal(network, one), one.labels) for one in examples)

    def judge(self, weights: Mapping[str, NDArray[Any]], examples: Iterable[Step]) -> Evaluation:
        """Judge such arrays; protocols that they do not know are strange to them, whatever they are called here."""
        model = Model.of(dict(weights))
        names = [*data_of(self.source).known.protocols, ""]
        index = np.array([model.protocols.index(n) if n in model.protocols else len(model.protocols) for n in names])
        return _evaluated((_voted(model, one), index[one.labels]) for one in examples)

    def calibrate(self, network: Any, examples: Iterable[Step]) -> None:
        """Fit forest and vote, then the forest again with the captures that the vote was fitted on."""
        data = data_of(self.source)
        weights = {
            name: {key: value.detach().numpy().astype(np.float32) for key, value in network[name].state_dict().items()}
            for name in module
        }
        learned = np.flatnonzero(data.part == TRAINING)
        first = members_of(data.known.take(learned), data.learned, weights, {})
        vote = fit_vote(first, data.known, np.flatnonzero(data.part == CALIBRATING), data.kept)
        rows = np.flatnonzero(data.part != JUDGING)
        about = {"messages": len(rows), "captures": len(np.unique(data.known.capture[rows])), "set": self._set}
        self._model = with_vote(members_of(data.known.take(rows), data.learned, weights, about), vote)

    @property
    def _set(self) -> str:
        return f"{self.source.labels.reference} {self.source.labels.digest}"

    def export(self, network: nn.Module) -> dict[str, NDArray[Any]]:
        """Return the arrays of forest, networks and vote that ``discovery.classifier`` reads."""
        assert self._model is not None, "calibrated first"
        return self._model.arrays()

    def restore(self, network: Any, weights: Mapping[str, NDArray[Any]]) -> None:
        """Set the networks from such arrays; layers of another shape, as for other classes, stay as they are."""
        there = network.state_dict()
        same = {name: v for name, v in weights.items() if name in there and there[name].shape == v.shape}
        network.load_state_dict({name: torch.tensor(v.astype(np.float32)) for name, v in same.items()}, strict=False)


def _evaluated(said: Iterable[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> Evaluation:
    """Return the evaluation of (groups, classes) probabilities and the true class of each group, step by step."""
    sure, true, losses, right = [], [], [], []
    for chance, label in said:
        hit = chance.argmax(1) == label
        losses.append(float(-np.log(chance[np.arange(len(chance)), label] + FLOOR).mean()))
        right.append(float(hit.mean()))
        sure.append(chance.max(1))
        true.append(hit)
    most, hits = np.concatenate(sure), np.concatenate(true)
    bins = np.minimum((most * BINS).astype(np.int64), BINS - 1)
    gaps = np.abs(np.bincount(bins, hits, BINS) - np.bincount(bins, most, BINS)).sum() / len(hits)
    figures = {"loss": float(np.mean(losses)), "accuracy": float(hits.mean()), "calibration_error": float(gaps)}
    return Evaluation(figures, {"loss": losses, "accuracy": right}, better=("accuracy",))


def _voted(model: Model, one: Step) -> NDArray[np.float64]:
    inputs = Inputs(one.values.astype(np.int16), bins_of(one.features), one.features)
    return model.probabilities(inputs, np.arange(0, len(one.values), one.size)).astype(np.float64)


def _equal(network: Any, one: Step) -> NDArray[np.float64]:
    """Return what both networks say, each counting the same."""
    made = []
    with torch.no_grad():
        for name in module:
            embedded = network[name](torch.from_numpy(one.values), torch.from_numpy(one.bins))
            grouped = embedded.view(len(one.labels), one.size, -1)
            made.append(torch.log_softmax(network[name].vote.classes(grouped.mean(1), grouped.amax(1)), 1))
        mean: NDArray[np.float64] = torch.softmax(torch.stack(made).mean(0), 1).numpy().astype(np.float64)
    return mean
