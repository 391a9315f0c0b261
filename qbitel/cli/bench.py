"""``qbitel bench``: accuracy on labelled messages, speed on generated ones."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .console import output, print_json


@click.group("bench")
def bench_command() -> None:
    """Measure accuracy on labelled captures, or speed."""


@bench_command.command("accuracy")
@click.option(
    "--corpus",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of labelled Parquet files.",
)
@click.option("--protocol", "protocols", multiple=True, help="Only these protocols.")
@click.option("--limit", type=click.IntRange(2), help="At most so many distinct messages of each protocol.")
@click.option(
    "--stage",
    type=click.Choice(["engine", "segmenter"]),
    default="engine",
    help="What is scored: all stages, or the segmenter's probabilities alone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def accuracy_command(corpus: Path, protocols: tuple[str, ...], limit: int | None, stage: str, as_json: bool) -> None:
    """Score boundaries and types against a folder of labelled messages (one Parquet file a protocol)."""
    from ..train.evaluation import evaluate_accuracy

    report = evaluate_accuracy(corpus, protocols=protocols or None, limit=limit, stage=stage)
    if as_json:
        print_json(report.to_dict())
    else:
        sys.stdout.write(report.to_markdown())


@bench_command.command("speed")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--full", is_flag=True, help="Also the run over a million messages.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the growth over the number of messages as SVG.")
def speed_command(as_json: bool, full: bool, plot: Path | None) -> None:
    """Time discovery of generated messages, warm, in this process, on one core."""
    from ..train.evaluation.plot import growth_plot
    from ..train.evaluation.speed import measure_speed

    report = measure_speed(full=full)
    if plot is not None:
        with output(plot) as sink:
            sink.write(growth_plot(report.growth).encode())
    if as_json:
        print_json(report.to_dict())
    else:
        sys.stdout.write(report.to_markdown())
