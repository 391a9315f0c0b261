"""Discoveries: start one, ask for it, cancel it."""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from starlette.datastructures import UploadFile

from ..cluster.cache import Answer, tags_of
from ..cluster.catalog import CANCELLED, DONE, FAILED, Job
from ..cluster.lists import CatalogLists, JobEntry
from ..cluster.observability.names import JOBS
from ..cluster.observability.traces import carried
from ..cluster.outbound import LONGEST
from .bodies import (
    ARROW_TYPE,
    JSON_TYPE,
    MULTIPART_TYPE,
    arrow_bytes,
    decode_messages,
    media_type,
    read_arrow,
    read_json,
    request_body,
)
from .models import Context, Discovery, DiscoveryList, DiscoveryRequest, DiscoverySummary, Status
from .paging import After, Limit, mark_from, page_of
from .parameters import Parameters, described, headers_of, query_of
from .problems import Fault, Problem, ProblemError, problem_responses, respond
from .protocols import links_of
from .service import Service, ServiceOf, TenantOf, service_of
from .webhook import check_webhook

router = APIRouter(prefix="/v1/discoveries", tags=["discoveries"])

DiscoveryId = Annotated[str, Path(max_length=64, description="id of the discovery")]
_CONTROL = re.compile(r"[^\x20-\x7e]")


class StartQuery(Parameters):
    """What stands beside the body in the address."""

    context: str | None = Field(None, description="JSON of a Context, with an Arrow body")
    webhook: str | None = Field(
        None, max_length=LONGEST, description="https address that is told of the end; the answer is 202"
    )


class StartHeaders(Parameters):
    """What stands beside it in headers."""

    prefer: str = Field("", alias="prefer", description="`respond-async`: always answer 202 (RFC 7240)")
    key: str | None = Field(
        None, alias="idempotency-key", min_length=1, max_length=128,
        description="the same key again gives the same discovery",
    )  # fmt: skip


BODY = request_body(
    DiscoveryRequest,
    (MULTIPART_TYPE, "a capture: pcap, pcapng, hex or JSON lines, Parquet, Arrow; gzip or zstd around it is fine"),
    (ARROW_TYPE, "Arrow stream with a binary column payload; its rows are the messages of one protocol"),
    parameters=[*described(StartQuery), *described(StartHeaders, "header")],
)


