"""Say which known protocol messages are of."""

from __future__ import annotations

import pyarrow as pa
from fastapi import APIRouter, Request, Response
from pydantic import Field

from ..cluster.cache import Answer
from ..cluster.observability.cost import spending
from ..cluster.observability.names import CONFIDENCE, MESSAGES, UNKNOWN
from ..discovery.batch import MessageBatch
from ..discovery.classifier import Classification
from .bodies import (
    ARROW_ANSWER,
    ARROW_TYPE,
    JSON_TYPE,
    arrow_bytes,
    decode_messages,
    media_type,
    read_arrow,
    read_json,
    request_body,
)
from .models import ClassifyRequest
from .parameters import Parameters, described, query_of
from .problems import problem_responses
from .service import Service, service_of, tenant_of
from .work import Steps, within

router = APIRouter(prefix="/v1/classify", tags=["use"])


class ClassifyQuery(Parameters):
    """What is wanted of an Arrow body."""

    top: int = Field(3, ge=1, le=20, description="candidates to name, with an Arrow body")
    reasons: int = Field(0, ge=0, le=20, description="facts to look for, with an Arrow body")


def group(service: Service, tenant: str, batch: MessageBatch, top: int, reasons: int) -> Answer:
    """Classify the messages as one group; an unknown protocol gets the name that its tenant has for it."""
    with spending("classify"):
        found = service.classifier.classify(batch, top=top, reasons=reasons, clusters=service.unknown(tenant))
    MESSAGES.record(len(batch), operation="classify")
    CONFIDENCE.record(found.probability)
    if found.protocol is None:
        UNKNOWN.record()
    return Answer(found.model_dump_json().encode(), JSON_TYPE)


def each(service: Service, batch: MessageBatch, steps: Steps) -> Answer:
    """Classify every message by itself, one row a message."""
    with spending("classify"):
        tables = [service.classifier.classify_each(chunk) for chunk in steps.chunks(batch)]
    MESSAGES.record(len(batch), operation="classify")
    return Answer(arrow_bytes(pa.concat_tables(tables).unify_dictionaries()), ARROW_TYPE)


@router.post(
    "",
    summary="Classify messages",
    response_model=Classification,
    responses={
        200: {
            "description": "What the messages are together, as JSON; or, with `Accept: " + ARROW_TYPE + "`, what each "
            "is by itself, as an Arrow stream of protocol, probability and unknown",
            "content": ARROW_ANSWER,
        },
        **problem_responses(400, 413, 415, 422, 504),
    },
    openapi_extra=request_body(
        ClassifyRequest,
        (ARROW_TYPE, "Arrow stream with a binary column payload, and direction where it is known"),
        parameters=described(ClassifyQuery),
    ),
)
async def classify(request: Request) -> Response:
    """Say which known protocol messages are of, with calibrated probabilities, or that they are of none of these."""
    asked, service, tenant = query_of(ClassifyQuery, request), service_of(request), tenant_of(request)
    settings = service.settings
    kind = media_type(request, (JSON_TYPE, ARROW_TYPE))
    body = await request.body()
    wants_arrow = ARROW_TYPE in request.headers.get("accept", "")

    def _work(steps: Steps) -> Answer:
        if kind == JSON_TYPE:
            sent = read_json(ClassifyRequest, body)
            batch = MessageBatch.from_payloads(decode_messages(sent.messages, settings.max_messages))
            wanted = (sent.top, sent.reasons)
        else:
            batch, wanted = read_arrow(body, settings), (asked.top, asked.reasons)
        return each(service, batch, steps) if wants_arrow else group(service, tenant, batch, *wanted)

    async def _make() -> Answer:
        return await within(settings.request_timeout_s, _work)

    return await service.answers.give(request, body, (service.classifier.model.digest,), _make)
