"""Streams over HTTP: messages in; statistics, specifications and what drifted between them out."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from ..actors.ingest import Keyed
from ..cluster.buckets import Span
from ..cluster.tenants import stream_key, stream_name
from ..discovery.batch import MessageBatch
from ..discovery.captured import protocols_in
from ..discovery.captures import CaptureLimits, read_capture
from ..discovery.errors import InputError, NotFoundError
from ..discovery.orchestrator import Known
from ..discovery.statistics import summarise
from .bodies import ARROW_ANSWER, ARROW_TYPE, arrow_bytes, media_type, read_arrow
from .discoveries import answer_of
from .models import Discovery
from .problems import ProblemError, problem_responses
from .service import Service, ServiceOf, TenantOf
from .stream_models import (
    Appended,
    Digest,
    ErasedStream,
    OffsetStatistics,
    Retention,
    StreamEvent,
    StreamEvents,
    StreamList,
    StreamStatistics,
    StreamSummary,
    StreamVersion,
    StreamVersions,
)
from .work import Steps, within

router = APIRouter(prefix="/v1/streams", tags=["streams"])

NDJSON_TYPE = "application/x-ndjson"
PCAP_TYPE = "application/vnd.tcpdump.pcap"
STREAM = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
KEY = r"^[\x20-\x7e]{1,256}$"
DAY_S = 86_400


def _key(
    stream: Annotated[str, Path(pattern=STREAM, description="name of the stream", examples=["plc-7"])],
    service: ServiceOf,
    tenant: TenantOf,
) -> str:
    """Return what the stores call the tenant's stream of that name."""
    key = stream_key(tenant, stream)
    # One that an operator named without its tenant, `qbitel ingest --tenant`, is nobody else's either.
    if service.owner(key) not in (None, tenant):
        raise NotFoundError("no such stream", where=stream)
    return key


Name = Annotated[str, Depends(_key)]
Window = Annotated[
    str,
    Query(
        max_length=80,
        description="all; 15m, 1h or 7d up to the newest message; 5000messages; or SINCE/UNTIL in ISO 8601. In whole "
        "buckets of five minutes of the messages' own time",
        examples=["1h"],
    ),
]
_LINE = '{"payload": "5a0103", "ts": 1750000200.5}\n{"payload": "5a0200", "ts": 1750000201.0}\n'
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            ARROW_TYPE: {
                "schema": {"type": "string", "format": "binary", "description": "Arrow stream with a column payload"}
            },
            NDJSON_TYPE: {
                "schema": {"type": "string", "description": "a JSON object a line, as JSON-lines captures have them"},
                "examples": {"example": {"value": _LINE}},
            },
            PCAP_TYPE: {
                "schema": {"type": "string", "format": "binary", "description": "a pcap or pcapng capture, whole flows"}
            },
        },
    }
}


def _messages(
    service: Service, name: str, kind: str, body: bytes, protocol: str | None
) -> tuple[Known, str, MessageBatch, list[str]]:
    """Return what is known of a body's messages, its hash where it is a capture, the messages, and warnings."""
    settings = service.settings
    if kind == ARROW_TYPE:
        return Known(stream_name(name)), "", read_arrow(body, settings), []
    limits = CaptureLimits(input_bytes=2 * settings.max_body_bytes, expanded_bytes=settings.max_expanded_bytes)
    capture = read_capture(body, limits=limits, format="jsonl" if kind == NDJSON_TYPE else None)
    if kind == NDJSON_TYPE and capture.warnings:
        raise InputError(capture.warnings[0], where="body", hint="nothing of it was used: correct it and send it again")
    found = protocols_in([capture], protocol, service.streams.framing(name))
    if len(found) > 1:
        names = ", ".join(each.known.protocol for each in found[:12])
        raise NotFoundError(f"the capture holds {len(found)} protocols", hint=f"?protocol= one of: {names}")
    known = found[0].known
    return known, capture.sha256 if kind == PCAP_TYPE else "", found[0].messages, list(capture.warnings)


@router.post(
    "/{stream}/messages",
    summary="Add messages to a stream",
    response_model=Appended,
    responses=problem_responses(400, 404, 409, 413, 415, 422, 504),
    openapi_extra=BODY,
)
async def append(
    request: Request,
    stream: Name,
    service: ServiceOf,
    idempotency_key: Annotated[
        str, Header(pattern=KEY, description="names the batch: the same again is counted once", examples=["plc-7/0001"])
    ],
    protocol: Annotated[str | None, Query(max_length=64, description="which protocol of a capture")] = None,
) -> Response:
    """
    Answer when every message is in the stream's journal, on the disk or in the store: then it is never lost.

    After a time-out or a lost answer send the same body under the same key again: nothing is counted twice.
    """
    kind = media_type(request, (ARROW_TYPE, NDJSON_TYPE, PCAP_TYPE))
    body = await request.body()

    def _work(steps: Steps) -> Response:
        known, capture, batch, warnings = _messages(service, stream, kind, body, protocol)
        steps.check()
        done = service.streams.append(stream, known, Keyed(idempotency_key, capture, batch))
        if done.refused:
            hint = "a key names one batch for ever: take a new one"
            raise ProblemError(409, done.refused[0], hint=hint)
        document = {
            "stream": stream_name(stream),
            "key": idempotency_key,
            "messages": done.messages,
            "known": done.known,
        }
        return JSONResponse({**document, "warnings": warnings})

    return await within(service.settings.request_timeout_s, _work)


