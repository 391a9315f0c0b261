"""
Runs in a storage: one folder each.

    runs/<id>/run.json                    the record
    runs/<id>/checkpoints/000003/         state.safetensors, and state.json: the record then; written last
    runs/<id>/weights.safetensors         what inference reads, once the run has ended
    runs/<id>/scores.json                 one number per example that it was judged on, to compare runs in pairs
    runs/<id>/curve.svg, metrics.prom     the learning curve; the newest figures for Prometheus' textfile collector

One process writes to a run at a time: the first of those that train.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import nn
from torch.optim import Optimizer

from ..cluster.storage import Storage
from ..discovery.errors import InputError, NotFoundError
from . import checkpoint
from .record import RunRecord
from .settings import RUN_NAME

FOLDER = "runs"
KEPT = 2


class Run:
    """One run of a storage."""

    def __init__(self, storage: Storage, name: str) -> None:
        if not re.match(RUN_NAME, name):
            raise InputError(f"not a name for a run: {name!r}", hint="small letters, digits, dot, dash, underscore")
        self.storage, self.name = storage, name

    def path(self, *parts: str) -> str:
        """Return the path of a file of the run."""
        return "/".join([FOLDER, self.name, *parts])

    def exists(self) -> bool:
        """Say whether there is a record."""
        return self.storage.exists(self.path("run.json"))

    def record(self) -> RunRecord:
        """
        Return the record.

        Raises:
            NotFoundError: there is no such run. InputError: its record is damaged.
        """
        if not self.exists():
            raise NotFoundError(f"no run {self.name!r}", where=self.storage.uri, hint="qbitel runs list")
        return _read(self.storage, self.path("run.json"))

    def write(self, record: RunRecord) -> None:
        """Write the record, its learning curve and its figures."""
        from .curve import learning_curve
        from .exposition import exposition

        self.storage.write(self.path("run.json"), record.model_dump_json(indent=1).encode())
        self.storage.write(self.path("metrics.prom"), exposition(record).encode())
        if record.epochs:
            self.storage.write(self.path("curve.svg"), learning_curve(record).encode())

    def keep(self, record: RunRecord, network: nn.Module, optimiser: Optimizer) -> None:
        """Write a checkpoint of the epoch that just ended; drop all but the newest and the best."""
        last = record.epochs[-1].number
        self.storage.write(self._state(last, "state.safetensors"), checkpoint.to_bytes(network, optimiser))
        self.storage.write(self._state(last, "state.json"), record.model_dump_json().encode())
        for number in self.checkpoints():
            if number <= last - KEPT and number != record.best:
                self.storage.delete(self.path("checkpoints", f"{number:06d}"))

    def checkpoints(self) -> list[int]:
        """Return the epochs of which there is a whole checkpoint, ascending."""
        names = self.storage.names(self.path("checkpoints"))
        return [int(name) for name in names if self.storage.exists(self._state(int(name), "state.json"))]

    def restore(self, number: int, network: nn.Module, optimiser: Optimizer | None = None) -> RunRecord:
        """Set network and optimiser to a checkpoint and return the record as it was then."""
        checkpoint.restore(self.storage.read(self._state(number, "state.safetensors")), network, optimiser)
        return _read(self.storage, self._state(number, "state.json"))

    def write_start(self, weights: bytes) -> None:
        """Keep the weights that the run starts from beside it, where every worker can read them."""
        self.storage.write(self.path("start.safetensors"), weights)

    def start(self, digest: str) -> dict[str, NDArray[np.float32]]:
        """
        Return the weights to start from.

        Raises:
            InputError: they are not those with that SHA-256.
        """
        data = self.storage.read(self.path("start.safetensors"))
        if sha256(data).hexdigest() != digest:
            raise InputError("not the weights that this run started from", where=self.path("start.safetensors"))
        return load(data)

    def write_weights(self, weights: dict[str, NDArray[np.float32]], told: dict[str, str]) -> str:
        """Write what inference reads, with text about it; return its SHA-256."""
        data = save(weights, told)
        self.storage.write(self.path("weights.safetensors"), data)
        return sha256(data).hexdigest()

    def weights(self) -> bytes:
        """
        Return the weights of a run that has ended, as they are registered.

        Raises:
            InputError: the run goes on, or the file is not the one it wrote.
        """
        expected = self.record().weights
        if expected is None:
            raise InputError("the run has not ended", where=self.name, hint="qbitel train … --resume ends it")
        data = self.storage.read(self.path("weights.safetensors"))
        if sha256(data).hexdigest() != expected:
            raise InputError("not the weights that the run wrote", where=self.storage.place(self.path()))
        return data

    def write_scores(self, scores: dict[str, list[float]]) -> None:
        """Write one number per judged example."""
        self.storage.write(self.path("scores.json"), json.dumps(scores).encode())

    def scores(self) -> dict[str, list[float]]:
        """Return these numbers; none where the run has not ended."""
        if not self.storage.exists(self.path("scores.json")):
            return {}
        found: dict[str, list[float]] = json.loads(self.storage.read(self.path("scores.json")))
        return found

    def _state(self, number: int, name: str) -> str:
        return self.path("checkpoints", f"{number:06d}", name)


def all_runs(storage: Storage) -> list[RunRecord]:
    """Return the records of all runs, the newest first."""
    runs = [Run(storage, name) for name in storage.names(FOLDER) if re.match(RUN_NAME, name)]
    return sorted((run.record() for run in runs if run.exists()), key=lambda record: record.started, reverse=True)


def _read(storage: Storage, path: str) -> RunRecord:
    try:
        return RunRecord.model_validate_json(storage.read(path))
    except ValueError as error:
        raise InputError(f"not a record of a run: {error}", where=storage.place(path)) from error
