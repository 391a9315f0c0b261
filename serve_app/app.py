"""The ASGI application: routers, middlewares, errors, and the OpenAPI document."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import (
    aliases,
    audit,
    classify,
    discoveries,
    events,
    health,
    metrics,
    parse,
    protocols,
    registry,
    retrain,
    streams,
    validate,
)  # fmt: skip
from .body_limit import BodyLimit
from .examples import EXAMPLES
from .guard.stack import add_guard
from .models import ClassifyRequest, Context, DiscoveryRequest, ParseRequest, Rule, ValidateRequest
from .observe import Observe
from .problems import Problem, add_problem_handlers, problem_responses
from .request_id import RequestId
from .service import Service

DESCRIPTION = """
Unknown traffic in; a specification, parsing and validation out.

`POST /v1/discoveries` with a capture or with messages; small ones are answered with the result, large ones with 202
and an address to ask (or to listen to). What is found is known by the id of its specification, which `/v1/parse`,
`/v1/validate` and `/v1/protocols` take. `/v1/classify` says which known protocol messages are of.
`/v1/streams` keeps messages for months, each once, and says what changes. Every error is a
problem of RFC 9457.
"""
DESCRIBED: tuple[type[BaseModel], ...] = (
    Problem, ClassifyRequest, Context, DiscoveryRequest, ParseRequest, Rule, ValidateRequest,
)  # fmt: skip


def build_app(service: Service) -> FastAPI:
    """Return the application that answers for a service."""
    # Its page /docs needs no network: analysts' machines often have none.
    app = FastAPIOffline(
        redoc_url=None,
        title="qbitel",
        version=metadata.version("qbitel"),
        description=DESCRIPTION,
        lifespan=service.lifespan,
        responses=problem_responses(500),
    )
    app.state.service = service
    health.watch_parts(service.parts, service)
    # Routes are tried in this order: those that are asked most come first.
    use = (classify, parse, validate, discoveries, events)
    for part in (*use, protocols, registry, retrain, streams, aliases, health, metrics, audit):
        app.include_router(part.router)
    # The last that is added is the outermost: also a refused body has a request id.
    app.add_middleware(BodyLimit, limit=service.settings.max_body_bytes, together=service.settings.bodies_bytes)
    add_guard(app, service.settings, service.catalog.engine)
    app.add_middleware(Observe, slow_s=service.settings.slow_request_s, each=service.settings.log_requests)
    app.add_middleware(RequestId)
    add_problem_handlers(app)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the bodies that are read by hand."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        wanted = [(model, "validation") for model in DESCRIBED]
        _, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(found["$defs"])
        for name, example in EXAMPLES.items():
            if name in schemas:
                schemas[name]["examples"] = [example]
        app.openapi_schema = document
    return app.openapi_schema
