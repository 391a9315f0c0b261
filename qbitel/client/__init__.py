"""
A client of the service, for programs with and without asyncio; needs ``pip install 'qbitel[client]'``.

>>> from qbitel import Client
>>> with Client("http://127.0.0.1:8000") as client:
...     found = client.discover("plant.pcapng")
...     table = client.parse_table(found.results[0].id, messages)
"""

from __future__ import annotations

from ..discovery.classifier import Classification
from ..serve_app.models import Context, Discovery, ParseResponse, Problem, ProtocolDocument, Rule, ValidateResponse
from .asynchronous import AsyncClient
from .calls import Call
from .errors import (
    BusyError,
    ConflictError,
    FailedError,
    MissingError,
    NotAllowedError,
    RefusedError,
    ServiceError,
    TimedOutError,
    TooLargeError,
    UnreachableError,
)
from .events import Event
from .sync import Client

__all__ = [
    "AsyncClient",
    "BusyError",
    "Call",
    "Classification",
    "Client",
    "ConflictError",
    "Context",
    "Discovery",
    "Event",
    "FailedError",
    "MissingError",
    "NotAllowedError",
    "ParseResponse",
    "Problem",
    "ProtocolDocument",
    "RefusedError",
    "Rule",
    "ServiceError",
    "TimedOutError",
    "TooLargeError",
    "UnreachableError",
    "ValidateResponse",
]
