"""Every request has an id: that of Ray Serve's proxy, which takes the caller's ``X-Request-Id`` and answers with it."""

from __future__ import annotations

import re
import uuid

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "x-request-id"
_FIT = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class RequestId:
    """ASGI middleware: puts the id, where it is fit to be repeated, into ``scope["request_id"]``, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            given = Headers(scope=scope).get(HEADER, "")
            scope["request_id"] = given if _FIT.match(given) else uuid.uuid4().hex
        await self.app(scope, receive, send)
