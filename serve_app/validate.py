"""Judge messages by a known specification."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from ..cluster.catalog import StoredSpecification
from ..discovery.batch import MessageBatch
from .bodies import ARROW_TYPE, JSON_TYPE, decode_messages, media_type, read_arrow, read_json, request_body
from .models import Level, ValidateRequest, ValidateResponse, Verdict, Violation
from .parse import ProtocolQuery, needed, within
from .problems import problem_responses
from .service import Service, ServiceOf

router = APIRouter(prefix="/v1/validate", tags=["use"])


def judge(service: Service, found: StoredSpecification, batch: MessageBatch, level: Level) -> ValidateResponse:
    """Validate a batch and give a verdict for each message."""
    result = service.validator(found.digest, found.document, level).validate_batch(batch)
    verdicts = []
    for row in range(len(batch)):
        valid = bool(result.valid[row])
        broken = [] if valid else result.verdict(row).violations
        violations = [
            Violation(rule=v.rule, start=v.start, length=v.length, reason=v.reason, field=v.field or "") for v in broken
        ]
        verdicts.append(Verdict(row=row, valid=valid, violations=violations))
    count = sum(verdict.valid for verdict in verdicts)
    return ValidateResponse(protocol=found.id, digest=found.digest, level=level, valid=count, messages=verdicts)


@router.post(
    "",
    summary="Validate messages",
    responses=problem_responses(400, 404, 413, 415, 422, 504),
    openapi_extra=request_body(ValidateRequest, (ARROW_TYPE, "Arrow stream with a binary column payload")),
)
async def validate(
    request: Request,
    service: ServiceOf,
    protocol: ProtocolQuery = None,
    level: Annotated[Level, Query(description="with an Arrow body")] = "standard",
) -> ValidateResponse:
    """Judge messages (JSON with base64, or an Arrow stream): which rule is broken, in which bytes, and why."""
    settings = service.settings
    kind = media_type(request, (JSON_TYPE, ARROW_TYPE))
    body = await request.body()

    def _work() -> ValidateResponse:
        if kind == JSON_TYPE:
            sent = read_json(ValidateRequest, body)
            batch = decode_messages(sent.messages, settings.max_messages)
            return judge(service, service.specification(sent.protocol), batch, sent.level)
        found = service.specification(needed(protocol))
        return judge(service, found, read_arrow(body, settings.max_messages), level)

    return await within(settings.request_timeout_s, _work)
