"""``qbitel train``: fit a network, here or on workers of Ray."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from .console import out, print_json
from .places import open_storage, storage_option

if TYPE_CHECKING:
    from ..train.record import Epoch, RunRecord
    from ..train.settings import TrainSettings, WorkerSettings

SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("seed", int, "Draws first parameters and examples."),
    ("examples", int, "Examples to train on."),
    ("epochs", int, "Parts of the training; each ends with evaluation and checkpoint."),
    ("batch", int, "Examples of a step, over all workers."),
    ("rate", float, "Highest learning rate."),
    ("held-out", int, "Examples to evaluate on."),
    ("patience", int, "Epochs without a better held-out loss after which to stop."),
    ("precision", click.Choice(["fp32", "bf16"]), "Of the products in training."),
)


def _settings_options(command: Any) -> Any:
    for name, kind, told in reversed(SETTINGS):
        command = click.option(f"--{name}", type=kind, help=told)(command)
    return command


def workers_of(text: str, chosen: dict[str, Any]) -> WorkerSettings:
    """Return the settings of workers, their number written as ``2`` or, where it may change, ``1:4``."""
    from pydantic import ValidationError

    from ..train.settings import WorkerSettings

    fewest, _, most = text.partition(":")
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return WorkerSettings.model_validate({**given, "fewest": fewest, "most": most or fewest})
    except ValidationError as error:
        raise click.BadParameter(error.errors()[0]["msg"], param_hint="--workers") from None


@contextmanager
def _ray_for(workers: WorkerSettings) -> Iterator[None]:
    """Give a connection to Ray where the training needs one."""
    if not workers.most:
        yield
        return
    from ..cluster.ray_start import need_cores, ray_cluster
    from ..cluster.settings import ServiceSettings

    settings = ServiceSettings()
    joined = settings.ray_address or os.environ.get("RAY_ADDRESS")
    if not joined:
        need_cores(workers.cores, str(workers), settings.ray_cpus)
    with ray_cluster(settings.model_copy(update={"ray_address": joined})):
        yield


@click.command("train")
@click.argument("task")
@_settings_options
@click.option("--compile", "compiled", is_flag=True, default=None, help="Run the network through torch.compile.")
@click.option("--run", "name", help="Name of the run; made up if not given.")
@click.option("--resume", is_flag=True, help="Go on with the run from its newest checkpoint.")
@click.option("--workers", default="0", metavar="N|MIN:MAX", help="Processes that train; 0: this one, without Ray.")
@click.option("--cpus", type=float, help="Logical cores of each worker (1).")
@click.option("--gpu", is_flag=True, default=None, help="A GPU for each worker.")
@click.option("--sources", type=int, help="Processes that make examples, for each worker (1).")
@click.option("--source-cpus", type=float, help="Logical cores of each of these (0.5).")
@click.option("--submit", metavar="ADDRESS", help="Submit to the Ray cluster with this dashboard, and return at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@storage_option
def train_command(
    task: str, name: str | None, resume: bool, as_json: bool, storage_uri: str, workers: str, cpus: float | None,
    gpu: bool | None, sources: int | None, source_cpus: float | None, submit: str | None, **chosen: Any,
) -> None:  # fmt: skip
    """
    Train the network TASK (segmenter) and keep the run in a storage.

    A run is resumed with the settings it was begun with; only workers may differ. With workers, a Ray is started here,
    unless RAY_ADDRESS (as in a submitted job) or QBITEL_RAY_ADDRESS names one to join.
    """
    from ..train.loop import silent
    from ..train.runs import Run
    from ..train.start import run_name, start

    team = workers_of(workers, {"cpus": cpus, "gpu": gpu, "sources": sources, "source_cpus": source_cpus})
    if submit:
        from ..train.submit import submit_command

        out.print(submit_command(submit, sys.argv[1:]), highlight=False)
        return
    storage = open_storage(storage_uri)
    if resume and name is None:
        raise click.UsageError("--resume needs --run")
    name = name or run_name(task)
    settings = Run(storage, name).record().settings if resume else settings_of(task, chosen)
    told = silent if as_json else _print_epoch
    if not as_json:
        out.print(f"run {name}: {settings.examples:,} examples in {settings.epochs} epochs", highlight=False)
    with _ray_for(team):
        record = start(name, settings, storage, team, resume=resume, told=told)
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        _print_end(record, storage.place(f"runs/{name}"))


def settings_of(task: str, chosen: dict[str, Any]) -> TrainSettings:
    """Return the settings of a training of that task, with those that were chosen in place of its own."""
    from pydantic import ValidationError

    from ..train.settings import TrainSettings
    from ..train.task import load_task

    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return TrainSettings.model_validate({**load_task(task).defaults, **given, "task": task})
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{' '.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}") from None


def _print_epoch(epoch: Epoch) -> None:
    figures = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in epoch.figures.items())
    waited = f"{epoch.waited / epoch.seconds:.0%} waiting for examples"
    out.print(f"epoch {epoch.number}: loss {epoch.loss:.4f}; held out: {figures}; {epoch.seconds:.0f} s, {waited}")
    sys.stdout.flush()


def _print_end(record: RunRecord, place: str) -> None:
    figures = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in record.figures.items())
    out.print(f"{record.status}: {figures} (epoch {record.best})\nwritten: {place}", soft_wrap=True)
