"""
What the service stands on and may lose: a bounded number of calls at once, a breaker, and retries within a budget.

Where a dependency is lost, whoever called falls back on something else, and says so with ``fell_back``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ..discovery.errors import QbitelError
from .breaker import Breaker, BreakerSettings, State
from .observability.names import (
    BREAKER_OPENED,
    BREAKER_STATE,
    DEPENDENCY_SECONDS,
    FALLBACKS,
    POOL_IN_USE,
    POOL_SIZE,
    POOL_WAIT_SECONDS,
    RETRIES,
)

Answer = TypeVar("Answer")

_fallbacks: ContextVar[set[str] | None] = ContextVar("fallbacks", default=None)


class UnavailableError(QbitelError):
    """
    Something that the service stands on does not answer; asking again later is worth it.

    Attributes:
        dependency: what. retry_after: seconds.
    """

    code = "unavailable"
    retry = True

    def __init__(self, dependency: str, what: str, *, retry_after: float = 1.0) -> None:
        super().__init__(what, where=dependency, hint="try again later; /health/discovery tells more")
        self.dependency, self.retry_after = dependency, retry_after

    def __reduce__(self) -> tuple[type[UnavailableError], tuple[str, str]]:
        return UnavailableError, (self.dependency, self.what)


class RetryBudget:
    """
    Lets retries be a share of calls: where everything fails, retries would be what keeps it down.

    Args:
        share: retries that each call earns. most: what may be saved up.
    """

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self._share, self._most, self._saved = share, most, most
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Note a call."""
        with self._lock:
            self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> bool:
        """Say whether one more retry may be made, and note it."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True


@dataclass
class Seen:
    """What was seen of a dependency last: times are of ``monotonic``, latency is in seconds."""

    latency: float | None = None
    error: str = ""
    failed_at: float | None = None


class Dependency:
    """
    One thing that calls go to; may be used from any thread.

    Args:
        name: one of ``names.DEPENDENCIES``.
        failures: what its failing raises; anything else a call raises is an answer.
        size: calls at once. patience_s: how long a call waits to be one of them.
        attempts: times a call that may be repeated is made at most.
        first_s, most_s: bounds of the wait before a retry: chance between 0 and a bound that doubles (full jitter).
    """

    def __init__(
        self, name: str, failures: tuple[type[Exception], ...], *, size: int = 16, patience_s: float = 5.0,
        attempts: int = 3, first_s: float = 0.05, most_s: float = 1.0, breaker: BreakerSettings | None = None,
    ) -> None:  # fmt: skip
        self.name, self.failures, self.size = name, failures, size
        self.breaker, self.budget, self.seen = Breaker(breaker), RetryBudget(), Seen()
        self._patience_s, self._attempts, self._waits = patience_s, attempts, (first_s, most_s)
        self._slots = threading.BoundedSemaphore(size)
        self._in_use, self._lock, self._state = 0, threading.Lock(), State.CLOSED

    def call(self, work: Callable[[], Answer], *, repeat: bool = False) -> Answer:
        """
        Make a call.

        Args:
            repeat: it may be made twice without harm, so that it is made again where it fails.

        Raises:
            UnavailableError: it failed, or was not made: the breaker is open, or all slots are taken.
        """
        if not repeat:
            with self.using():
                return work()
        self.budget.earn()
        first_s, most_s = self._waits
        tries = Retrying(
            stop=stop_after_attempt(self._attempts), wait=wait_random_exponential(first_s, most_s), reraise=True,
            retry=retry_if_exception(self._worth_it), before_sleep=self._note_retry,
        )  # fmt: skip
        for attempt in tries:
            with attempt, self.using():
                answer = work()
        return answer

    @contextmanager
    def using(self) -> Iterator[None]:
        """
        Make the block a call: what it raises of ``failures`` counts as the dependency's failing.

        Raises:
            UnavailableError: as ``call`` does.
        """
        with self._slot():
            if not self.breaker.admit():
                self._tell("refused", 0.0)
                after = max(self.breaker.retry_after(), 0.1)
                raise UnavailableError(self.name, "not asked: it failed too often just now", retry_after=after)
            begun = perf_counter()
            try:
                yield
            except self.failures as error:
                self._failed(error, perf_counter() - begun)
                raise UnavailableError(self.name, f"it failed: {type(error).__name__}") from error
            except BaseException:
                self._succeeded(perf_counter() - begun)
                raise
            self._succeeded(perf_counter() - begun)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        POOL_SIZE.record(self.size, dependency=self.name)
        begun = perf_counter()
        if not self._slots.acquire(timeout=self._patience_s):
            self._tell("refused", 0.0)
            raise UnavailableError(self.name, f"{self.size} calls at once, and none ended in {self._patience_s:g} s")
        POOL_WAIT_SECONDS.record(perf_counter() - begun, dependency=self.name)
        self._use(1)
        try:
            yield
        finally:
            self._slots.release()
            self._use(-1)

    def _use(self, more: int) -> None:
        with self._lock:
            self._in_use += more
        POOL_IN_USE.record(self._in_use, dependency=self.name)

    def _succeeded(self, seconds: float) -> None:
        self.seen.latency = seconds
        self.breaker.succeeded()
        self._tell("ok", seconds)

    def _failed(self, error: BaseException, seconds: float) -> None:
        # The type alone: what a driver says may hold an address with its password, or a value.
        self.seen.error, self.seen.failed_at, self.seen.latency = type(error).__name__, monotonic(), seconds
        self.breaker.failed()
        self._tell("failed", seconds)

    def _tell(self, outcome: str, seconds: float) -> None:
        DEPENDENCY_SECONDS.record(seconds, dependency=self.name, outcome=outcome)
        state = self.breaker.state
        if state is not self._state:
            if state is State.OPEN:
                BREAKER_OPENED.record(dependency=self.name)
            self._state = state
        BREAKER_STATE.record(int(state), dependency=self.name)

    def _worth_it(self, error: BaseException) -> bool:
        if not isinstance(error, UnavailableError) or self.breaker.state is State.OPEN:
            return False
        if self.budget.spend():
            return True
        RETRIES.record(dependency=self.name, outcome="no-budget")
        return False

    def _note_retry(self, state: RetryCallState) -> None:
        RETRIES.record(dependency=self.name, outcome="again")


def fell_back(dependency: str) -> None:
    """Note that an answer is given without a dependency: the response names it, and a metric counts it."""
    FALLBACKS.record(dependency=dependency)
    noted = _fallbacks.get()
    if noted is not None:
        noted.add(dependency)


@contextmanager
def noting_fallbacks() -> Iterator[set[str]]:
    """Give the names of what the block's answer was given without; threads that it starts with its context count."""
    noted: set[str] = set()
    token = _fallbacks.set(noted)
    try:
        yield noted
    finally:
        _fallbacks.reset(token)
