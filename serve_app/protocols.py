"""Known specifications and their exports."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from ..cluster.catalog import StoredSpecification
from ..discovery.exports import FORMATS, export
from .models import EXAMPLE_ID, ProtocolDocument, ProtocolList, ProtocolSummary
from .problems import problem_responses
from .service import ServiceOf

router = APIRouter(prefix="/v1/protocols", tags=["protocols"])

SpecificationId = Annotated[str, Path(max_length=64, description="id of the specification", examples=[EXAMPLE_ID])]


def links_of(spec_id: str) -> dict[str, str]:
    """Return the addresses of a specification and its exports."""
    address = f"/v1/protocols/{spec_id}"
    return {"self": address, **{f"export:{name}": f"{address}/exports/{name}" for name in FORMATS}}


def _summary(found: StoredSpecification) -> ProtocolSummary:
    return ProtocolSummary(
        id=found.id, protocol=found.protocol, digest=found.digest, messages=found.messages, stored=found.stored,
        links=links_of(found.id),
    )  # fmt: skip


@router.get("", summary="List the known specifications", responses=problem_responses(422))
async def protocols(service: ServiceOf, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> ProtocolList:
    """Return the newest first."""
    found = await asyncio.to_thread(service.catalog.specifications, limit)
    return ProtocolList(protocols=[_summary(each) for each in found])


@router.get("/{spec_id}", summary="A specification", responses=problem_responses(404, 422))
async def protocol(spec_id: SpecificationId, service: ServiceOf) -> ProtocolDocument:
    """Return the newest document of a specification."""
    found = (await asyncio.to_thread(service.specifications.find, spec_id)).stored
    return ProtocolDocument(**_summary(found).model_dump(), spec=json.loads(found.document))


@router.get(
    "/{spec_id}/exports/{form}",
    summary="A specification in another language",
    response_class=Response,
    responses={
        200: {"description": "A text file", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problem_responses(404, 422),
    },
)
async def protocol_export(
    spec_id: SpecificationId, form: Literal["python", "wireshark", "json-schema", "dot"], service: ServiceOf
) -> Response:
    """Return a Python parser, a Wireshark dissector, a JSON schema or a graph."""
    known = await asyncio.to_thread(service.specifications.find, spec_id)
    text = await asyncio.to_thread(lambda: export(known.spec, form))
    disposition = f'attachment; filename="{FORMATS[form][1]}"'
    # Names come from traffic: as plain text, and never to be taken for anything else.
    headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
    return Response(text, media_type="text/plain", headers=headers)
