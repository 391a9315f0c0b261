"""
Fit the boundary network on simulated protocols and write the weights that the package ships.

    python -m qbitel.train.boundaries.fit

The same as ``qbitel train segmenter``, whose weights then take the place of the shipped ones. The same settings give
the same weights on one build of torch and one kind of processor. ``--kept FOLDER`` goes on where an earlier call with
the same folder was broken off. ``--start FILE`` goes on from weights, on other examples if ``--seed`` is another one.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ...cluster.storage import Storage
from ..record import Epoch, RunRecord
from ..runs import Run
from ..settings import TrainSettings, WorkerSettings
from ..start import start
from .task import SegmenterTask

RUN = "shipped"
SHIPPED = Path(__file__).resolve().parents[2] / "discovery" / "boundaries" / "weights.safetensors"


def fit(settings: TrainSettings, folder: Path, out: Path, weights: bytes | None = None) -> RunRecord:
    """
    Fit, keeping the run in ``folder`` and going on with it where it is there, and write the weights to ``out``.

    Args:
        weights: to start from; ``settings.start`` is their SHA-256.
    """
    storage = Storage(folder)
    run = Run(storage, RUN)
    record = start(RUN, settings, storage, WorkerSettings(), resume=run.exists(), weights=weights, told=_tell)
    out.write_bytes(run.weights())
    return record


def _tell(epoch: Epoch) -> None:
    shown = ", ".join(f"{name} {value:.4f}" for name, value in epoch.figures.items())
    sys.stdout.write(f"step {epoch.step}: loss {epoch.loss:.4f}; held out: {shown}; {epoch.seconds:.0f} s\n")
    sys.stdout.flush()


def main() -> None:
    """Fit, write, print."""
    defaults = SegmenterTask.defaults
    parser = argparse.ArgumentParser(description="Fit the boundary network on simulated protocols.")
    parser.add_argument("--examples", type=int, default=defaults["examples"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--kept", type=Path, help="folder of the run's checkpoints, gone on from")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    chosen = {**defaults, "task": SegmenterTask.name}
    chosen |= {name: getattr(arguments, name) for name in ("examples", "seed", "rate")}
    weights = arguments.start.read_bytes() if arguments.start else None
    chosen["start"] = sha256(weights).hexdigest() if weights is not None else None
    with TemporaryDirectory() as folder:
        record = fit(TrainSettings.model_validate(chosen), arguments.kept or Path(folder), arguments.out, weights)
    shown = ", ".join(f"{name} {value:.4f}" for name, value in record.figures.items())
    sys.stdout.write(f"held out: {shown}\n")


if __name__ == "__main__":
    main()
