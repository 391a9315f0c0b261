"""
Which role each operation of the API needs: the one table, which a test holds against OpenAPI.

What is not in the table is not answered where authentication is required, whatever routes the application has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ...cluster.principals import Principal, Role

PUBLIC = None
"""Answered without asking who asks: health, and the documentation, which tells nothing of data."""
READER, ANALYST, OPERATOR, ADMIN = Role.READER, Role.ANALYST, Role.OPERATOR, Role.ADMIN


class Kind(Enum):
    """What an operation does, which decides what is recorded of it."""

    USE = "use"  # computes something and changes nothing
    READ = "read"
    CHANGE = "change"
    ADMIN_READ = "admin-read"


USE, READ, CHANGE, ADMIN_READ = Kind.USE, Kind.READ, Kind.CHANGE, Kind.ADMIN_READ


@dataclass(frozen=True)
class Operation:
    """An operation: its method, its path as OpenAPI writes it, and what it needs."""

    method: str
    path: str
    role: Role | None
    kind: Kind

    @property
    def scope(self) -> str:
        """The part of the API that it is of: what keys can be confined to."""
        parts = self.path.split("/")
        return parts[parts.index("v1") + 1] if "v1" in parts else parts[1]


OPERATIONS = tuple(
    Operation(*row)
    for row in (
        ("GET", "/healthz", PUBLIC, READ),
        ("HEAD", "/healthz", PUBLIC, READ),
        ("GET", "/readyz", PUBLIC, READ),
        ("HEAD", "/readyz", PUBLIC, READ),
        ("GET", "/startupz", PUBLIC, READ),
        ("HEAD", "/startupz", PUBLIC, READ),
        ("GET", "/health/discovery", READER, READ),
        ("GET", "/metrics", OPERATOR, READ),
        ("GET", "/v1/audit", ADMIN, ADMIN_READ),
        ("GET", "/docs", PUBLIC, READ),
        ("GET", "/openapi.json", PUBLIC, READ),
        ("GET", "/static-offline-docs/{file}", PUBLIC, READ),
        ("POST", "/v1/classify", READER, USE),
        ("POST", "/v1/parse", READER, USE),
        ("POST", "/v1/validate", READER, USE),
        ("GET", "/v1/protocols", READER, READ),
        ("GET", "/v1/protocols/{spec_id}", READER, READ),
        ("GET", "/v1/protocols/{spec_id}/exports/{form}", READER, READ),
        ("GET", "/v1/protocols/{spec_id}/versions", READER, READ),
        ("GET", "/v1/protocols/{spec_id}/diff", READER, READ),
        ("DELETE", "/v1/protocols/{spec_id}", OPERATOR, CHANGE),
        ("GET", "/v1/discoveries", READER, READ),
        ("POST", "/v1/discoveries", ANALYST, CHANGE),
        ("GET", "/v1/discoveries/{discovery_id}", READER, READ),
        ("GET", "/v1/discoveries/{discovery_id}/events", READER, READ),
        ("DELETE", "/v1/discoveries/{discovery_id}", ANALYST, CHANGE),
        ("GET", "/v1/models", READER, READ),
        ("GET", "/v1/models/{model}/versions", READER, READ),
        ("GET", "/v1/models/{model}/versions/{number}", READER, READ),
        ("GET", "/v1/models/{model}/aliases/{alias}", READER, READ),
        ("PUT", "/v1/models/{model}/aliases/{alias}", OPERATOR, CHANGE),
        ("DELETE", "/v1/models/{model}/aliases/{alias}", OPERATOR, CHANGE),
        ("POST", "/v1/models/{model}/retrain", OPERATOR, CHANGE),
        ("GET", "/v1/models/{model}/retrainings/{run}", OPERATOR, READ),
        ("POST", "/api/v1/discovery/retrain", OPERATOR, CHANGE),
        ("POST", "/api/v1/discovery/analyze", ANALYST, CHANGE),
        ("POST", "/api/v1/discovery/classify", READER, USE),
        ("POST", "/api/v1/discovery/validate", READER, USE),
        ("GET", "/api/v1/discovery/status/{discovery_id}", READER, READ),
        ("GET", "/api/v1/discovery/grammar/{spec_id}", READER, READ),
        ("GET", "/api/v1/discovery/parser/{spec_id}", READER, READ),
        ("GET", "/v1/streams", READER, READ),
        ("POST", "/v1/streams/{stream}/messages", ANALYST, CHANGE),
        ("GET", "/v1/streams/{stream}/digest", READER, READ),
        ("GET", "/v1/streams/{stream}/statistics", READER, READ),
        ("GET", "/v1/streams/{stream}/specs", READER, READ),
        ("GET", "/v1/streams/{stream}/events", READER, READ),
        ("POST", "/v1/streams/{stream}/discover", ANALYST, CHANGE),
        ("PUT", "/v1/streams/{stream}/retention", OPERATOR, CHANGE),
        ("DELETE", "/v1/streams/{stream}", OPERATOR, CHANGE),
    )
)


class Found(NamedTuple):
    """What a path is of: its operation, or the methods that it has where the one that was asked is none of them."""

    operation: Operation | None
    methods: tuple[str, ...]


_NOTHING = Found(None, ())
_VARIABLE = re.compile(r"\\\{\w+\\\}")


class Operations:
    """Finds the operation of a request by its path, as the router reads it: decoded, and neither tidied nor folded."""

    def __init__(self, operations: tuple[Operation, ...] = OPERATIONS) -> None:
        self._fixed: dict[str, dict[str, Operation]] = {}
        self._open: dict[str, dict[str, Operation]] = {}
        for each in operations:
            table = self._open if "{" in each.path else self._fixed
            table.setdefault(each.path, {})[each.method] = each
        self._paths = list(self._open)
        groups = (_VARIABLE.sub("[^/]+", re.escape(path)) for path in self._paths)
        self._pattern = re.compile("(?:" + "|".join(f"({group})" for group in groups) + r")\Z")

    def find(self, method: str, path: str) -> Found:
        """Return the operation of a method and a path."""
        methods = self._fixed.get(path)
        if methods is None:
            match = self._pattern.match(path)
            if match is None or match.lastindex is None:
                return _NOTHING
            methods = self._open[self._paths[match.lastindex - 1]]
        return Found(methods.get(method), tuple(methods))


def permitted(principal: Principal, operation: Operation) -> bool:
    """Say whether a principal may do an operation, by its role and by its scopes."""
    if operation.role is None:
        return True
    confined = bool(principal.scopes) and operation.scope not in principal.scopes
    return principal.role >= operation.role and not confined
