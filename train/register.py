"""A run's weights as a version of a model, with the lineage that says how they came to be."""

from __future__ import annotations

from ..cluster.registry import ModelVersion, Registry
from .arrays import hexadecimal
from .runs import Run


def register_run(registry: Registry, run: Run, model: str | None = None) -> ModelVersion:
    """
    Add the weights of an ended run to a model's versions; the model is called as its task where no name is given.

    Raises:
        InputError: the run has not ended, or its weights are not those it wrote.
    """
    import numpy as np

    record, weights = run.record(), run.weights()
    lineage = {
        "run": record.id, "storage": run.storage.uri, "settings": record.settings.model_dump(),
        "settings_hash": record.settings_hash, "data": hexadecimal(np.array(record.data)), "sets": record.sets,
        "code": record.code, "machine": record.machine, "epoch": record.best,
    }  # fmt: skip
    return registry.register(model or record.settings.task, weights, lineage, record.figures)
