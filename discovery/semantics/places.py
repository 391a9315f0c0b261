"""Whether messages of all types hold the same bytes in one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..falsification import refuted
from ..sample import Sample
from ..settings import DiscoverySettings

_GLANCE = 64  # messages that tell at once where most hold something else


class Places:
    """The messages of the sample, whatever their type."""

    def __init__(self, sample: Sample, settings: DiscoverySettings) -> None:
        self.view, self.held, self.settings = sample.view, sample.held_out, settings
        self._known: dict[tuple[int, bytes], bool] = {}

    def hold(self, offset: int, value: bytes) -> bool:
        """
        Return whether the messages that are long enough have these bytes at an offset.

        Neither the proposing nor the held-out ones may refute it, by the settings' epsilon.
        """
        if (offset, value) not in self._known:
            self._known[offset, value] = self._hold(offset, value)
        return self._known[offset, value]

    def _hold(self, offset: int, value: bytes) -> bool:
        rows = np.flatnonzero(self.view.lengths >= offset + len(value))
        if not self._share(rows[:_GLANCE], offset, value[:1]).mean() >= 0.9:
            return False
        holds = self._share(rows, offset, value)
        held = self.held[rows]
        return not any(refuted(int((part & ~holds).sum()), int(part.sum()), self.settings) for part in (held, ~held))

    def _share(self, rows: NDArray[np.int64], offset: int, value: bytes) -> NDArray[np.bool_]:
        """Return which of these messages have the bytes."""
        at = (self.view.starts[rows] + offset)[:, None] + np.arange(len(value))
        same: NDArray[np.bool_] = (self.view.data[at] == np.frombuffer(value, np.uint8)).all(axis=1)
        return same
