"""Two runs side by side: what was set differently, what came of it, whether chance explains it, what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .record import RunRecord

RESAMPLES = 2000
SEED = 20260101


@dataclass(frozen=True)
class Difference:
    """
    Mean of (second - first) over examples that both were judged on.

    Attributes:
        low, high: 95 % interval of the mean, by resampling examples (Efron 1979). better: whether more is better.
    """

    name: str
    mean: float
    low: float
    high: float
    examples: int
    better: bool

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, or ``no difference seen`` where the interval holds zero."""
        if self.low <= 0 <= self.high:
            return "no difference seen"
        return "better" if (self.mean > 0) == self.better else "worse"


def differences(
    first: dict[str, list[float]], second: dict[str, list[float]], better: Sequence[str]
) -> list[Difference]:
    """Return the difference of each score that both runs have for equally many examples."""
    made = []
    for name in sorted(set(first) & set(second)):
        if len(first[name]) == len(second[name]) > 1:
            apart = np.array(second[name]) - np.array(first[name])
            drawn = np.random.default_rng(SEED).integers(0, len(apart), (RESAMPLES, len(apart)))
            low, high = np.quantile(apart[drawn].mean(1), [0.025, 0.975])
            made.append(Difference(name, float(apart.mean()), float(low), float(high), len(apart), name in better))
    return made


def settings_apart(first: RunRecord, second: RunRecord) -> dict[str, tuple[object, object]]:
    """Return the settings, code and sets that differ."""
    sides = [
        {**record.settings.model_dump(), **{f"code {k}": v for k, v in record.code.items()}, "sets": record.sets}
        for record in (first, second)
    ]
    return {name: (sides[0][name], sides[1].get(name)) for name in sides[0] if sides[0][name] != sides[1].get(name)}


def cost(record: RunRecord) -> dict[str, float]:
    """Return seconds, processor seconds and processor seconds an example of a run."""
    cpu = sum(epoch.cpu_seconds + epoch.source_cpu_seconds for epoch in record.epochs)
    examples = record.step * record.settings.batch
    seconds = sum(epoch.seconds for epoch in record.epochs)
    return {"seconds": seconds, "cpu_seconds": cpu, "cpu_seconds_an_example": cpu / max(1, examples)}
