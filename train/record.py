"""The record of a run: what was trained, on what, with which code, and how it went, epoch by epoch."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .settings import RUN_NAME, TrainSettings

Status = Literal["running", "done", "stopped"]
RUNNING: Status = "running"
DONE: Status = "done"
STOPPED: Status = "stopped"


class Epoch(BaseModel):
    """
    One epoch.

    Attributes:
        step: steps taken so far. loss: mean over the epoch's examples. figures: on held-out examples.
        seconds: of its steps, without evaluation; waited: of these, waiting for examples (mean of the
            workers). cpu_seconds: of the processes that train; source_cpu_seconds: of those that make examples.
        workers: processes that trained.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    step: int
    loss: float
    figures: dict[str, float]
    seconds: float
    waited: float
    cpu_seconds: float
    source_cpu_seconds: float
    workers: int


class RunRecord(BaseModel):
    """
    A run.

    Attributes:
        data: sums of the digests of all examples that were trained on (``arrays.digest``): equal for equal data.
        code: version, commit (with + where files were changed) and digest of the sources.
        team: the process ids of those that trained last, by rank. best: the epoch whose parameters were kept.
        figures: of the kept parameters, calibrated, on examples that neither training, choice nor calibration saw.
        weights: SHA-256 of ``weights.safetensors``.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=RUN_NAME)
    status: Status = RUNNING
    settings: TrainSettings
    settings_hash: str
    sets: dict[str, str] = Field(default_factory=dict)
    data: list[int] = Field(default_factory=lambda: [0] * 8)
    code: dict[str, str] = Field(default_factory=dict)
    machine: list[str] = Field(default_factory=list)
    team: list[int] = Field(default_factory=list)
    started: datetime = Field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = Field(default_factory=lambda: datetime.now(UTC))
    epochs: list[Epoch] = Field(default_factory=list)
    best: int | None = None
    figures: dict[str, float] = Field(default_factory=dict)
    better: list[str] = Field(default_factory=list)
    weights: str | None = None

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.epochs[-1].step if self.epochs else 0

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the last ``patience`` of them were no better than one before."""
        settings = self.settings
        tired = settings.patience and self.best is not None and len(self.epochs) - self.best >= settings.patience
        return len(self.epochs) >= settings.epochs or bool(tired)

    def add(self, epoch: Epoch, digests: Iterable[float]) -> None:
        """Append an epoch and the sums of its examples' digests; the least held-out loss is the best."""
        self.data = [(a + int(b)) % (1 << 32) for a, b in zip(self.data, digests, strict=True)]
        self.epochs.append(epoch)
        self.best = min(self.epochs, key=lambda each: each.figures["loss"]).number
        self.updated = datetime.now(UTC)


@cache
def code_version() -> dict[str, str]:
    """Return version, commit and digest of the sources that decide what a training gives."""
    package, found = Path(__file__).parents[1], sha256()
    # The rooms may be links: they are walked by their own paths.
    rooms = [(package / room).resolve() for room in ("cluster", "discovery", "train")]
    for path in (path for room in rooms for path in sorted(room.rglob("*.py"))):
        found.update(f"{path.parent.name}/{path.name}\0".encode() + path.read_bytes())
    commit = _commit(Path(__file__).resolve().parent)
    return {"version": metadata.version("qbitel"), "commit": commit, "sources": found.hexdigest()[:16]}


def _commit(folder: Path) -> str:
    try:
        ask = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""  # installed without its history
