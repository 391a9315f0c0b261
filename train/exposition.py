"""The newest figures of a run in Prometheus' text format, for the textfile collector."""

from __future__ import annotations

from collections.abc import Iterator

from .record import RUNNING, RunRecord


def exposition(record: RunRecord) -> str:
    """Return gauges of the run, labelled with its id and its task; the names of held-out figures are a label."""
    labels = f'run="{record.id}",task="{record.settings.task}"'
    lines = []
    for name, told, values in _gauges(record):
        lines += [f"# HELP qbitel_train_{name} {told}", f"# TYPE qbitel_train_{name} gauge"]
        lines += [f"qbitel_train_{name}{{{labels}{more}}} {value!r}" for more, value in values]
    return "\n".join(lines) + "\n"


def _gauges(record: RunRecord) -> Iterator[tuple[str, str, list[tuple[str, float]]]]:
    yield "running", "1 while the run goes on.", [("", float(record.status == RUNNING))]
    yield "epochs", "Epochs done.", [("", float(len(record.epochs)))]
    yield "updated_seconds", "When the newest epoch ended, Unix time.", [("", record.updated.timestamp())]
    if record.epochs:
        last = record.epochs[-1]
        yield "steps", "Steps taken.", [("", float(last.step))]
        yield "loss", "Mean loss over the newest epoch.", [("", last.loss)]
        yield "workers", "Processes that trained in the newest epoch.", [("", float(last.workers))]
        yield "epoch_seconds", "Seconds of the newest epoch.", [("", last.seconds)]
        yield "waited_seconds", "Of these, waiting for examples.", [("", last.waited)]
        figures = [(f',figure="{name}"', value) for name, value in sorted(last.figures.items())]
        yield "held_out", "Figures on held-out examples after the newest epoch.", figures
