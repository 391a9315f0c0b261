"""``qbitel retrain``: from new labels to a challenger."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import EXIT_NO
from .console import out, print_json
from .places import open_registry, open_storage, storage_option
from .sets import add_files
from .train import hand_over, print_epoch, ray_for, run_options, settings_of, workers_of

if TYPE_CHECKING:
    from ..train.retrain import Retrained


@click.command("retrain")
@click.argument("task")
@click.option("--labels", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Add to the set first.")
@click.option("--afresh", is_flag=True, help="Start from random parameters, not from the champion's.")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@storage_option
def retrain_command(
    task: str, labels: Path | None, afresh: bool, name: str | None, resume: bool, as_json: bool, storage_uri: str,
    team: dict[str, Any], submit: str | None, labelled: str | None, **chosen: Any,
) -> None:  # fmt: skip
    """
    Train the network TASK on the newest version of a set, judge it beside the champion, and register it.

    It becomes the challenger unless it is worse than the champion; then the exit code is 1, and it is only registered.
    """
    from ..train.loop import silent
    from ..train.retrain import champion_of, retrain
    from ..train.runs import Run
    from ..train.start import run_name

    if submit:
        hand_over(submit)
        return
    storage, registry = open_storage(storage_uri), open_registry(storage_uri)
    if labels is not None:
        add_files(storage, _named(labelled), labels)
    name = name or run_name(task)
    champion = None if afresh else champion_of(registry, task)
    chosen["start"] = champion.digest if champion else None
    settings = Run(storage, name).record().settings if resume else settings_of(task, chosen, storage, labelled)
    workers = workers_of(**team)
    with ray_for(workers):
        told = silent if as_json else print_epoch
        made = retrain(name, settings, storage, workers, registry, resume=resume, told=told)
    print_json(_document(made)) if as_json else _tell(made)
    if not made.challenges:
        sys.exit(EXIT_NO)


def _named(labelled: str | None) -> str:
    if labelled is None:
        raise click.UsageError("--labels needs --set")
    return labelled


def _document(made: Retrained) -> dict[str, Any]:
    champion = f"{made.champion.model}@{made.champion.number}" if made.champion else None
    rows = [{**asdict(one), "verdict": one.verdict} for one in made.differences]
    version = f"{made.version.model}@{made.version.number}"
    return {
        "run": made.record.id, "version": version, "champion": champion, "challenger": made.challenges,
        "figures": made.record.figures, "differences": rows,
    }  # fmt: skip


def _tell(made: Retrained) -> None:
    version = f"{made.version.model}@{made.version.number}"
    if made.champion is None:
        out.print(f"{version}: no champion to judge it beside", highlight=False)
    for one in made.differences:
        shown = f"{one.mean:+.4f} [{one.low:+.4f} to {one.high:+.4f}] on {one.examples} examples: {one.verdict}"
        out.print(f"{one.name.replace('_', ' ')}: {shown}", highlight=False, soft_wrap=True)
    out.print(f"{version}: " + ("challenger" if made.challenges else "worse than the champion, and no challenger"))
