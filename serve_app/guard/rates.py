"""How often a key, a user and a tenant may ask: 429 beyond it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from time import monotonic, time
from typing import Any

from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedLimiter
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter as OwnLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from ...cluster.principals import Principal
from .refusal import refuse

logger = logging.getLogger("qbitel.service")

AGAIN_S = 5.0
"""Redis that did not answer is asked again after so many seconds; until then each gateway counts for itself."""


@lru_cache(1024)
def _items(rates: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(rates)) if rates.strip() else ()


class Rates:
    """
    Counts requests in sliding windows: in this process, or in a Redis that gateways share.

    Args:
        of_key, of_tenant: as ``limits`` writes them; a principal's own go before ``of_key``.
        redis: its address; None counts here.

    Attributes:
        alone: whether Redis does not answer, and this process counts for itself.
    """

    def __init__(self, of_key: str, of_tenant: str, redis: str | None, clock: Callable[[], float] = monotonic) -> None:
        self.of_key, self.of_tenant = of_key, of_tenant
        self._own = OwnLimiter(MemoryStorage())
        self._shared: SharedLimiter | None = None
        if redis is not None:
            options: dict[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
            storage = RedisStorage(f"async+{redis}", implementation="redispy", wrap_exceptions=True, **options)
            self._shared = SharedLimiter(storage)
        self._clock, self._alone_until = clock, 0.0
        self.alone = False

    async def wait(self, principal: Principal) -> int | None:
        """Count a request; return the seconds to wait where it is one too many."""
        asked = [
            (item, "subject", f"{principal.tenant}/{principal.subject}")
            for item in _items(principal.rates or self.of_key)
        ]
        asked += [(item, "tenant", principal.tenant) for item in _items(self.of_tenant)]
        for item, *whose in asked:
            if not await self._hit(item, whose):
                return await self._until(item, whose)
        return None

    async def _hit(self, item: RateLimitItem, whose: list[str]) -> bool:
        if self._shared is not None and self._clock() >= self._alone_until:
            try:
                allowed = await self._shared.hit(item, *whose)
                self.alone = False
                return allowed
            except StorageError:
                self._fall_back()
        return self._own.hit(item, *whose)

    async def _until(self, item: RateLimitItem, whose: list[str]) -> int:
        if self._shared is not None and not self.alone:
            try:
                stats = await self._shared.get_window_stats(item, *whose)
            except StorageError:
                self._fall_back()
                return 1
        else:
            stats = self._own.get_window_stats(item, *whose)
        return max(1, ceil(stats.reset_time - time()))

    def _fall_back(self) -> None:
        if not self.alone:
            logger.warning("Redis does not answer: this gateway counts requests for itself")
        self.alone, self._alone_until = True, self._clock() + AGAIN_S


class RateLimit:
    """ASGI middleware: answers 429 where its principal asks too often."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self.app, self._rates = app, rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        principal: Principal | None = scope.get("principal")
        if principal is not None:
            seconds = await self._rates.wait(principal)
            if seconds is not None:
                hint, headers = f"try again in {seconds} s", {"Retry-After": str(seconds)}
                detail = "more requests than this key or tenant may make"
                await refuse(scope, receive, send, 429, detail, code="rate", hint=hint, headers=headers)
                return
        await self.app(scope, receive, send)
