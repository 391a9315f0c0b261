"""Every request is measured, traced and, where it is slow or fails, logged; what it was answered without is named."""

from __future__ import annotations

from logging import ERROR, INFO, WARNING
from time import perf_counter

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..cluster.dependency import noting_fallbacks
from ..cluster.observability.logs import log, telling
from ..cluster.observability.names import (
    HTTP_IN_FLIGHT,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    HTTP_SLOW,
    TENANT_REQUESTS,
)
from ..cluster.observability.traces import TRACEPARENT, parent_of, span, trace_id

FALLBACK = "qbitel-fallback"
"""Header of answers that were given without something the service stands on: its names."""
_UNMATCHED = "unmatched"
_QUIET = ("/healthz", "/readyz", "/startupz", "/metrics")

logger = log("http")


class Observe:
    """
    ASGI middleware.

    Args:
        slow_s: answers that take longer are logged. each: log every request.
    """

    def __init__(self, app: ASGIApp, slow_s: float, *, each: bool = False) -> None:
        self.app, self._slow_s, self._each = app, slow_s, each
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = perf_counter(), 500
        headers = Headers(scope=scope)
        parent = parent_of(headers) if TRACEPARENT in headers else None
        attributes = {"http.request.method": scope["method"], "qbitel.request_id": scope.get("request_id", "")}
        with noting_fallbacks() as fallen, span(scope["method"], parent, SpanKind.SERVER, **attributes) as here:

            async def send_noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    if fallen:
                        names = ", ".join(sorted(fallen)).encode()
                        message["headers"] = [*message.get("headers", ()), (FALLBACK.encode(), names)]
                await send(message)

            self._count(1)
            with telling(request_id=scope.get("request_id", ""), trace_id=trace_id(), tenant=_tenant(scope)):
                try:
                    await self.app(scope, receive, send_noted)
                finally:
                    self._count(-1)
                    route = _route(scope)
                    if here.is_recording():
                        here.update_name(f"{scope['method']} {route}")
                        here.set_attributes({"http.route": route, "http.response.status_code": status})
                    self._tell(scope, route, status, perf_counter() - begun, fallen)

    def _count(self, more: int) -> None:
        self._in_flight += more
        HTTP_IN_FLIGHT.record(self._in_flight)

    def _tell(self, scope: Scope, route: str, status: int, seconds: float, fallen: set[str]) -> None:
        group = f"{status // 100}xx"
        HTTP_SECONDS.record(seconds, route=route, status=group)
        HTTP_REQUESTS.record(route=route, status=group)
        if tenant := _tenant(scope):
            TENANT_REQUESTS.record(tenant=tenant, status=group)
        slow = seconds > self._slow_s and not route.endswith("/events")
        if slow:
            HTTP_SLOW.record(route=route)
        level = _level(status, slow)
        if level > INFO or (self._each and route not in _QUIET):
            told = {"method": scope["method"], "route": route, "status": status, "seconds": round(seconds, 4)}
            without = {"without": sorted(fallen)} if fallen else {}
            logger.log(level, "slow request" if slow else "request", **told, **without)


def _level(status: int, slow: bool) -> int:
    return ERROR if status >= 500 else WARNING if slow else INFO


def _route(scope: Scope) -> str:
    """Return the route's template: a path as it came would be a label of its own for every id."""
    return str(getattr(scope.get("route"), "path", _UNMATCHED))


def _tenant(scope: Scope) -> str:
    """Return the tenant, where whoever authenticated the request has noted one."""
    return str(scope.get("tenant") or "")
