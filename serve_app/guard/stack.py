"""The guard's middlewares in their order."""

from __future__ import annotations

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.middleware.cors import CORSMiddleware

from ...cluster.keys import ApiKeys
from ...cluster.settings import ServiceSettings
from .authentication import Authentication
from .credentials import Credentials
from .key_scheme import KeyScheme
from .open_mode import OpenMode
from .rates import RateLimit, Rates
from .security_headers import SecurityHeaders

_METHODS = ("GET", "POST", "PUT", "DELETE")
_ASKED = ("authorization", "content-type", "idempotency-key", "prefer", "if-none-match", "x-request-id")
_SHOWN = ("etag", "location", "retry-after", "x-request-id")


def add_guard(app: FastAPI, settings: ServiceSettings, engine: Engine) -> None:
    """Add the guard to an application; the last that is added is the first that a request comes to."""
    app.state.rates = Rates(settings.rates_key, settings.rates_tenant, settings.redis_address)
    app.add_middleware(RateLimit, rates=app.state.rates)
    if settings.authentication == "none":
        app.add_middleware(OpenMode, origins=settings.cors_origins)
    else:
        app.add_middleware(Authentication, credentials=Credentials((KeyScheme(ApiKeys(engine)),)))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=_METHODS, allow_headers=_ASKED,
            expose_headers=_SHOWN, max_age=600,
        )  # fmt: skip
    app.add_middleware(SecurityHeaders)
