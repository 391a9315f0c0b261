"""
From new labels to a challenger: train, judge beside the champion on the same examples, register, and let it challenge.

A version becomes the challenger unless it is worse than the champion in a score of which chance is no explanation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from safetensors.numpy import load

from ..cluster.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from ..cluster.storage import Storage
from .compare import Difference, differences
from .loop import JUDGE, Told, held_out, silent
from .record import RunRecord
from .register import register_run
from .runs import Run
from .settings import TrainSettings, WorkerSettings
from .start import start
from .task import task_of


@dataclass(frozen=True)
class Retrained:
    """
    What came of it.

    Attributes:
        champion: what it was judged beside, None where there was none. differences: candidate less champion, by score.
    """

    record: RunRecord
    version: ModelVersion
    champion: ModelVersion | None
    differences: tuple[Difference, ...]

    @property
    def challenges(self) -> bool:
        """Whether the new version may challenge the champion."""
        return all(one.verdict != "worse" for one in self.differences)


def retrain(
    name: str, settings: TrainSettings, storage: Storage, workers: WorkerSettings, registry: Registry, *,
    resume: bool = False, told: Told = silent,
) -> Retrained:  # fmt: skip
    """
    Train as ``start`` does, from the weights that ``settings.start`` names, and register what comes of it.

    The champion is judged anew: on the examples that judged the run.
    """
    weights = registry.by_digest(settings.start) if settings.start else None
    record = start(name, settings, storage, workers, resume=resume, weights=weights, told=told)
    run = Run(storage, name)
    champion = champion_of(registry, settings.task)
    found: list[Difference] = []
    if champion is not None:
        task = task_of(settings, storage.uri)
        judged = task.judge(load(registry.by_digest(champion.digest)), held_out(task, settings, JUDGE))
        found = differences(judged.scores, run.scores(), judged.better)
    version = register_run(registry, run)
    made = Retrained(record, version, champion, tuple(found))
    if not made.challenges:
        return made
    return replace(made, version=registry.alias(f"{version.model}@{version.number}", CHALLENGER))


def champion_of(registry: Registry, model: str) -> ModelVersion | None:
    """Return the champion of a model, None where there is none."""
    champions = [version for version in registry.versions(model) if CHAMPION in version.aliases]
    return champions[0] if champions else None
