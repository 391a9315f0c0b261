"""The paths of the system's plan, ``/api/v1/discovery/…``: the same operations under other names."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from fastapi.routing import APIRoute

from . import classify, discoveries, protocols, validate
from .discoveries import DiscoveryId
from .models import Discovery, GrammarDocument
from .problems import problem_responses
from .protocols import IfNoneMatch, Reference, known_of
from .service import ServiceOf, TenantOf

router = APIRouter(prefix="/api/v1/discovery", tags=["aliases"])


def _alias(path: str, of: APIRouter, endpoint: Any) -> None:
    """Let a path do what an endpoint of another router does, described as it is there."""
    route = next(each for each in of.routes if isinstance(each, APIRoute) and each.endpoint is endpoint)
    router.add_api_route(
        path,
        endpoint,
        methods=list(route.methods or ()),
        summary=f"{route.summary} (as {route.path})",
        description=route.description,
        response_model=route.response_model,
        responses=route.responses,
        openapi_extra=route.openapi_extra,
    )


_alias("/analyze", discoveries.router, discoveries.start_discovery)
_alias("/classify", classify.router, classify.classify)
_alias("/validate", validate.router, validate.validate)


@router.get(
    "/status/{discovery_id}",
    summary="The state of a discovery (as /v1/discoveries/{id})",
    responses=problem_responses(404, 422),
)
async def status(discovery_id: DiscoveryId, service: ServiceOf, tenant: TenantOf) -> Discovery:
    """Return how far it has come, with the seconds of each stage, and what it has found so far."""
    return await discoveries.discovery(discovery_id, service, tenant)


@router.get("/grammar/{spec_id}", summary="The grammar of a specification", responses=problem_responses(404, 422))
async def grammar(spec_id: Reference, service: ServiceOf, tenant: TenantOf) -> GrammarDocument:
    """Return the rules of its grammar with their probabilities, and which messages follow which."""
    known = await asyncio.to_thread(known_of, service, spec_id, tenant)
    shown = known.spec.model_dump(mode="json", include={"grammar", "sequence"})
    return GrammarDocument(id=known.stored.id, digest=known.stored.digest, **shown)


@router.get(
    "/parser/{spec_id}",
    summary="A Python parser of a specification (as /v1/protocols/{id}/exports/python)",
    response_class=Response,
    responses={
        200: {
            "description": "A Python file",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "import struct"}},
        },
        **protocols.NOT_MODIFIED,
        **problem_responses(404, 422),
    },
)
async def parser(spec_id: Reference, service: ServiceOf, tenant: TenantOf, if_none_match: IfNoneMatch = "") -> Response:
    """Return a parser that needs nothing but Python."""
    return await protocols.protocol_export(spec_id, "python", service, tenant, if_none_match)
