"""Parse messages with a known specification."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from ..cluster.catalog import StoredSpecification
from ..discovery.batch import MessageBatch
from ..discovery.parser import Parser
from .bodies import ARROW_TYPE, JSON_TYPE, arrow_bytes, decode_messages, media_type, read_arrow, read_json, request_body
from .models import ParseRequest, ParseResponse
from .problems import Fault, ProblemError, problem_responses
from .service import Service, ServiceOf

router = APIRouter(prefix="/v1/parse", tags=["use"])
Answer = TypeVar("Answer")
ProtocolQuery = Annotated[str | None, Query(max_length=64, description="id of the specification, with an Arrow body")]


async def within(seconds: float, work: Callable[[], Answer]) -> Answer:
    """
    Run work in a thread and wait so long for it.

    Raises:
        ProblemError: 504, it took longer.
    """
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), seconds)
    except TimeoutError:
        hint = "send fewer messages at a time"
        raise ProblemError(504, f"the request took more than {seconds:g} s", hint=hint) from None


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


def trees(service: Service, found: StoredSpecification, batch: MessageBatch) -> ParseResponse:
    """Parse each message to a tree."""
    parser = service.parser(found.digest, found.document)
    view = batch.view()
    documents: list[dict[str, Any]] = [parser.parse(view.payload(row)).to_dict() for row in range(len(view))]
    return ParseResponse(protocol=found.id, digest=found.digest, messages=documents)


def columns(parser: Parser, batch: MessageBatch) -> Response:
    """Parse a batch to columns, one row a message."""
    return Response(arrow_bytes(parser.parse_batch(batch).to_arrow()), media_type=ARROW_TYPE)


@router.post(
    "",
    summary="Parse messages",
    response_model=ParseResponse,
    responses={
        200: {"description": "Trees as JSON, or with `Accept: " + ARROW_TYPE + "` columns as an Arrow stream"},
        **problem_responses(400, 404, 413, 415, 422, 504),
    },
    openapi_extra=request_body(ParseRequest, (ARROW_TYPE, "Arrow stream with a binary column payload")),
)
async def parse(request: Request, service: ServiceOf, protocol: ProtocolQuery = None) -> Response:
    """Parse messages (JSON with base64, or an Arrow stream) with the specification of that id."""
    settings = service.settings
    kind = media_type(request, (JSON_TYPE, ARROW_TYPE))
    body = await request.body()
    wants_arrow = ARROW_TYPE in request.headers.get("accept", "")

    def _work() -> Response:
        if kind == JSON_TYPE:
            sent = read_json(ParseRequest, body)
            found, batch = service.specification(sent.protocol), decode_messages(sent.messages, settings.max_messages)
        else:
            found, batch = service.specification(needed(protocol)), read_arrow(body, settings.max_messages)
        if wants_arrow:
            return columns(service.parser(found.digest, found.document), batch)
        return JSONResponse(trees(service, found, batch).model_dump(mode="json"))

    return await within(settings.request_timeout_s, _work)
