"""
The open mode: nobody is asked who they are, and so only this machine is answered.

A page in a browser of this machine could be made to ask in its user's place: it is refused by the ``Host`` that it went
to (DNS rebinding) or by the ``Origin`` that it came from.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from ...cluster.principals import LOCAL
from .operations import Operations
from .refusal import refuse

_LOCAL_HOST = re.compile(rb"(127(?:\.\d{1,3}){3}|localhost|\[::1\])(:\d{1,5})?\Z", re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rb"https?://(127(?:\.\d{1,3}){3}|localhost|\[::1\])(:\d{1,5})?\Z", re.IGNORECASE)


class OpenMode:
    """ASGI middleware: everybody is ``LOCAL``; answers 403 to pages of other hosts."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...] = ()) -> None:
        self.app, self._operations = app, Operations()
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope["principal"], scope["tenant"] = LOCAL, LOCAL.tenant
            scope["operation"] = self._operations.find(scope["method"], scope["path"]).operation
            if self._foreign(scope):
                hint = "without authentication only this machine is answered, by its loopback address"
                await refuse(scope, receive, send, 403, "asked for by another host", code="forbidden", hint=hint)
                return
        elif scope["type"] != "lifespan":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    def _foreign(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"host" and not _LOCAL_HOST.match(value):
                return True
            if name == b"origin" and value not in self._origins and not _LOCAL_ORIGIN.match(value):
                return True
        return False
