"""Begin a training, or go on with one that was ended before its time."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from hashlib import sha256

from ..cluster.storage import Storage
from ..discovery.errors import InputError
from .loop import Told, new_record, silent, train
from .record import RUNNING, RunRecord
from .runs import Run
from .settings import TrainSettings, WorkerSettings
from .task import task_of


def run_name(task: str) -> str:
    """Return a name for a run that no other has."""
    return f"{task}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def start(
    name: str, settings: TrainSettings, storage: Storage, workers: WorkerSettings, *, resume: bool = False,
    weights: bytes | None = None, told: Told = silent,
) -> RunRecord:  # fmt: skip
    """
    Train, here or on workers of the Ray that this process is connected to, and return the record.

    Args:
        resume: go on with the run of that name; its settings must be the same, workers may differ.
        weights: to start from; ``settings.start`` is their SHA-256.

    Raises:
        InputError: there is a run of that name and ``resume`` is not set, or the settings differ.
        NotFoundError: there is no such run to resume.
    """
    run = Run(storage, name)
    if resume:
        record = run.record()
        _same(record.settings, settings)
    elif run.exists():
        raise InputError(f"there is a run {name!r} already", where=storage.uri, hint="--resume goes on with it")
    else:
        record = new_record(name, settings)
        if weights is not None:
            assert settings.start == sha256(weights).hexdigest()
            run.write_start(weights)
        run.write(record)
    if record.status != RUNNING:
        return record
    if workers.most:
        from .workers import train_on_workers

        return train_on_workers(record, run, workers, told)
    import torch

    torch.set_num_threads(1)  # one core; the products are small, and more threads would wait for each other
    return train(task_of(settings, storage.uri), record, run, told=told)


def _same(old: TrainSettings, new: TrainSettings) -> None:
    before, after = old.model_dump(), new.model_dump()
    changed = [f"{name} was {before[name]}, is {after[name]}" for name in before if before[name] != after[name]]
    if changed:
        raise InputError("the settings differ from those of the run", hint="; ".join(changed))
