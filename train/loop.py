"""
The training loop: the same in one process, on workers of this machine, and on a cluster.

    qbitel train segmenter                           # one core, about 25 min
    qbitel runs show <run>                           # held out: F1 about .82, expected calibration error about .003

A step learns from the same examples however many workers share it, and a run that was killed goes on from its newest
checkpoint as if it had not been: data, rates and dropout depend on the step alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .arrays import LANES
from .evaluation.machine import machine_lines
from .record import DONE, STOPPED, Epoch, RunRecord, code_version
from .runs import Run
from .settings import TrainSettings
from .stream import Shard, Stream, Taken, inline
from .task import Task
from .team import first_says, rank_and_size, shared, total

Told = Callable[[Epoch], None]
CALIBRATE, JUDGE, CHOOSE = range(3)


def silent(epoch: Epoch) -> None:
    """Tell nobody."""


class Objective(nn.Module):
    """The loss of a network as a module, so that one call goes forward through everything that has gradients."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.task, self.network = task, network

    def forward(self, examples: list[Any]) -> Tensor:
        """Return the sum of the losses of these examples."""
        # Every parameter is reached, if by nothing, or a team would wait for the gradient of a part that no example
        # used; the other way, find_unused_parameters, walks through the graph in each step.
        nothing = torch.stack([parameter.flatten()[0] for parameter in self.network.parameters()]).sum() * 0
        return torch.stack([self.task.loss(self.network, one) for one in examples]).sum() + nothing


def train(
    task: Task, record: RunRecord, run: Run, *, stream: Stream = inline, device: str = "cpu", told: Told = silent
) -> RunRecord:
    """
    Train until the epochs are done or held-out loss stays, and return the record of the run.

    Every process of the team calls this; the first evaluates, writes and tells. Goes on from the run's newest
    checkpoint where it has one.

    Args:
        record: of a new run; where there is a checkpoint, its own record takes this one's place.
        stream: gives the examples of a shard. told: is called after each epoch, on all processes.
    """
    (rank, size), place, settings = rank_and_size(), torch.device(device), record.settings
    torch.manual_seed(settings.seed)
    network = _network(task, run, settings).to(place)
    optimiser = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.weight_decay)
    record = _resume(record, run, network, optimiser, place)
    objective = shared(Objective(task, network))
    shard = Shard(rank, size, settings.batch, record.step, settings.steps)
    examples = Taken(stream(task.source, settings.seed, shard))
    chosen_by = list(held_out(task, settings, CHOOSE)) if rank == 0 else []

    ended = record.finished
    while not ended:
        number, start, cpu = len(record.epochs) + 1, time.perf_counter(), time.process_time()
        torch.manual_seed(settings.seed * 1_000_003 + number * 1009 + rank)
        lost, before = torch.zeros((), device=place), examples.counts.copy()
        network.train()
        for step in range(record.step, record.step + settings.steps_an_epoch):
            optimiser.param_groups[0]["lr"] = settings.rate_at(step)
            batch = examples.take(shard.each_step)
            with torch.autocast(place.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                loss = objective(batch) / settings.batch
            optimiser.zero_grad()
            (loss * size).backward()  # the gradients of the team are averaged, and shall add
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimiser.step()
            lost += loss.detach()  # not .item(): a GPU would be waited for
        sums = total(np.array([*(examples.counts - before), lost.item(), time.process_time() - cpu]), place)
        waited, source_cpu, loss_sum, cpu = (float(one) for one in sums[LANES:])
        seconds = time.perf_counter() - start

        network.eval()
        figures = task.evaluate(network, chosen_by).figures if rank == 0 else {"loss": 0.0}
        record.add(
            Epoch(
                number=number, step=step + 1, loss=loss_sum / settings.steps_an_epoch, figures=figures,
                seconds=seconds, waited=waited / size, cpu_seconds=cpu, source_cpu_seconds=source_cpu, workers=size,
            ),
            sums[:LANES],
        )  # fmt: skip
        if rank == 0:
            run.keep(record, network, optimiser)
            run.write(record)
        ended = bool(first_says(int(record.finished), place))  # and the others wait until the checkpoint is there
        told(record.epochs[-1])
    return _finish(task, record, run, network) if rank == 0 else record


def held_out(task: Task, settings: TrainSettings, part: int) -> Iterator[Any]:
    """Return the held-out examples that calibrate, judge, or choose the epoch."""
    numbers = range(part * settings.held_out, (part + 1) * settings.held_out)
    return (task.source.held_out(part, number) for number in numbers)


def new_record(name: str, settings: TrainSettings) -> RunRecord:
    """Return the record of a run that has not begun."""
    machine = machine_lines(("qbitel", "numpy", "torch", "ray"))
    sets = {settings.labelled: settings.labelled_digest or ""} if settings.labelled else {}
    return RunRecord(
        id=name, settings=settings, settings_hash=settings.hash, code=code_version(), machine=machine, sets=sets
    )


def _network(task: Task, run: Run, settings: TrainSettings) -> nn.Module:
    """Return the network with first parameters, drawn or those to start from."""
    network = task.network()
    if settings.start:
        task.restore(network, run.start(settings.start))
    if settings.compiled:
        network.compile(dynamic=True)
    return network


def _resume(
    record: RunRecord, run: Run, network: nn.Module, optimiser: torch.optim.Optimizer, place: torch.device
) -> RunRecord:
    """Set everything to the newest checkpoint, which the first process chooses for all."""
    newest = first_says(max(run.checkpoints(), default=0), place)
    if newest:
        record = run.restore(newest, network, optimiser)
    rank, size = rank_and_size()
    mine = np.zeros(size)
    mine[rank] = os.getpid()
    record.team = [int(pid) for pid in total(mine, place)]  # and all have read before the first writes
    return record


def _finish(task: Task, record: RunRecord, run: Run, network: nn.Module) -> RunRecord:
    """Take the best epoch's parameters, calibrate them, judge them on examples of their own, and write them."""
    assert record.best is not None
    settings = record.settings
    run.restore(record.best, network)
    task.calibrate(network, held_out(task, settings, CALIBRATE))
    judged = task.evaluate(network, held_out(task, settings, JUDGE))
    told = {"task": task.name, "run": record.id, "settings": record.settings_hash, **record.code}
    record.figures, record.better = judged.figures, list(judged.better)
    record.weights = run.write_weights(task.export(network), told)
    record.status = DONE if len(record.epochs) == settings.epochs else STOPPED
    run.write_scores(judged.scores)
    run.write(record)
    return record
