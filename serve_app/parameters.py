"""
Parameters of the operations that are asked most, read from a request in one step where it has any.

FastAPI solves what an endpoint's signature asks for, parameter by parameter, in more time than a cached answer takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from .problems import Fault, ProblemError, faults_of

Place = Literal["query", "header"]


class Parameters(BaseModel):
    """Parameters of one place, as a model; each has a default, and others than these are passed over."""

    model_config = ConfigDict(frozen=True)


Read = TypeVar("Read", bound=Parameters)


def query_of(model: type[Read], request: Request) -> Read:
    """
    Read the parameters behind the path; of one that is given twice the last counts.

    Raises:
        ProblemError: 422, one is not what the model says.
    """
    return _read(model, request.query_params, "query") if request.scope["query_string"] else _defaults(model)


def headers_of(model: type[Read], request: Request) -> Read:
    """
    Read parameters that are headers, by their aliases.

    Raises:
        ProblemError: 422, one is not what the model says.
    """
    headers = request.headers
    given = {name: headers[name] for name in _names(model) if name in headers}
    return _read(model, given, "header") if given else _defaults(model)


def described(model: type[Parameters], place: Place = "query") -> list[dict[str, Any]]:
    """Return OpenAPI's description of the parameters of a model."""
    schemas: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return [
        {"name": name, "in": place, "required": False, "schema": schema, "description": schema.pop("description")}
        for name, schema in schemas.items()
    ]


def _read(model: type[Read], given: Mapping[str, str], place: Place) -> Read:
    try:
        return model.model_validate_strings(dict(given))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        faults = [Fault(where=f"{place}.{each.where}", what=each.what) for each in faults_of(errors)]
        raise ProblemError(422, f"{faults[0].where}: {faults[0].what}", faults=faults) from None


@lru_cache
def _defaults(model: type[Read]) -> Read:
    return model()


@lru_cache
def _names(model: type[Parameters]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())
