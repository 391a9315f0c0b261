"""The progress of a discovery as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from ..cluster.catalog import FINISHED, Job
from .discoveries import DiscoveryId, job_of
from .problems import problem_responses
from .service import Service, ServiceOf

router = APIRouter(prefix="/v1/discoveries", tags=["discoveries"])

LOOK_S = 0.1
COMMENT_S = 15.0


@router.get(
    "/{discovery_id}/events",
    summary="The progress of a discovery, as it comes",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events `stage`, `result` and, once, `end`; the data are JSON",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problem_responses(404, 422),
    },
)
async def discovery_events(discovery_id: DiscoveryId, service: ServiceOf) -> StreamingResponse:
    """Tell what has happened so far, then what happens, and end with the discovery."""
    job = await asyncio.to_thread(job_of, service, discovery_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(service, job), media_type="text/event-stream", headers=headers)


async def _events(service: Service, job: Job) -> AsyncIterator[bytes]:
    before: Job | None = None
    told = monotonic()
    while True:
        lines = event_lines(before, job)
        if lines or monotonic() - told > COMMENT_S:
            # A comment now and then keeps connections alive that would be closed for silence.
            yield b"".join(lines) or b": still there\n\n"
            told = monotonic()
        if job.finished:
            return
        await asyncio.sleep(LOOK_S)
        before = job
        found = await asyncio.to_thread(service.catalog.job, job.id)
        if found is None:
            return
        job = found


def event_lines(before: Job | None, job: Job) -> list[bytes]:
    """Return what has changed between two looks at a discovery, as server-sent events."""
    lines = []
    old = {} if before is None else {_stage_key(before, s): s for s in before.progress.get("stages", [])}
    for stage in job.progress.get("stages", []):
        if stage["status"] != "waiting" and _come(stage) != _come(old.get(_stage_key(job, stage), {})):
            lines.append(_event("stage", {"protocol": job.progress["protocol"], **stage}))
    for result in job.results[len(before.results) if before else 0 :]:
        told: dict[str, Any] = {name: result[name] for name in ("protocol", "id", "digest", "partial", "notes")}
        lines.append(_event("result", told))
    if job.status in FINISHED:
        lines.append(_event("end", {"status": job.status, "problem": job.problem}))
    return lines


def _stage_key(job: Job, stage: dict[str, Any]) -> tuple[str, str]:
    return str(job.progress.get("protocol")), str(stage["name"])


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, sort_keys=True)}\n\n".encode()


def _come(stage: dict[str, Any]) -> tuple[Any, Any]:
    return stage.get("status"), stage.get("fraction")
