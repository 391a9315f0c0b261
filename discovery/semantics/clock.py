"""Fields that hold times near those of the capture, wherever in a message they stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..relations.timestamp import (
    FORMS,
    NEAR,
    WRONG_CLOCKS,
    Form,
    beyond_chance,
    distance_from_clock,
    near_times,
    no_clock,
)
from ..sample import Sample
from ..spec import Timestamp
from .judge import Proposal
from .profile import Profile

_GLANCE = 16  # values of which half must be times, before all are looked at
_FEWEST = 8
_STRICT = 0.01


class Clock:
    """The times of a sample's messages; without one of day for all of them, nothing is said."""

    def __init__(self, sample: Sample) -> None:
        self.ts = sample.view.ts
        self.forms = [form for form in FORMS if form.epoch >= 0]
        if not len(self.ts) or no_clock(self.ts).any():
            self.forms = []
            return
        first, last = float(self.ts.min()) - NEAR, float(self.ts.max()) + NEAR
        self._low = np.array([form.epoch + int(first * form.rate) for form in self.forms], np.uint64)
        self._high = np.array([form.epoch + int(last * form.rate) for form in self.forms], np.uint64)
        self._width = np.array([form.width for form in self.forms])

    def time(self, profile: Profile) -> Proposal | None:
        """
        Return the claim that the values are times within a day of the capture's own, in seven of ten messages.

        Where nearly all are, it is a constraint. Chance, and values that do not move as the clock does, are ruled out
        as they are for columns (``relations.timestamp``).
        """
        if not self.forms or profile.width not in (4, 6, 8) or profile.count("n") < _FEWEST:
            return None
        found = [reading for little in (False, True) for reading in self._readings(profile, little)]
        if not found:
            return None
        _, _, form, little, holds = min(found, key=lambda reading: reading[:2])
        strict = bool(holds.mean() >= 1 - _STRICT)
        return Proposal(
            "timestamp", "timestamp", Timestamp(form=form.name) if strict else None, holds,
            epsilon=None if strict else WRONG_CLOCKS, statement=f"{form.name} within a day of the capture's time",
            encoding="uint", endianness="little" if little else "big",
        )  # fmt: skip

    def _readings(self, profile: Profile, little: bool) -> list[tuple[int, int, Form, bool, NDArray[np.bool_]]]:
        """Return what may be read in one byte order: distance from the clock, rank of the form, form, order, leaves."""
        values = profile.numbers(little)
        proposing = ~profile.held
        glance = values[proposing][:_GLANCE, None]
        inside = ((glance >= self._low) & (glance <= self._high)).sum(axis=0)
        ranks = np.flatnonzero((self._width == profile.width) & (2 * inside >= len(glance)))
        readings = []
        for rank in ranks.tolist():
            form, ts = self.forms[rank], self.ts[profile.leaves.rows[profile.span]]
            holds = near_times(values, ts, form)
            if holds[proposing].mean() >= 1 - WRONG_CLOCKS and beyond_chance(values[proposing], ts[proposing], form):
                distance = distance_from_clock(values[proposing], ts[proposing], form)
                readings.append((distance, rank, form, little, holds))
        return readings
