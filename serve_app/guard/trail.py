"""What of requests goes into the audit trail, and how: one writer a process, many records a transaction."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...cluster.audit import Audit, Deed
from ...cluster.database import OutcomeUnknownError
from ...cluster.principals import Principal
from .addresses import Proxies
from .operations import Kind, Operation

logger = logging.getLogger("qbitel.service")

Wanted = Literal["changes", "all"]
MOST_WAITING = 10_000
PATIENCE_S = 5.0
AGAIN_S = 1.0


class Trail:
    """
    Writes records in the order in which they come; those that come together are one transaction.

    Attributes:
        lost: records that found no place while the catalog did not answer.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._waiting: list[tuple[datetime, Deed, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.lost = 0

    def note(self, deed: Deed) -> asyncio.Future[None]:
        """Take a record; the future ends when it is written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            logger.error("the audit trail cannot be written: %d records are lost", self.lost)
            done.set_result(None)
            return done
        self._waiting.append((datetime.now(UTC), deed, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return done

    async def _write(self) -> None:
        while self._waiting:
            batch = list(self._waiting)
            try:
                await asyncio.to_thread(self._audit.append, [(at, deed) for at, deed, _ in batch])
            except OutcomeUnknownError:
                # A record may be in the trail twice where the answer alone was lost; none is missing.
                logger.warning("the audit trail cannot be written yet: %d records wait", len(self._waiting))
                await asyncio.sleep(AGAIN_S)
                continue
            del self._waiting[: len(batch)]
            for _, _, done in batch:
                if not done.done():
                    done.set_result(None)


class AuditTrail:
    """
    ASGI middleware: records changes, what was refused, and what administrators read; ``all`` records every request.

    A change that was made is answered once its record is written, or after ``PATIENCE_S`` seconds of waiting for a
    catalog that does not answer. What is refused before it is known who asks is logged, not recorded: strangers could
    fill the trail.
    """

    def __init__(self, app: ASGIApp, trail: Trail, wanted: Wanted, proxies: Proxies) -> None:
        self.app, self._trail, self._wanted, self._proxies = app, trail, wanted, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answered = False

        async def send_recorded(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                written = self._note(scope, message["status"])
                if written is not None and message["status"] < 400 and _changed(scope, scope["operation"]):
                    await asyncio.wait({written}, timeout=PATIENCE_S)
            await send(message)

        try:
            await self.app(scope, receive, send_recorded)
        finally:
            if not answered:  # it failed: the answer is made outside
                self._note(scope, 500)

    def _note(self, scope: Scope, status: int) -> asyncio.Future[None] | None:
        """Record what the guard within has found out of a request, where it is to be recorded."""
        operation: Operation | None = scope.get("operation")
        principal: Principal | None = scope.get("principal")
        if operation is None or principal is None or operation.role is None:
            return None
        if not self._told(scope, operation, status):
            return None
        return self._trail.note(self._deed(scope, operation, principal, status))

    def _told(self, scope: Scope, operation: Operation, status: int) -> bool:
        if self._wanted == "all" or _changed(scope, operation):
            return True
        return operation.kind is Kind.ADMIN_READ or status == 403

    def _deed(self, scope: Scope, operation: Operation, principal: Principal, status: int) -> Deed:
        return Deed(
            principal.tenant, principal.subject, self._proxies.client(scope), f"{operation.method} {operation.path}",
            scope["path"], status, scope.get("request_id", ""),
        )  # fmt: skip


def _changed(scope: Scope, operation: Operation) -> bool:
    """Return whether a request may have changed something: what is answered from the cache was done before."""
    return operation.kind is Kind.CHANGE and "repeated" not in scope
