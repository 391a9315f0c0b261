"""Parse messages with a known specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from fastapi import APIRouter, Request, Response
from pydantic import Field

from ..cluster.observability.cost import spending
from ..cluster.observability.names import MESSAGES
from ..discovery.batch import MessageBatch
from ..discovery.parser import Parser
from .bodies import (
    ARROW_ANSWER,
    ARROW_TYPE,
    JSON_TYPE,
    arrow_bytes,
    decode_messages,
    json_answer,
    media_type,
    read_arrow,
    read_json,
    request_body,
)
from .models import ParseRequest, ParseResponse
from .parameters import Parameters, described, query_of
from .problems import Fault, ProblemError, problem_responses
from .service import service_of, tenant_of
from .specifications import KnownSpecification
from .work import CHUNK, SMALL, Steps, within

router = APIRouter(prefix="/v1/parse", tags=["use"])


class ProtocolQuery(Parameters):
    """Which specification an Arrow body is parsed with."""

    protocol: str | None = Field(None, max_length=64, description="id of the specification, with an Arrow body")


def needed(protocol: str | None) -> str:
    """
    Return the id of the specification that an Arrow body needs beside it.

    Raises:
        ProblemError: 422, it is missing.
    """
    if protocol is None:
        fault = Fault(where="query.protocol", what="Field required")
        raise ProblemError(422, "query.protocol: an Arrow body needs it", faults=[fault])
    return protocol


def trees(known: KnownSpecification, payloads: Sequence[bytes], steps: Steps) -> dict[str, Any]:
    """Parse each message to a tree; the document is that of ``ParseResponse``."""
    documents: list[dict[str, Any]] = []
    with spending("parse"):
        for start in range(0, len(payloads), CHUNK):
            steps.check()
            documents.extend(known.parser.parse(payload).to_dict() for payload in payloads[start : start + CHUNK])
    MESSAGES.record(len(payloads), operation="parse")
    return {"protocol": known.stored.id, "digest": known.stored.digest, "messages": documents}


def columns(parser: Parser, batch: MessageBatch, steps: Steps) -> Response:
    """Parse a batch to columns, one row a message."""
    with spending("parse"):
        tables = [parser.parse_batch(chunk).to_arrow() for chunk in steps.chunks(batch)]
    MESSAGES.record(len(batch), operation="parse")
    return Response(arrow_bytes(pa.concat_tables(tables, promote_options="permissive")), media_type=ARROW_TYPE)


@router.post(
    "",
    summary="Parse messages",
    response_model=ParseResponse,
    responses={
        200: {
            "description": "Trees as JSON, or with `Accept: " + ARROW_TYPE + "` columns as an Arrow stream",
            "content": ARROW_ANSWER,
        },
        **problem_responses(400, 404, 413, 415, 422, 504),
    },
    openapi_extra=request_body(
        ParseRequest, (ARROW_TYPE, "Arrow stream with a binary column payload"), parameters=described(ProtocolQuery)
    ),
)
async def parse(request: Request) -> Response:
    """Parse messages (JSON with base64, or an Arrow stream) with the specification of that id."""
    asked = query_of(ProtocolQuery, request)
    service, tenant = service_of(request), tenant_of(request)
    settings = service.settings
    kind = media_type(request, (JSON_TYPE, ARROW_TYPE))
    body = await request.body()
    wants_arrow = ARROW_TYPE in request.headers.get("accept", "")

    if kind == JSON_TYPE and not wants_arrow and len(body) <= SMALL:
        sent = read_json(ParseRequest, body)
        known = service.specifications.held(sent.protocol, tenant)
        if known is not None and known.parses_at_once():
            return json_answer(trees(known, decode_messages(sent.messages, settings.max_messages), Steps()))

    def _work(steps: Steps) -> Response:
        if kind == JSON_TYPE:
            sent = read_json(ParseRequest, body)
            known = service.specifications.find(sent.protocol, tenant)
            payloads = decode_messages(sent.messages, settings.max_messages)
            if not wants_arrow:
                return json_answer(trees(known, payloads, steps))
            batch = MessageBatch.from_payloads(payloads)
        else:
            known, batch = service.specifications.find(needed(asked.protocol), tenant), read_arrow(body, settings)
        return (
            columns(known.parser, batch, steps) if wants_arrow else json_answer(trees(known, batch.payloads(), steps))
        )

    return await within(settings.request_timeout_s, _work)
