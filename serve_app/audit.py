"""The audit trail over HTTP, for administrators of a tenant."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ..cluster.audit import Audit
from .problems import problem_responses
from .service import TenantOf

router = APIRouter(prefix="/v1/audit", tags=["guard"])


class AuditRecord(BaseModel):
    """What somebody did; who and from where are empty where they were erased."""

    number: int
    at: str
    subject: str
    address: str
    action: str = Field(description="the operation, as DELETE /v1/streams/{stream}")
    object: str = Field(description="the path that was asked for")
    outcome: int = Field(description="the status that it was answered with")
    request_id: str
    hash: str = Field(description="covers this record and the hash of the one before it")


class AuditRecords(BaseModel):
    """Records in order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"records": []}]})
    records: list[AuditRecord]


@router.get("", summary="The audit trail", responses=problem_responses(403, 422))
async def records(
    request: Request,
    tenant: TenantOf,
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="number of the last record that is known")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditRecords:
    """Return the tenant's records behind a number, in order; `qbitel audit verify` checks the chain of all."""
    audit: Audit = request.app.state.audit
    found = await asyncio.to_thread(audit.all, tenant, after, limit)
    return AuditRecords(
        records=[
            AuditRecord(
                number=each.number,
                at=each.at,
                subject=each.deed.subject,
                address=each.deed.address,
                action=each.deed.action,
                object=each.deed.object,
                outcome=each.deed.outcome,
                request_id=each.deed.request_id,
                hash=each.hash,
            )
            for each in found
        ]
    )
