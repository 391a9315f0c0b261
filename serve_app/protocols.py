"""Known specifications: lists, versions and what differs between them, exports, and their deletion."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict
from importlib import metadata
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import JSONResponse

from ..cluster.cache import tags_of
from ..cluster.catalog import SpecificationEntry
from ..cluster.lists import CatalogLists
from ..discovery.errors import NotFoundError
from ..discovery.exports import FORMATS, export
from ..discovery.spec.diff import diff
from .models import (
    EXAMPLE_ID,
    DeletedProtocol,
    ProtocolChange,
    ProtocolDiff,
    ProtocolDocument,
    ProtocolList,
    ProtocolSummary,
    ProtocolVersions,
)
from .paging import After, Limit, mark_from, page_of
from .problems import problem_responses
from .service import Service, ServiceOf, TenantOf
from .specifications import KnownSpecification

router = APIRouter(prefix="/v1/protocols", tags=["protocols"])

VERSION = metadata.version("qbitel")
_REFERENCE = re.compile(r"(?P<id>[^@]{1,64})(?:@(?:v(?P<version>\d{1,9})|(?P<digest>[0-9a-f]{64})))?")
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is what `If-None-Match` names"}}

SpecificationId = Annotated[str, Path(max_length=64, description="id of the specification", examples=[EXAMPLE_ID])]
Reference = Annotated[
    str,
    Path(
        max_length=130,
        description="id of the specification, for its newest document; `id@v3` for version 3 of what was learned on "
        "from it or to it; `id@` and a digest for one document",
        examples=[EXAMPLE_ID, f"{EXAMPLE_ID}@v1"],
    ),
]
IfNoneMatch = Annotated[str, Header(description="ETag of what is known already (RFC 9110); the same gives 304")]


def links_of(spec_id: str) -> dict[str, str]:
    """Return the addresses of a specification and its exports."""
    address = f"/v1/protocols/{spec_id}"
    exports = {f"export:{name}": f"{address}/exports/{name}" for name in FORMATS}
    return {"self": address, "versions": f"{address}/versions", **exports}


def _summary(found: SpecificationEntry, reference: str = "") -> ProtocolSummary:
    return ProtocolSummary(
        id=found.id, protocol=found.protocol, digest=found.digest, version=found.version, parent=found.parent,
        messages=found.messages, stored=found.stored, links=links_of(reference or found.id),
    )  # fmt: skip


def known_of(service: Service, reference: str, tenant: str) -> KnownSpecification:
    """
    Return the document of a tenant that a reference names: ``id``, ``id@v<version>`` or ``id@<digest>``.

    Raises:
        NotFoundError: there is none.
    """
    named = _REFERENCE.fullmatch(reference)
    if named is None or (named["version"] is None and named["digest"] is None):
        return service.specifications.find(reference, tenant)
    catalog = service.catalog.of(tenant)
    lineage = CatalogLists(catalog).lineage(named["id"])
    number = int(named["version"]) if named["version"] else None
    entry = next((each for each in lineage if number == each.version or named["digest"] == each.digest), None)
    document = catalog.stored(entry.digest) if entry is not None else None
    if document is None:
        hint = f"GET /v1/protocols/{named['id']}/versions lists those that are kept"
        raise NotFoundError(f"no protocol '{reference[:130]}'", hint=hint)
    return KnownSpecification(document)


def _same(if_none_match: str, etag: str) -> bool:
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in given or "*" in given


@router.get("", summary="List the known specifications", responses=problem_responses(400, 422))
async def protocols(
    service: ServiceOf,
    tenant: TenantOf,
    limit: Limit = 100,
    after: After = None,
    protocol: Annotated[
        str | None, Query(max_length=64, description="only where the newest is of this name", examples=["udp_53"])
    ] = None,
) -> ProtocolList:
    """
    Return the newest document of each, the newest first.

    One that is found again while pages are read moves to the front.
    """
    lists = CatalogLists(service.catalog.of(tenant))
    found = await asyncio.to_thread(lists.specifications, limit + 1, mark_from(after), protocol)
    shown, following = page_of(found, limit)
    return ProtocolList(protocols=[_summary(each) for each in shown], next=following)


@router.get(
    "/{spec_id}",
    summary="A specification",
    response_model=ProtocolDocument,
    responses={**NOT_MODIFIED, **problem_responses(404, 422)},
)
async def protocol(
    spec_id: Reference, service: ServiceOf, tenant: TenantOf, if_none_match: IfNoneMatch = ""
) -> Response:
    """Return a document; its ETag is its digest."""
    found = (await asyncio.to_thread(known_of, service, spec_id, tenant)).stored
    headers = {"ETag": f'"{found.digest}"'}
    if _same(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    summary = _summary(found, spec_id).model_dump(mode="json")
    return JSONResponse({**summary, "spec": json.loads(found.document)}, headers=headers)


@router.get("/{spec_id}/versions", summary="Versions of a specification", responses=problem_responses(404, 422))
async def versions(
    spec_id: SpecificationId, service: ServiceOf, tenant: TenantOf, limit: Limit = 100
) -> ProtocolVersions:
    """
    Return its documents, those that they were learned on from, and those that were learned on from them.

    A correction that changes the structure changes the id: the lineage leads from one to the other.
    """
    found = await asyncio.to_thread(CatalogLists(service.catalog.of(tenant)).lineage, spec_id)
    if not found:
        raise NotFoundError(f"no protocol '{spec_id[:64]}'", hint="GET /v1/protocols lists those that are known")
    return ProtocolVersions(versions=[_summary(each, f"{each.id}@{each.digest}") for each in found[:limit]])


@router.get("/{spec_id}/diff", summary="What differs between two versions", responses=problem_responses(404, 422))
async def difference(
    spec_id: SpecificationId,
    service: ServiceOf,
    tenant: TenantOf,
    before: Annotated[
        str, Query(alias="from", max_length=130, description="`v1`, a digest, or a reference", examples=["v1"])
    ],
    after: Annotated[
        str | None, Query(alias="to", max_length=130, description="as `from`; the newest document where it is left out")
    ] = None,
) -> ProtocolDiff:
    """Say what changed from one document to the other: types, guards, fields, constraints and values."""

    def _work() -> ProtocolDiff:
        old, new = (known_of(service, _within(spec_id, each), tenant) for each in (before, after or spec_id))
        changes = [ProtocolChange.model_validate(asdict(each)) for each in diff(old.spec, new.spec)]
        return ProtocolDiff(before=_summary(old.stored), after=_summary(new.stored), changes=changes)

    return await asyncio.to_thread(_work)


def _within(spec_id: str, reference: str) -> str:
    """Return the reference of a version that may be named by its number or digest alone."""
    alone = re.fullmatch(r"v\d{1,9}|[0-9a-f]{64}", reference)
    return f"{spec_id}@{reference}" if alone else reference


@router.get(
    "/{spec_id}/exports/{form}",
    summary="A specification in another language",
    response_class=Response,
    responses={
        200: {
            "description": "A text file",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "digraph udp_20547 {}"}},
        },
        **NOT_MODIFIED,
        **problem_responses(404, 422),
    },
)
async def protocol_export(
    spec_id: Reference,
    form: Literal["python", "wireshark", "json-schema", "dot"],
    service: ServiceOf,
    tenant: TenantOf,
    if_none_match: IfNoneMatch = "",
) -> Response:
    """Return a Python parser, a Wireshark dissector, a JSON schema or a graph."""
    known = await asyncio.to_thread(known_of, service, spec_id, tenant)
    disposition = f'attachment; filename="{FORMATS[form][1]}"'
    # Names come from traffic: as plain text, and never to be taken for anything else.
    headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
    headers["ETag"] = f'"{known.stored.digest}.{form}.{VERSION}"'
    if _same(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    text = await asyncio.to_thread(lambda: export(known.spec, form))
    return Response(text, media_type="text/plain", headers=headers)


@router.delete("/{spec_id}", summary="Delete a specification", responses=problem_responses(404, 422))
async def delete_protocol(spec_id: SpecificationId, service: ServiceOf, tenant: TenantOf) -> DeletedProtocol:
    """
    Delete all documents of that id; every process that answers has forgotten it a second later.

    Documents that were learned on from it stay.
    """

    def _work() -> int:
        deleted = service.catalog.of(tenant).delete_specification(spec_id)
        if not deleted:
            raise NotFoundError(f"no protocol '{spec_id[:64]}'", hint="GET /v1/protocols lists those that are known")
        service.specifications.refresh()
        for tag in tags_of([spec_id]):
            service.answers.cache.drop(tag)
        return len(deleted)

    return DeletedProtocol(id=spec_id, documents=await asyncio.to_thread(_work))
