"""
A circuit breaker: calls to what fails too often are refused at once, but for a few that see whether it is back.

It decides and does nothing: it reads a clock that it is given, and whoever calls tells it how calls ended.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic


class State(IntEnum):
    """Closed lets all calls through, open none, half-open a few."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True)
class BreakerSettings:
    """
    When a breaker opens and closes.

    Attributes:
        window_s: errors are counted over so many seconds. least: calls in them below which nothing is decided.
        rate: share of failed calls that opens it. most_rate: what that may grow to where some calls always fail: the
            share is at least twice what is usual.
        first_s, most_s: time it stays open; doubled each time that a probe fails, with jitter.
        probes: calls that must succeed, one after the other, before it closes.
    """

    window_s: float = 10.0
    least: int = 5
    rate: float = 0.5
    most_rate: float = 0.9
    first_s: float = 1.0
    most_s: float = 30.0
    probes: int = 2


_USUAL_S = 600.0  # the usual error rate is a moving mean over about so long


class Breaker:
    """
    One dependency's breaker; may be used from any thread.

    Every call that ``admit`` lets through ends with ``succeeded`` or ``failed``.
    """

    def __init__(
        self, settings: BreakerSettings | None = None, clock: Callable[[], float] = monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.settings = settings or BreakerSettings()
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        self._ends: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._usual = 0.0
        self._told = clock()
        self._state, self._until, self._opened = State.CLOSED, 0.0, 0
        self._probing, self._passed, self._probed = 0, 0, 0.0

    @property
    def state(self) -> State:
        """What it does with the next call."""
        with self._lock:
            self._wake()
            return self._state

    @property
    def threshold(self) -> float:
        """The share of failed calls that opens it now."""
        return min(max(self.settings.rate, 2 * self._usual), self.settings.most_rate)

    def admit(self) -> bool:
        """Say whether a call may be made now."""
        with self._lock:
            self._wake()
            if self._state is State.HALF_OPEN:
                # A probe that never ended is given up after the time of a window.
                if self._probing and self._clock() - self._probed < self.settings.window_s:
                    return False
                self._probing, self._probed = 1, self._clock()
            return self._state is not State.OPEN

    def succeeded(self) -> None:
        """Tell that a call ended well."""
        with self._lock:
            self._end(failed=False)
            if self._state is State.HALF_OPEN:
                self._probing, self._passed = 0, self._passed + 1
                if self._passed >= self.settings.probes:
                    self._state, self._opened = State.CLOSED, 0
                    self._ends.clear()
                    self._failures = 0

    def failed(self) -> None:
        """Tell that the dependency failed a call."""
        with self._lock:
            self._end(failed=True)
            if self._state is State.HALF_OPEN or (self._state is State.CLOSED and self._too_many()):
                self._open()

    def retry_after(self) -> float:
        """Return the seconds after which asking again makes sense."""
        with self._lock:
            return max(self._until - self._clock(), 0.0) if self._state is State.OPEN else 0.0

    def _too_many(self) -> bool:
        return len(self._ends) >= self.settings.least and self._failures / len(self._ends) >= self.threshold

    def _open(self) -> None:
        longest = min(self.settings.first_s * 2**self._opened, self.settings.most_s)
        # Half of it is chance: replicas that opened together shall not all ask again together.
        self._until = self._clock() + longest * (0.5 + 0.5 * self._chance())
        self._state, self._opened = State.OPEN, min(self._opened + 1, 30)
        self._probing = self._passed = 0

    def _wake(self) -> None:
        if self._state is State.OPEN and self._clock() >= self._until:
            self._state, self._probing, self._passed = State.HALF_OPEN, 0, 0

    def _end(self, *, failed: bool) -> None:
        now = self._clock()
        if self._state is State.CLOSED:
            share = 1 - 2 ** (-(now - self._told) / _USUAL_S)
            self._usual += share * (float(failed) - self._usual)
        self._told = now
        self._ends.append((now, failed))
        self._failures += failed
        while self._ends[0][0] < now - self.settings.window_s:
            self._failures -= self._ends.popleft()[1]
