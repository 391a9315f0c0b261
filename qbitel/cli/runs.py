"""``qbitel runs``: what was trained, how it went, and how two runs differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from rich.table import Table

from .console import out, print_json
from .places import open_storage, storage_option

if TYPE_CHECKING:
    from ..train.compare import Difference
    from ..train.record import RunRecord


@click.group("runs")
def runs_command() -> None:
    """List, show and compare trainings."""


@runs_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@storage_option
def list_command(as_json: bool, storage_uri: str) -> None:
    """List the runs of a storage, the newest first."""
    from ..train.runs import all_runs

    records = all_runs(open_storage(storage_uri))
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    table = Table("run", "task", "status", "epochs", "figures", "started", box=None)
    for record in records:
        done = f"{len(record.epochs)}/{record.settings.epochs}"
        figures = record.figures or (record.epochs[-1].figures if record.epochs else {})
        started = f"{record.started:%Y-%m-%d %H:%M}"
        table.add_row(record.id, record.settings.task, record.status, done, _figures(figures), started)
    out.print(table)


@runs_command.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@storage_option
def show_command(run: str, as_json: bool, storage_uri: str) -> None:
    """Show settings, data, code and epochs of RUN."""
    from ..train.runs import Run

    found = Run(open_storage(storage_uri), run)
    record = found.record()
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    for name, value in _facts(record).items():
        out.print(f"{name:10}{value}", soft_wrap=True)
    if record.epochs:
        out.print(_epochs(record))
        out.print(f"curve     {found.storage.place(found.path('curve.svg'))}", soft_wrap=True)


@runs_command.command("compare")
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@storage_option
def compare_command(first: str, second: str, as_json: bool, storage_uri: str) -> None:
    """Compare run SECOND with run FIRST: settings, figures with their 95 % intervals, cost."""
    from dataclasses import asdict

    from ..train.compare import cost, differences, settings_apart
    from ..train.runs import Run

    runs = [Run(open_storage(storage_uri), name) for name in (first, second)]
    records = [run.record() for run in runs]
    apart = settings_apart(records[0], records[1])
    found = differences(runs[0].scores(), runs[1].scores(), records[1].better)
    costs = [cost(record) for record in records]
    if as_json:
        rows = [{**asdict(one), "verdict": one.verdict} for one in found]
        print_json({"settings": apart, "figures": [r.figures for r in records], "scores": rows, "cost": costs})
        return
    table = Table("", first, second, "difference, 95 % interval", box=None)
    for name, (one, other) in apart.items():
        table.add_row(name, str(one), str(other), "")
    for row in _compared(records, found, costs):
        table.add_row(*row)
    out.print(table)


def _compared(records: list[RunRecord], found: list[Difference], costs: list[dict[str, float]]) -> Iterator[list[str]]:
    told = {d.name: f"{d.mean:+.4f} [{d.low:+.4f} to {d.high:+.4f}] {d.verdict} ({d.examples})" for d in found}
    for name in sorted({*records[0].figures, *records[1].figures}):
        cells = [f"{r.figures[name]:.4f}" if name in r.figures else "–" for r in records]
        yield [name.replace("_", " "), *cells, told.get(name, "")]
    for name in costs[0]:
        yield [name.replace("_", " "), *(f"{each[name]:.4g}" for each in costs), ""]


def _facts(record: RunRecord) -> dict[str, str]:
    import numpy as np

    from ..train.arrays import hexadecimal

    settings = ", ".join(f"{name} {value}" for name, value in record.settings.model_dump().items() if value is not None)
    return {
        "run": record.id, "status": record.status, "settings": f"{settings} (hash {record.settings_hash})",
        "data": f"{hexadecimal(np.array(record.data))} {record.sets or ''}".rstrip(),
        "code": ", ".join(f"{name} {value}" for name, value in record.code.items()),
        "machine": "; ".join(record.machine), "figures": _figures(record.figures) or "not yet",
        "weights": record.weights or "not yet",
    }  # fmt: skip


def _epochs(record: RunRecord) -> Table:
    names = list(record.epochs[0].figures)
    headings = [name.replace("_", " ") for name in names]
    table = Table("epoch", "step", "loss", *headings, "seconds", "waited", "workers", box=None)
    for e in record.epochs:
        kept = "*" if e.number == record.best else ""
        figures = [f"{e.figures[name]:.4f}" for name in names]
        waited = f"{e.waited / e.seconds:.0%}"
        cells = [f"{e.number}{kept}", str(e.step), f"{e.loss:.4f}", *figures]
        table.add_row(*cells, f"{e.seconds:.1f}", waited, str(e.workers))
    return table


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())
