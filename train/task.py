"""What a network to be trained has to say of itself; the loop, the workers and the registry know no more of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ..discovery.errors import NotFoundError
from .labels import Labels
from .settings import TrainSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn


class Source(Protocol):
    """
    Where examples come from: a pure function of numbers, so that any worker can make any of them, again.

    Does not import torch: the processes that make examples for workers load nothing else. Ray carries it to them by
    its module and fields.
    """

    @property
    def kind(self) -> type[Any]:
        """The dataclass of arrays and numbers that an example is."""
        ...

    def example(self, seed: int, number: int) -> Any:
        """Return the example with that number, from 0 on, of the stream that ``seed`` draws."""
        ...

    def held_out(self, part: int, number: int) -> Any:
        """Return an example that no stream holds: of those that calibrate (0), judge (1) or choose the epoch (2)."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """
    How a network does on held-out examples.

    Attributes:
        figures: by name; ``loss`` is among them.
        scores: by name, one number per example (of those that have one), to compare two runs in pairs.
        better: names of the figures and scores of which more is better; of the others less is.
    """

    figures: dict[str, float]
    scores: dict[str, list[float]] = field(default_factory=dict)
    better: tuple[str, ...] = ()


class Task(Protocol):
    """A network, what it learns from, and how it is judged."""

    name: str
    source: Source
    gpu: bool
    """Whether the network can run on a GPU."""
    defaults: Mapping[str, Any]
    """Settings of the training (fields of ``TrainSettings``) that differ from the general ones."""

    def network(self) -> nn.Module:
        """Return the network with parameters drawn from torch's generator."""
        ...

    def loss(self, network: nn.Module, example: Any) -> Tensor:
        """Return the loss of one example, a scalar that gradients flow from."""
        ...

    def evaluate(self, network: nn.Module, examples: Iterable[Any]) -> Evaluation:
        """Judge the network on these examples."""
        ...

    def calibrate(self, network: nn.Module, examples: Iterable[Any]) -> None:
        """Change the trained network so that its probabilities hold on these examples."""
        ...

    def export(self, network: nn.Module) -> dict[str, NDArray[Any]]:
        """Return the arrays that inference reads."""
        ...

    def restore(self, network: nn.Module, weights: Mapping[str, NDArray[Any]]) -> None:
        """Set the network's parameters from arrays that ``export`` made; what they lack stays as it is."""
        ...

    def judge(self, weights: Mapping[str, NDArray[Any]], examples: Iterable[Any]) -> Evaluation:
        """Judge arrays that ``export`` made, of this run or another, on these examples."""
        ...


TASKS = {
    "segmenter": ("boundaries.task", "SegmenterTask"),
    "classifier": ("classifier.task", "ClassifierTask"),
}


def task_class(name: str) -> Any:
    """
    Return the class of the task of that name.

    Raises:
        NotFoundError: there is none.
    """
    if name not in TASKS:
        raise NotFoundError(f"no network is called {name!r}", hint=f"known: {', '.join(TASKS)}")
    module, attribute = TASKS[name]
    return getattr(import_module(f".{module}", __package__), attribute)


def task_of(settings: TrainSettings, storage: str) -> Task:
    """
    Return the task that the settings name, with the training set that they name from the storage of that URI.

    Raises:
        NotFoundError: there is no such task. InputError: it needs a set and none is named.
    """
    labels = None
    if settings.labelled is not None:
        labels = Labels(storage, settings.labelled, settings.labelled_digest or "")
    task: Task = task_class(settings.task).made(labels, settings)
    return task
