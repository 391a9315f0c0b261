"""
The progress of a discovery as server-sent events.

The id of an event says all that was told up to it: whoever comes back with it, to whichever process, is told what has
happened since.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from ..cluster.catalog import FINISHED, Job
from .discoveries import DiscoveryId, job_of
from .problems import ProblemError, problem_responses
from .service import Service, ServiceOf, TenantOf

router = APIRouter(prefix="/v1/discoveries", tags=["discoveries"])

LOOK_S = 0.1
COMMENT_S = 15.0
_ID = re.compile(r"(\d{1,6})-(\d{1,6})-(\d{1,6})((?:-[a-z]\d{1,4})*)")
_EXAMPLE = 'id: 1-0-0-o1000\nevent: stage\ndata: {"name": "statistics", "status": "ok", "protocol": "udp_53"}\n\n'


@dataclass(frozen=True)
class Told:
    """
    What a client has been told.

    Attributes:
        attempt: of the discovery. results: how many. protocol: number of the one whose stages were told, from 0.
        stages: of that one in their order, each the first letter of its status and thousandths that are done.
    """

    attempt: int = 0
    results: int = 0
    protocol: int = 0
    stages: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return "-".join((f"{self.attempt}-{self.results}-{self.protocol}", *self.stages))

    @classmethod
    def parse(cls, last_event_id: str) -> Told:
        """
        Read the id of an event.

        Raises:
            ProblemError: 400, it is none that this service gave.
        """
        found = _ID.fullmatch(last_event_id)
        if found is None:
            hint = "send the id of the last event as it came, or none"
            raise ProblemError(400, "Last-Event-ID is not of these events", code="event-id", hint=hint)
        stages = tuple(found[4].split("-")[1:])
        return cls(int(found[1]), int(found[2]), int(found[3]), stages)


@router.get(
    "/{discovery_id}/events",
    summary="The progress of a discovery, as it comes",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events `begin`, `stage`, `result` and, once, `end`; the data are JSON",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **problem_responses(400, 404, 422),
    },
)
async def discovery_events(
    discovery_id: DiscoveryId,
    service: ServiceOf,
    tenant: TenantOf,
    last_event_id: Annotated[
        str | None, Header(max_length=512, description="id of the last event that came, to go on behind it")
    ] = None,
) -> StreamingResponse:
    """
    Tell what has happened so far, then what happens, and end with the discovery.

    A `begin` with an attempt above 1 says that a worker was lost: what was told before it no longer holds.
    """
    told = Told.parse(last_event_id) if last_event_id else Told()
    job = await asyncio.to_thread(job_of, service, discovery_id, tenant)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(service, job, told), media_type="text/event-stream", headers=headers)


async def _events(service: Service, job: Job, told: Told) -> AsyncIterator[bytes]:
    spoke = monotonic()
    while True:
        told, lines = news(told, job)
        if lines or monotonic() - spoke > COMMENT_S:
            # A comment now and then keeps connections alive that would be closed for silence.
            yield b"".join(lines) or b": still there\n\n"
            spoke = monotonic()
        if job.finished:
            return
        await asyncio.sleep(LOOK_S)
        found = await asyncio.to_thread(service.catalog.of(job.tenant).job, job.id)
        if found is None:
            return
        job = found


def news(told: Told, job: Job) -> tuple[Told, list[bytes]]:
    """Return what has happened since then as server-sent events, and what is told with them."""
    lines: list[bytes] = []
    if job.attempts and job.attempts != told.attempt:
        told = Told(job.attempts)
        lines.append(_event(told, "begin", {"attempt": job.attempts}))
    protocol = min(job.progress.get("finished", 0), max(job.progress.get("protocols", 0) - 1, 0))
    if protocol != told.protocol:
        told = replace(told, protocol=protocol, stages=())
    for place, stage in enumerate(job.progress.get("stages", [])):
        told, lines = _stage(told, lines, place, {"protocol": job.progress["protocol"], **stage})
    for result in job.results[told.results :]:
        told = replace(told, results=told.results + 1)
        shown: dict[str, Any] = {name: result[name] for name in ("protocol", "id", "digest", "partial", "notes")}
        lines.append(_event(told, "result", shown))
    if job.status in FINISHED:
        lines.append(_event(told, "end", {"status": job.status, "problem": job.problem}))
    return told, lines


def _stage(told: Told, lines: list[bytes], place: int, stage: dict[str, Any]) -> tuple[Told, list[bytes]]:
    come = f"{stage['status'][0]}{round(1000 * stage['fraction'])}"
    known = told.stages[place] if place < len(told.stages) else ""
    told = replace(told, stages=(*told.stages[:place], come, *told.stages[place + 1 :]))
    if come != known and stage["status"] != "waiting":
        lines = [*lines, _event(told, "stage", stage)]
    return told, lines


def _event(told: Told, name: str, data: dict[str, Any]) -> bytes:
    return f"id: {told}\nevent: {name}\ndata: {json.dumps(data, sort_keys=True)}\n\n".encode()
