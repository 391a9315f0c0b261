"""
The loop on workers of Ray: one process each, gradients averaged by gloo (CPU) or nccl (GPU), examples from Ray Data.

Ray Train starts the workers, starts them again when one is lost, and changes their number where it may; what was
learned is in the run's own checkpoints, which the loop writes and reads itself, here as in one process; Ray is told of
figures only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any

from ray import train as ray_train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device

from ..cluster.ray_start import need_cores
from ..cluster.storage import Storage
from ..discovery.errors import InputError
from .loop import Told, silent, train
from .record import Epoch, RunRecord
from .runs import Run
from .settings import WorkerSettings
from .stream import inline
from .task import task_class, task_of

FOLLOWED_S = 1.0


def train_on_workers(record: RunRecord, run: Run, workers: WorkerSettings, told: Told = silent) -> RunRecord:
    """
    Train on workers of the Ray that this process is connected to, and return the record of the run.

    Args:
        told: is called for each epoch, in another thread.

    Raises:
        InputError: more workers than examples in a step; or the workers failed more often than they may.
        LimitError: the cluster lacks the cores without which this would wait for ever.
    """
    if workers.most > record.settings.batch:
        raise InputError(f"{workers.most} workers cannot share a step of {record.settings.batch} examples")
    if workers.gpu and not task_class(record.settings.task).gpu:
        raise InputError(f"the network of {record.settings.task!r} runs on the CPU only", hint="leave --gpu out")
    need_cores(workers.cores, str(workers))
    config = {"storage": run.storage.uri, "run": run.name, "workers": workers.model_dump()}
    numbers: Any = workers.fewest if workers.fewest == workers.most else (workers.fewest, workers.most)
    trainer = TorchTrainer(
        _work,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=numbers, use_gpu=workers.gpu, resources_per_worker=_resources(workers)
        ),
        run_config=RunConfig(
            name=f"{run.name}-{len(record.epochs)}",
            storage_path=run.storage.place("ray"),
            failure_config=FailureConfig(max_failures=workers.failures),
        ),
    )
    try:
        with _followed(run, len(record.epochs), told):
            trainer.fit()
    except ray_train.TrainingFailedError as error:
        raise InputError(
            f"the training failed: {error}", where=run.name, hint="--resume goes on from the newest checkpoint"
        ) from error
    return run.record()


@contextmanager
def _followed(run: Run, known: int, told: Told) -> Iterator[None]:
    """Tell of each epoch when the run's record does, in a thread of its own, and of all of them in the end."""
    ended = Event()

    def follow() -> None:
        done = known
        while True:
            last = ended.wait(FOLLOWED_S)
            for epoch in run.record().epochs[done:]:
                done += 1
                told(epoch)
            if last:
                return

    thread = Thread(target=follow, name="followed run")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _resources(workers: WorkerSettings) -> dict[str, float]:
    return {"CPU": workers.cpus, **({"GPU": 1} if workers.gpu else {})}


def _work(config: dict[str, Any]) -> None:
    """Run the loop in a worker."""
    import torch

    torch.set_num_threads(max(1, int(config["workers"]["cpus"])))
    run, workers = Run(Storage(config["storage"]), config["run"]), WorkerSettings(**config["workers"])
    record = run.record()
    stream = inline
    if workers.sources:
        from .ray_source import streamed

        stream = partial(streamed, workers)
    device = get_device().type if workers.gpu else "cpu"
    task = task_of(record.settings, run.storage.uri)
    train(task, record, run, stream=stream, device=device, told=partial(_tell, run))


def _tell(run: Run, epoch: Epoch) -> None:
    """Let Ray know of an epoch; all workers call this."""
    ray_train.report({"epoch": epoch.number, "loss": epoch.loss, **epoch.figures})
