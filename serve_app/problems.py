"""Errors as RFC 9457 problems: one shape for everything that goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, TypedDict

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..cluster.observability.names import HTTP_PROBLEMS
from ..discovery.errors import QbitelError
from .models import Fault, Problem

__all__ = [
    "Fault", "Problem", "ProblemError", "add_problem_handlers", "problem", "problem_of_error", "problem_responses",
    "respond",
]  # fmt: skip

logger = logging.getLogger("qbitel.service")

MEDIA_TYPE = "application/problem+json"
STATUS_OF_ERROR = {
    "input": 400, "limit": 413, "spec": 422, "rule": 422, "not-found": 404, "cancelled": 409,
    "unavailable": 503, "unknown-outcome": 503,
}  # fmt: skip
AGAIN = (429, 503, 504)  # statuses that ask for the same once more
CODE_OF_STATUS = {
    400: "bad-request", 404: "not-found", 405: "method-not-allowed", 409: "conflict", 413: "too-large",
    415: "media-type", 422: "invalid", 503: "busy", 504: "timeout",
}  # fmt: skip


class ProblemError(Exception):
    """An error of the service that is answered with a problem."""

    def __init__(
        self, status: int, detail: str, *, code: str = "", hint: str = "", faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint = status, detail, hint
        self.code = code or CODE_OF_STATUS.get(status, "error")
        self.faults = list(faults)


def problem(
    status: int, detail: str, *, code: str = "", hint: str = "", path: str = "", request_id: str = "",
    faults: Sequence[Fault] = (), retry: bool = False,
) -> Problem:  # fmt: skip
    """Make a problem; its title is the phrase of the status."""
    code = code or CODE_OF_STATUS.get(status, "error")
    return Problem(
        type=f"urn:qbitel:problem:{code}", title=HTTPStatus(status).phrase, status=status, detail=detail, code=code,
        hint=hint, instance=path, request_id=request_id, faults=list(faults), retry=retry or status in AGAIN,
    )  # fmt: skip


def problem_of_error(error: QbitelError, path: str = "", request_id: str = "") -> Problem:
    """Make the problem that tells an error of the engine."""
    status = STATUS_OF_ERROR.get(error.code, 500)
    detail = f"{error.where}: {error.what}" if error.where else error.what
    return problem(
        status, detail, code=error.code, hint=error.hint, path=path, request_id=request_id, retry=error.retry
    )


def respond(found: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make the response that carries a problem."""
    HTTP_PROBLEMS.record(code=found.code)
    return JSONResponse(found.model_dump(mode="json"), found.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


class _Place(TypedDict):
    path: str
    request_id: str


def _place(request: Request) -> _Place:
    return {"path": request.url.path, "request_id": request.scope.get("request_id", "")}


async def _engine_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QbitelError)
    found = problem_of_error(error, **_place(request))
    after = max(ceil(getattr(error, "retry_after", 1.0)), 1)
    return respond(found, {"Retry-After": str(after)} if found.retry else None)


async def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    found = problem(
        error.status, error.detail, code=error.code, hint=error.hint, faults=error.faults, **_place(request)
    )
    return respond(found, {"Retry-After": "5"} if error.status == 503 else None)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return respond(problem(error.status_code, str(error.detail), **_place(request)), error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = faults_of(error.errors())
    detail = f"{faults[0].where}: {faults[0].what}" if faults else "the request is not valid"
    return respond(problem(422, detail, faults=faults, **_place(request)))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    # What went wrong is for the log: a stranger is told nothing of the inside but the id to ask about.
    logger.error("request %s failed", _place(request)["request_id"], exc_info=error)
    hint = "the service's log tells more about this request id"
    return respond(problem(500, "the service failed", code="internal", hint=hint, **_place(request)))


def faults_of(errors: Sequence[Any]) -> list[Fault]:
    """Turn pydantic's errors into faults, at most 20; the values themselves are not repeated."""
    return [Fault(where=".".join(map(str, e["loc"])), what=str(e["msg"])) for e in errors[:20]]


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""
    app.add_exception_handler(QbitelError, _engine_error)
    app.add_exception_handler(ProblemError, _service_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of problems for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
