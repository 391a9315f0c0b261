"""Who asks, and whether they may: ``scope["principal"]`` and ``scope["tenant"]`` are set here, or the request ends."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from ...cluster.database import OutcomeUnknownError
from ...cluster.dependency import UnavailableError
from ...cluster.principals import Principal
from .credentials import BusyError, Credentials
from .operations import Operation, Operations, permitted
from .refusal import refuse

_BEARER = b"bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="qbitel"'}


class Authentication:
    """ASGI middleware: answers 401 and 403, and 404 or 405 where the table of operations has no such operation."""

    def __init__(self, app: ASGIApp, credentials: Credentials) -> None:
        self.app, self._credentials, self._operations = app, credentials, Operations()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        found = self._operations.find(scope["method"], scope["path"])
        scope["operation"] = found.operation
        if found.operation is not None and found.operation.role is None:
            await self.app(scope, receive, send)
            return
        principal = await self._principal(scope, receive, send)
        if principal is None:
            return
        scope["principal"], scope["tenant"] = principal, principal.tenant
        if found.operation is None:
            await _unknown(scope, receive, send, found.methods)
        elif not permitted(principal, found.operation):
            await _forbidden(scope, receive, send, principal, found.operation)
        else:
            await self.app(scope, receive, send)

    async def _principal(self, scope: Scope, receive: Receive, send: Send) -> Principal | None:
        """Return who asks; None where the request was answered."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1 or given[0][: len(_BEARER)].lower() != _BEARER:
            detail = "who asks is not said" if not given else "not one header of the form 'Authorization: Bearer …'"
            hint = "Authorization: Bearer, with a key of qbitel keys create, or a token of the identity provider"
            await refuse(scope, receive, send, 401, detail, code="unauthenticated", hint=hint, headers=_CHALLENGE)
            return None
        try:
            principal = await self._credentials.principal(given[0][len(_BEARER) :].strip())
        except (BusyError, UnavailableError, OutcomeUnknownError):
            detail, later = "keys cannot be looked up at the moment", {"Retry-After": "1"}
            await refuse(scope, receive, send, 503, detail, code="busy", hint="try again", headers=later)
            return None
        if principal is None:
            detail = "the key or token is unknown, has expired or was revoked"
            headers = {"WWW-Authenticate": _CHALLENGE["WWW-Authenticate"] + ', error="invalid_token"'}
            await refuse(scope, receive, send, 401, detail, code="unauthenticated", headers=headers)
        return principal


async def _unknown(scope: Scope, receive: Receive, send: Send, methods: tuple[str, ...]) -> None:
    if methods:
        detail, allow = f"{scope['method']} is not one of {', '.join(methods)}", {"Allow": ", ".join(methods)}
        await refuse(scope, receive, send, 405, detail, code="method-not-allowed", headers=allow)
        return
    await refuse(scope, receive, send, 404, "no such operation", code="not-found", hint="/docs lists them")


async def _forbidden(scope: Scope, receive: Receive, send: Send, principal: Principal, operation: Operation) -> None:
    assert operation.role is not None
    if principal.role < operation.role:
        detail = f"this needs the role {operation.role.label}, and {principal.subject} is {principal.role.label}"
    else:
        detail = f"{principal.subject} is confined to {', '.join(sorted(principal.scopes))}"
    await refuse(scope, receive, send, 403, detail, code="forbidden")
