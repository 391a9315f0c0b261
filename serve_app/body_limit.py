"""A limit on the size of request bodies, also of those that do not say how long they are."""

from __future__ import annotations

from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem, respond


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """
    ASGI middleware: answers 413 where a body has, or turns out to have, more than ``limit`` bytes.

    Where bodies that are being worked on have more than ``together`` bytes, another one is answered with 503: what a
    process takes is bounded by that, whatever comes at once.
    """

    def __init__(self, app: ASGIApp, limit: int, together: int) -> None:
        self.app = app
        self.limit, self.together = limit, max(together, limit)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdigit() and int(stated) > self.limit:
            await self._refuse(scope, receive, send)
            return
        if self._held + (int(stated) if stated.isdigit() else 0) > self.together:
            await self._busy(scope, receive, send)
            return
        read, started = 0, False

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            size = len(message.get("body", b""))
            read += size
            self._held += size
            if read > self.limit:
                raise _TooLargeError
            return message

        async def send_unless_passed(message: Message) -> None:
            nonlocal started
            # Whoever read the body may have turned the error into an answer of its own.
            if read <= self.limit or started:
                started = True
                await send(message)

        try:
            with suppress(_TooLargeError):
                await self.app(scope, receive_some, send_unless_passed)
        finally:
            self._held -= read
        if read > self.limit and not started:
            await self._refuse(scope, receive, send)

    async def _busy(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = problem(
            503,
            f"requests of more than {self.together} bytes are being answered",
            hint="try again later; the limit is the service's setting bodies_bytes",
            path=scope["path"],
            request_id=scope.get("request_id", ""),
        )
        await respond(found, {"Retry-After": "1"})(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = problem(
            413,
            f"the body has more than {self.limit} bytes",
            hint="send fewer messages at a time; the limit is the service's setting max_body_bytes",
            path=scope["path"],
            request_id=scope.get("request_id", ""),
        )
        await respond(found, {"Connection": "close"})(scope, receive, send)
