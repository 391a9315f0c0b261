"""Answers of middlewares that let a request go no further."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from ..problems import problem, respond


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, detail: str, *, code: str, hint: str = "",
    headers: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Answer with a problem."""
    found = problem(status, detail, code=code, hint=hint, path=scope["path"], request_id=scope.get("request_id", ""))
    await respond(found, headers)(scope, receive, send)
