"""Workers of Ray train as one process does, also when one of them is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("torch")

from safetensors.numpy import load

from qbitel.cluster.storage import Storage
from qbitel.discovery.errors import LimitError
from qbitel.train.record import Epoch
from qbitel.train.runs import Run
from qbitel.train.sets import SetVersion
from qbitel.train.settings import TrainSettings, WorkerSettings
from qbitel.train.start import start

SETTINGS = TrainSettings(task="segmenter", examples=96, epochs=3, held_out=3)
TWO = WorkerSettings(fewest=2, most=2, cpus=0.5, source_cpus=0.5)


def test_killed_worker_costs_time_and_nothing_else(ray_here: None, storage: Storage, labelled: SetVersion) -> None:
    """
    Two workers, of which one is killed after the first epoch, learn what one process learns, from the same data.

    Labelled messages tell no meanings, so the head for these is reached by no example: nobody waits for its gradient.
    """
    named = {"labelled": f"{labelled.name}@{labelled.number}", "labelled_digest": labelled.digest, "share": 1.0}
    settings = SETTINGS.model_copy(update=named)
    killed: list[int] = []

    def kill_one(epoch: Epoch) -> None:
        if not killed:
            killed.append(Run(storage, "two").record().team[1])
            os.kill(killed[0], signal.SIGKILL)

    two = start("two", settings, storage, TWO, told=kill_one)
    one = start("one", settings, storage, WorkerSettings())
    assert two.status == "done"
    assert killed[0] not in two.team
    assert [epoch.workers for epoch in two.epochs] == [2, 2, 2]
    assert two.data == one.data
    weights = [load(Run(storage, name).weights()) for name in ("one", "two")]
    assert all(np.allclose(weights[0][name], weights[1][name], atol=5e-4) for name in weights[0])
    assert two.epochs[-1].source_cpu_seconds > 0


def test_training_that_can_never_start_is_refused(ray_here: None, tmp_path: Path) -> None:
    """More cores than Ray has are told at once, where Ray would wait without a word."""
    with pytest.raises(LimitError, match="needs 6 logical cores, and this Ray has 4"):
        start("a", SETTINGS, Storage(tmp_path), WorkerSettings(fewest=4, most=4))
