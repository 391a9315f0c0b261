"""What the service answered with where it did not do what was asked, and what stood in the way of asking."""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from ..discovery.errors import QbitelError
from ..serve_app.models import Fault, Problem


class ServiceError(QbitelError):
    """
    A problem of RFC 9457 that the service answered with.

    Attributes:
        status: of HTTP. code: stable name of the kind of problem. request_id: also in the service's log.
        faults: what is wrong with which part of the request. problem: the whole document.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, where=problem.instance, hint=problem.hint)
        self.problem, self.status, self.code = problem, problem.status, problem.code
        self.request_id, self.faults = problem.request_id, problem.faults
        self.retry = problem.retry

    def __str__(self) -> str:
        return f"{super().__str__()} [{self.status} {self.code}, request {self.request_id}]"


class RefusedError(ServiceError):
    """The request is not one that the service takes: not valid, or of a wrong media type (400, 415, 422)."""


class NotAllowedError(ServiceError):
    """Who asks is not known, or may not do this (401, 403)."""


class MissingError(ServiceError):
    """There is nothing of that name (404)."""


class ConflictError(ServiceError):
    """What is there stands against it, for instance another request under the same key (409, 412)."""


class TooLargeError(ServiceError):
    """The request passes a limit of bytes, depth or count (413)."""


class BusyError(ServiceError):
    """The service takes no more for now, and waiting as long as the client has patience did not help (429, 503)."""


class TimedOutError(ServiceError):
    """The work took longer than the service gives a request (504)."""


class FailedError(ServiceError):
    """The service failed (other statuses)."""


class UnreachableError(QbitelError):
    """No answer came: no connection, or it broke."""

    code, retry = "unreachable", True


_OF_STATUS: dict[int, type[ServiceError]] = {
    400: RefusedError, 401: NotAllowedError, 403: NotAllowedError, 404: MissingError, 409: ConflictError,
    412: ConflictError, 413: TooLargeError, 415: RefusedError, 422: RefusedError, 429: BusyError, 503: BusyError,
    504: TimedOutError,
}  # fmt: skip


def error_of(status: int, body: bytes, path: str) -> ServiceError:
    """Return the error that an answer tells; a proxy's own page is a problem without a code."""
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        problem = Problem(
            type="about:blank", title="", status=status, detail=f"HTTP {status} without a problem", code="http",
            hint="it is not the service that answered, but something before it", instance=path,
        )  # fmt: skip
    return _OF_STATUS.get(status, FailedError)(problem)


def unreachable(error: httpx.TransportError, address: str) -> UnreachableError:
    """Return the error that tells of a connection that failed."""
    return UnreachableError(f"no answer: {type(error).__name__}", where=address, hint="does the service run there?")


__all__ = [
    "BusyError", "ConflictError", "FailedError", "Fault", "MissingError", "NotAllowedError", "RefusedError",
    "ServiceError", "TimedOutError", "TooLargeError", "UnreachableError",
]  # fmt: skip
