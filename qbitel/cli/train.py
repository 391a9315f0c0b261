"""``qbitel train``: fit a network, here or on workers of Ray."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .console import out, print_json
from .places import open_storage, storage_option

if TYPE_CHECKING:
    from ..train.record import Epoch, RunRecord
    from ..train.settings import TrainSettings

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


def workers_of(text: str) -> tuple[int, int]:
    """Return (fewest, most) of ``2`` or ``1:4``."""
    fewest, _, most = text.partition(":")
    try:
        return int(fewest), int(most or fewest)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor two as 1:4", param_hint="--workers") from None


@click.command("train")
@click.argument("task")
@_settings_options
@click.option("--compile", "compiled", is_flag=True, default=None, help="Run the network through torch.compile.")
@click.option("--run", "name", help="Name of the run; made up if not given.")
@click.option("--resume", is_flag=True, help="Go on with the run from its newest checkpoint.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@storage_option
def train_command(
    task: str, name: str | None, resume: bool, as_json: bool, storage_uri: str, **chosen: Any
) -> None:
    """
    Train the network TASK (segmenter) and keep the run in a storage.

    A run is resumed with the settings it was begun with; only workers may differ.
    """
    from ..train.loop import silent
    from ..train.runs import Run
    from ..train.settings import WorkerSettings
    from ..train.start import run_name, start

    storage, workers = open_storage(storage_uri), WorkerSettings()
    if resume and name is None:
        raise click.UsageError("--resume needs --run")
    name = name or run_name(task)
    settings = Run(storage, name).record().settings if resume else settings_of(task, chosen)
    told = silent if as_json else _print_epoch
    if not as_json:
        out.print(f"run {name}: {settings.examples:,} examples in {settings.epochs} epochs", highlight=False)
    record = start(name, settings, storage, workers, resume=resume, told=told)
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
