"""Many schedules, added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .schedule import Schedule
from .world import Guards


@dataclass
class Campaign:
    """
    Sums over schedules.

    Attributes:
        bad: seeds of the schedules that are not sound. places: steps at which processes stopped, by step and fate.
    """

    schedules: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    unfinished: int = 0
    kept: int = 0
    wrong_memory: int = 0
    leftover: int = 0
    bad: list[int] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    places: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        """Whether every schedule was."""
        return not self.bad

    def __str__(self) -> str:
        """Return the one line."""
        happened = ", ".join(f"{count} {name}" for name, count in sorted(self.events.items()))
        steps = len({step for step, _ in self.places})
        first = f", first bad seed {self.bad[0]}" if self.bad else ""
        return (
            f"{self.schedules} schedules: {self.acknowledged} messages acknowledged, {self.lost} lost, "
            f"{self.doubled} doubled, {self.kept} erased but there, {self.unfinished} batches stuck, "
            f"{self.wrong_memory} shards miscounted, {self.leftover} objects left over; "
            f"{self.places.total()} faults at {len(self.places)} places of {steps} steps; {happened}{first}"
        )


def run_campaign(schedules: int, seed: int = 0, guards: Guards | None = None) -> Campaign:
    """Run schedules with seeds from ``seed`` on."""
    total = Campaign()
    for number in range(seed, seed + schedules):
        report = Schedule(number, guards or Guards()).run()
        total.schedules += 1
        total.acknowledged += report.verdict.acknowledged
        total.lost += report.verdict.lost
        total.doubled += report.verdict.doubled + report.verdict.foreign
        total.kept += report.verdict.kept
        total.leftover += report.leftover
        total.unfinished += report.unfinished
        total.wrong_memory += report.wrong_memory
        total.events += report.events
        total.places += report.stops
        if not report.sound:
            total.bad.append(number)
    return total
