"""
Health of the parts that a service stands on: each is looked at, at most so often; where the look hangs, it is down.

What is told is what was seen at the age that is told with it; a part that has never answered is never ``ok``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Literal

from ..discovery.errors import QbitelError
from .breaker import State
from .dependency import Dependency
from .observability.names import COMPONENT_UP

Status = Literal["ok", "degraded", "down"]
_SHARE = {"ok": 1.0, "degraded": 0.5, "down": 0.0}


@dataclass(frozen=True)
class Component:
    """
    A part.

    Attributes:
        look: asks the part itself, past any breaker or cache; returns its version, raises where it does not work.
        without: what the service does while it is down; empty: nothing works without it.
        guard: the breaker of the calls to it; while that is not closed, a part that answers is degraded.
    """

    name: str
    look: Callable[[], str]
    without: str = ""
    guard: Dependency | None = None


@dataclass(frozen=True)
class Seen:
    """
    What was seen of a part.

    Attributes:
        seconds: that the look took. error, failed_at: what failed last, and when by ``monotonic``; kept after that.
        at: when it was looked at, by ``monotonic``.
    """

    status: Status
    version: str
    seconds: float
    error: str
    failed_at: float | None
    at: float


class Health:
    """
    Looks at parts on demand; belongs to one event loop.

    Args:
        fresh_s: age up to which a look is given again. patience_s: a look that takes longer is a part that is down.
    """

    def __init__(self, fresh_s: float, patience_s: float) -> None:
        self._fresh_s, self._patience_s = fresh_s, patience_s
        self._components: dict[str, Component] = {}
        self._seen: dict[str, Seen] = {}
        self._looks: dict[str, asyncio.Task[tuple[str, float]]] = {}
        self._lock = asyncio.Lock()

    def watch(self, component: Component) -> None:
        """Look at one more part; one of the same name gives way."""
        self._components[component.name] = component

    def component(self, name: str) -> Component:
        """Return a part by its name."""
        return self._components[name]

    async def see(self) -> dict[str, Seen]:
        """Return what is seen of each part, looked at anew where the last look is too old or its breaker has moved."""
        async with self._lock:
            stale = [each for each in self._components.values() if not self._fresh(each)]
            for component, seen in zip(stale, await asyncio.gather(*map(self._look, stale)), strict=True):
                self._seen[component.name] = seen
                COMPONENT_UP.record(_SHARE[seen.status], component=component.name)
            return dict(self._seen)

    def _fresh(self, component: Component) -> bool:
        seen = self._seen.get(component.name)
        if seen is None or monotonic() - seen.at >= self._fresh_s:
            return False
        return seen.status != "ok" or component.guard is None or component.guard.breaker.state is State.CLOSED

    async def _look(self, component: Component) -> Seen:
        before = self._seen.get(component.name)
        # A look that still hangs is not joined by another: a part that is lost must not eat all threads.
        task = self._looks.get(component.name)
        if task is None or task.done():
            task = self._looks[component.name] = asyncio.create_task(asyncio.to_thread(_timed, component.look))
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        begun = perf_counter()
        await asyncio.wait({task}, timeout=self._patience_s)
        if not task.done():
            return self._down(before, f"no answer in {self._patience_s:g} s", perf_counter() - begun)
        failed = task.exception()
        if failed is not None:  # whatever it is, the part is down, and the others are told of
            return self._down(before, _said(failed), perf_counter() - begun)
        version, seconds = task.result()
        guard = component.guard
        status: Status = "ok" if guard is None or _closes(guard) else "degraded"
        return Seen(status, version, seconds, *_last_failure(before, guard), monotonic())

    def _down(self, before: Seen | None, error: str, seconds: float) -> Seen:
        now = monotonic()
        return Seen("down", before.version if before else "", seconds, error, now, now)


def _closes(guard: Dependency) -> bool:
    """Let a look that was answered count as a probe: without requests nothing else would close a breaker."""
    if guard.breaker.state is State.HALF_OPEN and guard.breaker.admit():
        guard.breaker.succeeded()
    return guard.breaker.state is State.CLOSED


def _last_failure(before: Seen | None, guard: Dependency | None) -> tuple[str, float | None]:
    """Return what failed last and when, of looks and of calls."""
    looked = (before.error, before.failed_at) if before else ("", None)
    if guard is None or guard.seen.failed_at is None or guard.seen.failed_at < (looked[1] or 0.0):
        return looked
    return guard.seen.error, guard.seen.failed_at


def _timed(look: Callable[[], str]) -> tuple[str, float]:
    begun = perf_counter()
    return look(), perf_counter() - begun


def _said(error: BaseException) -> str:
    """Return what may be told to strangers: errors of drivers may quote addresses with their passwords."""
    return f"{type(error).__name__}: {error.what}" if isinstance(error, QbitelError) else type(error).__name__
