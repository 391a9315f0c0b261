"""
Fit the classifier on generated traffic and write the weights that the package ships.

    python -m qbitel.train.known.build --out known --seed 1
    python -m qbitel.train.classifier.fit --data known

The same as ``qbitel sets add known known`` and ``qbitel train classifier --set known``, whose weights then take the
place of the shipped ones. Needs the extra ``train``; some minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ...cluster.storage import Storage
from ..record import Epoch, RunRecord
from ..runs import Run
from ..sets import TrainingSets, labelled_files
from ..settings import TrainSettings, WorkerSettings
from ..start import start
from .task import ClassifierTask

RUN = SET = "known"
SHIPPED = Path(__file__).resolve().parents[2] / "discovery" / "classifier" / "weights.safetensors"


def fit(data: Path, folder: Path, out: Path, **chosen: object) -> RunRecord:
    """Fit on the labelled files of ``data``, keeping set and run in ``folder``, and write the weights to ``out``."""
    storage = Storage(folder)
    made = TrainingSets(storage).add(SET, labelled_files(data))
    named = {"labelled": f"{SET}@{made.number}", "labelled_digest": made.digest}
    settings = {**ClassifierTask.defaults, "task": ClassifierTask.name, **named, **chosen}
    record = start(RUN, TrainSettings.model_validate(settings), storage, WorkerSettings(), told=_tell)
    out.write_bytes(Run(storage, RUN).weights())
    return record


def _tell(epoch: Epoch) -> None:
    shown = ", ".join(f"{name} {value:.4f}" for name, value in epoch.figures.items())
    sys.stdout.write(f"step {epoch.step}: loss {epoch.loss:.4f}; held out: {shown}; {epoch.cpu_seconds:.0f} s\n")
    sys.stdout.flush()


def main() -> None:
    """Fit, write, print."""
    parser = argparse.ArgumentParser(description="Fit the protocol classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled Parquet files")
    parser.add_argument("--examples", type=int, default=ClassifierTask.defaults["examples"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        record = fit(arguments.data, Path(folder), arguments.out, examples=arguments.examples, seed=arguments.seed)
    shown = ", ".join(f"{name} {value:.4f}" for name, value in record.figures.items())
    sys.stdout.write(f"held out: {shown}\n")


if __name__ == "__main__":
    main()
