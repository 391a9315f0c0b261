"""Headers that tell browsers to take nothing of an answer for more than it is."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_STRICT = "default-src 'none'; frame-ancestors 'none'"
# The page of the documentation runs its own scripts, from this host alone.
_DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
_TLS = "max-age=31536000"


class SecurityHeaders:
    """ASGI middleware: adds them to every answer that does not have them; ``tls`` adds strict transport security."""

    def __init__(self, app: ASGIApp, tls: bool = False) -> None:
        self.app = app
        common = {**_HEADERS, "cache-control": "no-store", **({"strict-transport-security": _TLS} if tls else {})}
        self._api = _raw({**common, "content-security-policy": _STRICT})
        self._docs = _raw({**common, "content-security-policy": _DOCS})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wanted = self._docs if scope["path"] == "/docs" else self._api

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                there = {name.lower() for name, _ in headers}
                message["headers"] = [*headers, *(each for each in wanted if each[0] not in there)]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