@dataclass(frozen=True)
class Sent:
    """What a client has sent: the capture, as bytes or as a spooled file, and what is known about it."""

    name: str
    content: bytes | UploadFile
    size: int
    context: Context

    async def store(self, path: FilePath) -> None:
        """Write the capture to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.content, bytes):
            await asyncio.to_thread(path.write_bytes, self.content)
            return
        with path.open("wb") as sink:
            while chunk := await self.content.read(1 << 20):
                await asyncio.to_thread(sink.write, chunk)


@dataclass(frozen=True)
class Asked:
    """How a discovery is asked for: the kind of the body, what stands beside it, and whether to wait for the end."""

    kind: str
    context: str | None
    key: str | None
    wait: bool
    webhook: str | None = None


def document(job: Job) -> Discovery:
    """Return a discovery as the API shows it."""
    links = _links(job.id)
    for result in job.results:
        if result["id"]:
            links[f"protocol:{result['protocol']}"] = links_of(result["id"])["self"]
    return Discovery.model_validate({
        "id": job.id, "status": job.status, "created": job.created, "updated": job.updated, "attempts": job.attempts,
        "input": job.request["input"], "progress": job.progress, "results": job.results, "warnings": job.warnings,
        "problem": job.problem, "links": links,
    })  # fmt: skip


@router.post(
    "",
    summary="Discover the protocols of a capture or of messages",
    response_model=Discovery,
    responses={
        202: {"description": "It runs; `Location` says where to ask", "model": Discovery},
        **problem_responses(400, 404, 409, 413, 415, 422, 503, 504),
    },
    openapi_extra=BODY,
)
async def start_discovery(request: Request) -> Response:
    """Answer with the result where the input is small and read in time, else with 202 and where to ask for it."""
    service, query, headers = service_of(request), query_of(StartQuery, request), headers_of(StartHeaders, request)
    if query.webhook is not None:
        await check_webhook(service.settings, query.webhook)
    kind = media_type(request, (JSON_TYPE, MULTIPART_TYPE, ARROW_TYPE))
    wait = "respond-async" not in headers.prefer and query.webhook is None
    asked = Asked(kind, query.context, headers.key, wait, query.webhook)

    async def _make() -> Answer | Response:
        job = await _started(request, service, asked)
        return _kept(job) if job.status == DONE else _answer(job, request)

    if kind != MULTIPART_TYPE and asked.wait and asked.key is None:
        body = await request.body()
        if len(body) <= service.settings.inline_bytes:
            return await service.answers.give(request, body, (), _make)
    return _answer(await _started(request, service, asked), request)


async def answer_of(service: Service, request: Request, wanted: dict[str, Any], *, wait: bool) -> Response:
    """Start a discovery of something that the service has itself, and answer as for one that was sent."""
    await _check_room(service)
    catalog = service.catalog.of(request.scope["tenant"])
    job = await asyncio.to_thread(catalog.add_job, uuid.uuid4().hex, wanted, None, carried(), subject_of(request))
    return _answer(await _run(service, job, wait=wait), request)


async def _started(request: Request, service: Service, asked: Asked) -> Job:
    """Start a discovery of what was sent, and return it when it has ended or nobody waits for it any more."""
    await _check_room(service)
    sent = await _read(request, service, asked)
    job_id = uuid.uuid4().hex
    await sent.store(service.settings.uploads / job_id)
    told = {"name": sent.name, "bytes": sent.size}
    wanted: dict[str, Any] = {"context": sent.context.model_dump(mode="json"), "input": told}
    if asked.webhook is not None:
        wanted["webhook"] = asked.webhook
    catalog = service.catalog.of(request.scope["tenant"])
    job = await asyncio.to_thread(catalog.add_job, job_id, wanted, asked.key, carried(), subject_of(request))
    if job.id != job_id:
        (service.settings.uploads / job_id).unlink()
        if job.request != wanted:
            hint = f"it stands for /v1/discoveries/{job.id}; take a new key"
            raise ProblemError(409, "the idempotency key was used for another request", hint=hint)
        return await asyncio.to_thread(job_of, service, job.id, catalog.tenant)
    return await _run(service, job, wait=asked.wait and sent.size <= service.settings.inline_bytes)


async def _check_room(service: Service) -> None:
    most = service.settings.max_waiting
    if len(await asyncio.to_thread(service.catalog.waiting)) >= most:
        raise ProblemError(503, f"{most} discoveries wait already", hint="try again later")


async def _run(service: Service, job: Job, *, wait: bool) -> Job:
    """Hand a new discovery out, and return it: as it ends where that is in time."""
    ended = service.dispatch(job.id)
    if wait:
        await asyncio.wait({ended}, timeout=service.settings.inline_wait_s)
    return await asyncio.to_thread(job_of, service, job.id, job.tenant)


def _place(job: Job) -> str:
    return f"/v1/discoveries/{job.id}"


def _answer(job: Job, request: Request) -> Response:
    headers = {"Location": _place(job)}
    if job.status == FAILED and job.problem is not None:
        here = {"instance": request.url.path, "request_id": request.scope["request_id"]}
        return respond(Problem.model_validate({**job.problem, **here}), headers)
    status = 200 if job.finished else 202
    return Response(document(job).model_dump_json(), status, headers, media_type=JSON_TYPE)


def _kept(job: Job) -> Answer:
    """Return what one that is done is answered with, to be given again until what it found is known better."""
    found = [result["id"] for result in job.results if result["id"]]
    return Answer(document(job).model_dump_json().encode(), JSON_TYPE, tags_of(found), (("Location", _place(job)),))


async def _read(request: Request, service: Service, asked: Asked) -> Sent:
    kind, context = asked.kind, asked.context
    if kind == MULTIPART_TYPE:
        return await _read_upload(request)
    body = await request.body()
    most = service.settings.max_messages

    def _work() -> Sent:
        if kind == ARROW_TYPE:
            known = read_json(Context, context, "query.context") if context else Context()
            read_arrow(body, service.settings)
            return Sent("messages.arrow", body, len(body), known)
        sent = read_json(DiscoveryRequest, body)
        payloads = pa.table({"payload": pa.array(decode_messages(sent.messages, most), pa.large_binary())})
        return Sent("messages", arrow_bytes(payloads), len(body), sent.context)

    return await asyncio.to_thread(_work)


async def _read_upload(request: Request) -> Sent:
    form = await request.form(max_files=1, max_fields=4)
    capture, context = form.get("capture"), form.get("context")
    if not isinstance(capture, UploadFile):
        fault = Fault(where="body.capture", what="Field required")
        raise ProblemError(422, "body.capture: the capture file is missing", faults=[fault])
    if isinstance(context, UploadFile):
        context = (await context.read()).decode("utf-8", "replace")
    known = read_json(Context, context, "body.context") if context else Context()
    name = _CONTROL.sub("?", FilePath(capture.filename or "capture").name)[:120]
    return Sent(name, capture, capture.size or 0, known)


def subject_of(request: Request) -> str:
    """Return who asks; the guard has said so."""
    return str(request.scope["principal"].subject)


def job_of(service: Service, job_id: str, tenant: str) -> Job:
    """
    Return a discovery of a tenant.

    Raises:
        ProblemError: 404, there is none with that id.
    """
    found = service.catalog.of(tenant).job(job_id)
    if found is None:
        raise ProblemError(404, f"no discovery '{job_id[:64]}'", hint="finished ones are deleted after a while")
    return found


@router.get("", summary="List the discoveries", responses=problem_responses(400, 422))
async def discoveries(
    service: ServiceOf,
    tenant: TenantOf,
    limit: Limit = 100,
    after: After = None,
    status: Annotated[Status | None, Query(description="only those of this status")] = None,
) -> DiscoveryList:
    """Return the discoveries that are kept, without what they found, the newest first."""
    lists = CatalogLists(service.catalog.of(tenant))
    found = await asyncio.to_thread(lists.jobs, limit + 1, mark_from(after), status)
    shown, following = page_of(found, limit)
    return DiscoveryList(discoveries=[_listed(each) for each in shown], next=following)


def _listed(job: JobEntry) -> DiscoverySummary:
    return DiscoverySummary.model_validate({
        "id": job.id, "status": job.status, "created": job.created, "updated": job.updated, "attempts": job.attempts,
        "input": job.request["input"], "links": _links(job.id),
    })  # fmt: skip


def _links(job_id: str) -> dict[str, str]:
    address = f"/v1/discoveries/{job_id}"
    return {"self": address, "events": f"{address}/events"}


@router.get("/{discovery_id}", summary="The state of a discovery", responses=problem_responses(404, 422))
async def discovery(discovery_id: DiscoveryId, service: ServiceOf, tenant: TenantOf) -> Discovery:
    """Return how far it has come, with the seconds of each stage, and what it has found so far."""
    return document(await asyncio.to_thread(job_of, service, discovery_id, tenant))


@router.delete("/{discovery_id}", summary="Cancel a discovery", responses=problem_responses(404, 422))
async def cancel_discovery(discovery_id: DiscoveryId, service: ServiceOf, tenant: TenantOf) -> Discovery:
    """End it at once, and its work at its next step; what it has found stays. One that has ended stays as it is."""
    await asyncio.to_thread(job_of, service, discovery_id, tenant)
    if await asyncio.to_thread(service.catalog.of(tenant).cancel, discovery_id):
        JOBS.record(status=CANCELLED)
    return document(await asyncio.to_thread(job_of, service, discovery_id, tenant))
