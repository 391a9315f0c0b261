"""The guard's middlewares in their order."""

from __future__ import annotations

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.middleware.cors import CORSMiddleware

from ...cluster.audit import Audit
from ...cluster.keys import ApiKeys
from ...cluster.settings import ServiceSettings
from .addresses import Proxies
from .authentication import Authentication
from .credentials import Credentials, Scheme
from .key_scheme import KeyScheme
from .open_mode import OpenMode
from .rates import RateLimit, Rates
from .security_headers import SecurityHeaders
from .token_scheme import Issuer, TokenScheme
from .trail import AuditTrail, Trail

_METHODS = ("GET", "POST", "PUT", "DELETE")
_ASKED = ("authorization", "content-type", "idempotency-key", "prefer", "if-none-match", "x-request-id")
_SHOWN = ("etag", "location", "retry-after", "x-request-id")


def add_guard(app: FastAPI, settings: ServiceSettings, engine: Engine) -> None:
    """Add the guard to an application; the last that is added is the first that a request comes to."""
    app.state.rates = Rates(settings.rates_key, settings.rates_tenant, settings.redis_address)
    secret = None if settings.audit_key is None else settings.audit_key.get_secret_value().encode()
    app.state.audit = Audit(engine, secret)
    proxies = Proxies(settings.trusted_proxies)
    app.add_middleware(RateLimit, rates=app.state.rates)
    if settings.authentication == "none":
        app.add_middleware(OpenMode, origins=settings.cors_origins)
    else:
        app.add_middleware(Authentication, credentials=Credentials(_schemes(settings, engine)))
    app.add_middleware(AuditTrail, trail=Trail(app.state.audit), wanted=settings.audit, proxies=proxies)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=_METHODS, allow_headers=_ASKED,
            expose_headers=_SHOWN, max_age=600,
        )  # fmt: skip
    app.add_middleware(SecurityHeaders, tls=settings.tls_certificate is not None)


def _schemes(settings: ServiceSettings, engine: Engine) -> tuple[Scheme, ...]:
    keys = KeyScheme(ApiKeys(engine))
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return (keys,)
    issuer = Issuer(
        settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks, settings.oidc_algorithms,
        settings.oidc_leeway_s, settings.oidc_role_claim, settings.oidc_tenant_claim,
    )  # fmt: skip
    return keys, TokenScheme(issuer)
