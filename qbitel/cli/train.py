"""``qbitel train``: fit a network, here or on workers of Ray."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from .console import out, print_json
from .places import open_storage, storage_option

if TYPE_CHECKING:
    from ..cluster.storage import Storage
    from ..train.record import Epoch, RunRecord
    from ..train.settings import TrainSettings, WorkerSettings

SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("seed", int, "Draws first parameters and examples."),
    ("examples", int, "Examples to train on."),
    ("epochs", int, "Parts of the training; each ends with evaluation and checkpoint."),
    ("batch", int, "Examples of a step, over all workers."),
    ("rate", float, "Highest learning rate."),
    ("decay", float, "Share of the steps, at the end, that lower the rate to zero."),
    ("held-out", int, "Examples to evaluate on."),
    ("patience", int, "Epochs without a better held-out loss after which to stop."),
    ("precision", click.Choice(["fp32", "bf16"]), "Of the products in training."),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    Add the options of a training: its settings (in ``chosen``), its set, the run, and its workers (as ``team``).
    """

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        each = {name: options.pop(name) for name in ("cpus", "gpu", "sources", "source_cpus")}
        team = {"text": options.pop("workers"), "chosen": each}
        return command(*arguments, team=team, **options)

    for option in reversed([*_SETTINGS, *_WORKERS]):
        run = option(run)
    return run


_SETTINGS = [
    *(click.option(f"--{name}", type=kind, help=told) for name, kind, told in SETTINGS),
    click.option("--compile", "compiled", is_flag=True, default=None, help="Run the network through torch.compile."),
    click.option("--set", "labelled", metavar="NAME[@NUMBER]", help="Training set to learn from."),
    click.option("--share", type=float, help="Of the segmenter's examples, from the set (0.25)."),
    click.option("--run", "name", help="Name of the run; made up if not given."),
    click.option("--resume", is_flag=True, help="Go on with the run from its newest checkpoint."),
]
_WORKERS = [
    click.option("--workers", default="0", metavar="N|MIN:MAX", help="Processes that train; 0: this one, without Ray."),
    click.option("--cpus", type=float, help="Logical cores of each worker (1)."),
    click.option("--gpu", is_flag=True, default=None, help="A GPU for each worker."),
    click.option("--sources", type=int, help="Processes that make examples, for each worker (1)."),
    click.option("--source-cpus", type=float, help="Logical cores of each of these (0.5)."),
    click.option("--submit", metavar="ADDRESS", help="Hand this to the Ray cluster with this dashboard, and return."),
]


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
def ray_for(workers: WorkerSettings) -> Iterator[None]:
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
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@storage_option
def train_command(
    task: str, name: str | None, resume: bool, as_json: bool, storage_uri: str, team: dict[str, Any],
    submit: str | None, labelled: str | None, **chosen: Any,
) -> None:  # fmt: skip
    """
    Train the network TASK (segmenter, classifier) and keep the run in a storage.

    A run is resumed with the settings it was begun with; only workers may differ. With workers, a Ray is started here,
    unless RAY_ADDRESS (as in a submitted job) or QBITEL_RAY_ADDRESS names one to join.
    """
    from ..train.loop import silent
    from ..train.runs import Run
    from ..train.start import run_name, start

    workers = workers_of(**team)
    if submit:
        hand_over(submit)
        return
    storage = open_storage(storage_uri)
    if resume and name is None:
        raise click.UsageError("--resume needs --run")
    name = name or run_name(task)
    settings = Run(storage, name).record().settings if resume else settings_of(task, chosen, storage, labelled)
    if not as_json:
        out.print(f"run {name}: {settings.examples:,} examples in {settings.epochs} epochs", highlight=False)
    with ray_for(workers):
        told = silent if as_json else print_epoch
        record = start(name, settings, storage, workers, resume=resume, told=told)
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        _print_end(record, storage.place(f"runs/{name}"))


def hand_over(address: str) -> None:
    """Submit the command that this process was started with to a cluster, and print the job's id."""
    from ..cluster.submit import submit_command

    out.print(submit_command(address, sys.argv[1:]), highlight=False)


def settings_of(task: str, chosen: dict[str, Any], storage: Storage, labelled: str | None) -> TrainSettings:
    """Return the settings of a training of that task, with those that were chosen in place of its own."""
    from pydantic import ValidationError

    from ..train.sets import TrainingSets
    from ..train.settings import TrainSettings
    from ..train.task import task_class

    given = {"task": task, **{name: value for name, value in chosen.items() if value is not None}}
    if labelled:
        version = TrainingSets(storage).version(labelled)
        given |= {"labelled": f"{version.name}@{version.number}", "labelled_digest": version.digest}
    try:
        return TrainSettings.model_validate({**task_class(task).defaults, **given})
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{' '.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}") from None


def print_epoch(epoch: Epoch) -> None:
    """Print a line."""
    figures = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in epoch.figures.items())
    waited = f"{epoch.waited / epoch.seconds:.0%} waiting for examples"
    out.print(f"epoch {epoch.number}: loss {epoch.loss:.4f}; held out: {figures}; {epoch.seconds:.0f} s, {waited}")
    sys.stdout.flush()


def _print_end(record: RunRecord, place: str) -> None:
    figures = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in record.figures.items())
    out.print(f"{record.status}: {figures} (epoch {record.best})\nwritten: {place}", soft_wrap=True)