@router.get("", summary="List the streams", responses=problem_responses(422))
async def streams(service: ServiceOf, tenant: TenantOf) -> StreamList:
    """Return the tenant's streams by name."""
    found = await asyncio.to_thread(service.streams.state.manifest.streams)
    return StreamList(
        streams=[
            StreamSummary(
                name=stream_name(s.name), shards=s.shards, tenant=s.tenant, days=s.keep_s and s.keep_s / DAY_S
            )
            for s in found
            if s.tenant == tenant and s.name == stream_key(tenant, stream_name(s.name))
        ]
    )


@router.get("/{stream}/digest", summary="The digest of a stream", responses=problem_responses(400, 404, 422, 504))
async def digest(stream: Name, service: ServiceOf, window: Window = "all") -> Digest:
    """Return the digest of the statistics of a window: the same for the same messages at any number of shards."""

    def _work(steps: Steps) -> Digest:
        found = service.streams.statistics(stream, service.streams.window(stream, window))
        return Digest(stream=stream_name(stream), window=window, digest=found.digest(), messages=found.total)

    return await within(service.settings.request_timeout_s, _work)


@router.get(
    "/{stream}/statistics",
    summary="The statistics of a stream",
    response_model=StreamStatistics,
    responses={
        200: {
            "description": "As JSON; or with `Accept: " + ARROW_TYPE + "` a row an offset, with histograms",
            "content": ARROW_ANSWER,
        },
        **problem_responses(400, 404, 422, 504),
    },
)
async def statistics(request: Request, stream: Name, service: ServiceOf, window: Window = "all") -> Response:
    """Return what stands at each offset of a window's messages: how many reach it, entropy, the commonest byte."""
    wants_arrow = ARROW_TYPE in request.headers.get("accept", "")

    def _work(steps: Steps) -> Response:
        found = summarise(service.streams.shown(stream, window))
        table = found.to_arrow()
        if wants_arrow:
            return Response(arrow_bytes(table), media_type=ARROW_TYPE)
        offsets = table.select(list(OffsetStatistics.model_fields)).to_pylist()
        names = ("messages", "payload_bytes", "longest", "distinct", "length_quantiles", "directions")
        whole = {name: getattr(found, name) for name in names}
        return JSONResponse({"stream": stream_name(stream), "window": window, **whole, "offsets": offsets})

    return await within(service.settings.request_timeout_s, _work)


@router.get("/{stream}/specs", summary="Versions of a stream's specification", responses=problem_responses(404, 422))
async def specs(stream: Name, service: ServiceOf) -> StreamVersions:
    """Return the versions, the newest first; `/v1/protocols` has their documents by id."""

    def _work() -> StreamVersions:
        service.streams.stream(stream)
        found = service.streams.versions.all(stream)
        return StreamVersions(
            versions=[
                StreamVersion(
                    number=each.number,
                    id=each.id,
                    digest=each.digest,
                    identity=each.identity,
                    messages=each.messages,
                    stored=each.stored,
                    **_times(each.span),
                    links={"protocol": f"/v1/protocols/{each.id}"},
                )
                for each in found
            ]
        )

    return await asyncio.to_thread(_work)


def _times(span: Span) -> dict[str, Any]:
    return {
        "since": None if span.first is None else span.since,
        "until": None if span.end is None else span.until,
        "untimed": span.untimed,
    }


@router.get("/{stream}/events", summary="What drifted in a stream", responses=problem_responses(404, 422))
async def events(
    stream: Name,
    service: ServiceOf,
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="number of the last event that is known")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> StreamEvents:
    """Return how each version of the specification differs from the one before it, with the figures, in order."""

    def _work() -> StreamEvents:
        service.streams.stream(stream)
        found = service.streams.versions.events(stream, after, limit)
        return StreamEvents(events=[StreamEvent.model_validate(asdict(each)) for each in found])

    return await asyncio.to_thread(_work)


@router.post(
    "/{stream}/discover",
    summary="Discover the protocol of a stream",
    response_model=Discovery,
    responses={
        202: {"description": "It runs; `Location` says where to ask", "model": Discovery},
        **problem_responses(400, 404, 413, 422, 503, 504),
    },
)
async def discover(
    request: Request,
    stream: Name,
    service: ServiceOf,
    window: Window = "all",
    prefer: Annotated[str, Header(description="`respond-async`: always answer 202 (RFC 7240)")] = "",
) -> Response:
    """Find the specification of a window, keep it as a version, and raise what has changed as events."""
    await asyncio.to_thread(service.streams.window, stream, window)
    asked = {"context": {}, "input": {"name": stream_name(stream), "bytes": 0}, "stream": stream, "window": window}
    return await answer_of(service, request, asked, wait="respond-async" not in prefer)


@router.put("/{stream}/retention", summary="Say how long messages are kept", responses=problem_responses(404, 422))
async def retain(
    stream: Name,
    service: ServiceOf,
    retention: Annotated[Retention, Body(openapi_examples={"example": {"value": {"days": 30}}})],
) -> Retention:
    """Keep the rule; `qbitel shards retain`, run by a timer, acts on it."""
    keep_s = None if retention.days is None else round(retention.days * DAY_S)
    await asyncio.to_thread(service.streams.stream, stream)
    await asyncio.to_thread(service.streams.state.manifest.keep, stream, keep_s)
    return retention


@router.delete("/{stream}", summary="Erase the messages of a stream", responses=problem_responses(400, 404, 422, 504))
async def erase(stream: Name, service: ServiceOf, window: Window = "all") -> ErasedStream:
    """
    Take the messages of a window out of journal, samples and snapshots, with the specifications found in the stream.

    The stream and the keys of its batches stay, so that a late retry does not bring back what was erased.
    """

    def _work(steps: Steps) -> ErasedStream:
        done = service.streams.erase(stream, service.streams.window(stream, window))
        return ErasedStream.model_validate({**asdict(done), "stream": stream_name(stream)})

    return await within(service.settings.request_timeout_s, _work)
