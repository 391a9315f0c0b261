"""
What training costs: here and on workers of Ray, at each precision, and whether the sources keep up.

    python -m benchmarks.training [--examples 960] [--repeats 3]

Processor seconds an example are those of the processes that train and of those that make examples, without start-up:
the first of each run's epochs is left out. Of the repeats the middle one is printed, with the least and the largest.
The first table is what two busy processes cost each other on this machine when they have nothing to do with each other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context

import torch

from qbitel.cluster.ray_start import ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.cluster.storage import Storage
from qbitel.train.boundaries.task import SegmenterTask
from qbitel.train.evaluation.machine import page_head
from qbitel.train.record import Epoch
from qbitel.train.settings import TrainSettings, WorkerSettings
from qbitel.train.start import start

EPOCHS = 3
HEAD = "processor ms an example | ratio | examples a second, by the clock | waited |\n|---|---|--:|---|---|"
HERE = WorkerSettings()
WAYS = {
    "make their examples themselves": {n: WorkerSettings(fewest=n, most=n, sources=0) for n in (1, 2)},
    "and one source for each": {n: WorkerSettings(fewest=n, most=n) for n in (1, 2)},
}
PRECISIONS: dict[str, dict[str, object]] = {
    "fp32": {}, "bf16": {"precision": "bf16"}, "fp32, compiled": {"compiled": True},
}  # fmt: skip


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the middle value with the least and the largest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def settings(examples: int, **chosen: object) -> TrainSettings:
    """Return those of a short training."""
    task = {"task": "segmenter", "examples": examples, "epochs": EPOCHS, "held_out": 2}
    return TrainSettings.model_validate({**SegmenterTask.defaults, **task, **chosen})


def epochs_of(name: str, chosen: TrainSettings, workers: WorkerSettings) -> list[Epoch]:
    """Train, and return the epochs without the first."""
    with tempfile.TemporaryDirectory() as folder:
        return start(name, chosen, Storage(folder), workers).epochs[1:]


def per_example(epochs: Sequence[Epoch], examples: int) -> float:
    """Return processor milliseconds an example."""
    cpu = sum(epoch.cpu_seconds + epoch.source_cpu_seconds for epoch in epochs)
    return 1e3 * cpu / (examples // EPOCHS * len(epochs))


def source_rate(count: int) -> float:
    """Return examples a processor second that the source makes."""
    source = SegmenterTask().source
    source.example(1, 0)
    begun = time.process_time()
    for number in range(count):
        source.example(1, number)
    return count / (time.process_time() - begun)


def apart(chosen: TrainSettings, repeats: int) -> dict[str, list[list[Epoch]]]:
    """Run one training, then two that know nothing of each other: what busy neighbours cost, without any team."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(epochs_of, ("w", "w"), (chosen, chosen), (HERE, HERE)))
        alone = [pool.submit(epochs_of, "a", chosen, HERE).result() for _ in range(repeats)]
        pairs = [list(pool.map(epochs_of, "ab", (chosen, chosen), (HERE, HERE))) for _ in range(repeats)]
    return {"1": alone, "2": [epochs for epochs, _ in pairs]}


def table(title: str, runs: dict[str, list[list[Epoch]]], examples: int) -> None:
    """Print the ways side by side; the ratio is to the first."""
    told(f"| {title} | {HEAD}")
    base = 0.0
    for name, repeats in runs.items():
        costs = [per_example(epochs, examples) for epochs in repeats]
        rates = [examples // EPOCHS * len(epochs) / sum(e.seconds for e in epochs) for epochs in repeats]
        waits = [sum(e.waited for e in epochs) / sum(e.seconds for e in epochs) for epochs in repeats]
        base = base or statistics.median(costs)
        ratio = f"{statistics.median(costs) / base:.2f}"
        told(f"| {name} | {spread(costs)} | {ratio} | {spread(rates, '.0f')} | {spread(waits, '.0%')} |")
    told("")


def told(*lines: str) -> None:
    """Print lines of the page at once; what Ray says meanwhile goes to the other stream."""
    assert sys.__stdout__ is not None
    sys.__stdout__.write("\n".join(lines) + "\n")
    sys.__stdout__.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What training costs.")
    parser.add_argument("--examples", type=int, default=960)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen, repeats = settings(arguments.examples), range(arguments.repeats)
    told(page_head("Training", ("qbitel", "numpy", "torch", "ray")))
    told(f"Load of the machine before: {os.getloadavg()[0]:.1f}; what others did during the run is in the spread.", "")
    told(f"The source makes {spread([source_rate(300) for _ in repeats], '.0f')} examples a processor second.", "")
    with redirect_stdout(sys.stderr), ray_cluster(ServiceSettings()):
        # In turns, so that what else the machine does falls on both.
        table("no Ray, trainings of their own at once", apart(chosen, arguments.repeats), arguments.examples)
        for title, ways in WAYS.items():
            runs: dict[str, list[list[Epoch]]] = {f"{number}": [] for number in ways}
            for repeat in repeats:
                for number, workers in ways.items():
                    runs[f"{number}"].append(epochs_of(f"r{repeat}", chosen, workers))
            table(f"workers of Ray, {title}", runs, arguments.examples)
    here = {
        name: [epochs_of(f"r{repeat}", settings(arguments.examples, **how), HERE) for repeat in repeats]
        for name, how in PRECISIONS.items()
    }
    table("in one process, without Ray", here, arguments.examples)


if __name__ == "__main__":
    main()
