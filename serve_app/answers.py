"""Answers that were given before: looked up before any work, and made once where several ask for the same at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import metadata

from fastapi import Request, Response

from ..cluster.cache import MEMORY, REDIS, Answer, Cache, fingerprint

_VERSION = metadata.version("qbitel")

Make = Callable[[], Awaitable[Answer | Response]]
"""Makes what a request asks for: an answer that may be given again, or a response that is for this request alone."""


class Answers:
    """
    The cache as requests see it.

    A request with ``Cache-Control: no-cache`` or ``no-store`` passes by it. An answer that may come from it says so in
    ``Cache-Status`` (RFC 9211).
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._flights: dict[str, asyncio.Task[tuple[Answer | Response, bool]]] = {}

    async def give(self, request: Request, body: bytes, versions: tuple[str, ...], make: Make) -> Response:
        """
        Answer a request with what was answered before, or with what ``make`` gives.

        Args:
            body: all of it, since every byte of it may matter. versions: of all that an answer follows from beside it.
        """
        if _passes_by(request):
            made = await make()
            return _response(made, "qbitel; fwd=bypass") if isinstance(made, Answer) else made
        key = _key(request, body, versions)
        found = self.cache.look(key)
        if found is not None:
            return _again(request, found, f"qbitel; hit; detail={MEMORY}")
        flight = self._flights.get(key)
        if flight is not None:
            made, _ = await asyncio.shield(flight)
            if isinstance(made, Answer):
                return _again(request, made, "qbitel; fwd=miss; collapsed")
        flight = self._flights[key] = asyncio.create_task(self._fly(key, make))
        flight.add_done_callback(lambda ended: self._landed(key, ended))
        made, there = await asyncio.shield(flight)
        if not isinstance(made, Answer):
            return made
        if there:
            return _again(request, made, f"qbitel; hit; detail={REDIS}")
        return _response(made, "qbitel; fwd=miss; stored")

    async def _fly(self, key: str, make: Make) -> tuple[Answer | Response, bool]:
        if self.cache.shared:
            found = await asyncio.to_thread(self.cache.recall, key)
            if found is not None:
                return found, True
        made = await make()
        if isinstance(made, Answer):
            if self.cache.shared:
                await asyncio.to_thread(self.cache.keep, key, made)
            else:
                self.cache.keep(key, made)
        return made, False

    def _landed(self, key: str, ended: asyncio.Task[tuple[Answer | Response, bool]]) -> None:
        if self._flights.get(key) is ended:
            del self._flights[key]
        # Also where nobody waits any more, its end is looked at: asyncio would complain of an error that nobody saw.
        _ = ended.cancelled() or ended.exception()


def _key(request: Request, body: bytes, versions: tuple[str, ...]) -> str:
    scope, headers = request.scope, request.headers
    kinds = (headers.get("content-type", ""), headers.get("accept", ""))
    tenant = str(scope.get("tenant", ""))
    return fingerprint(tenant, scope["path"], scope["query_string"], *kinds, _VERSION, *versions, body)


def _passes_by(request: Request) -> bool:
    given = request.headers.get("cache-control", "").lower()
    return "no-cache" in given or "no-store" in given


def _again(request: Request, answer: Answer, status: str) -> Response:
    """Answer with what another request has made; ``scope["repeated"]`` says that this one has changed nothing."""
    request.scope["repeated"] = True
    return _response(answer, status)


def _response(answer: Answer, status: str) -> Response:
    return Response(answer.body, media_type=answer.kind, headers={**dict(answer.headers), "Cache-Status": status})
