"""Judge messages by a known specification."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa
from fastapi import APIRouter, Request, Response
from pydantic import Field

from ..cluster.observability.cost import spending
from ..cluster.observability.names import MESSAGES
from ..discovery.batch import MessageBatch, MessageView
from ..discovery.validator import MessageValidator, ValidationResult, rules_from
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
from .models import Level, Rule, Rules, ValidateRequest, ValidateResponse
from .parameters import described, query_of
from .parse import ProtocolQuery, needed
from .problems import problem_responses
from .service import service_of, tenant_of
from .specifications import KnownSpecification
from .work import CHUNK, SMALL, Steps, within

router = APIRouter(prefix="/v1/validate", tags=["use"])

_TEXT, _NUMBER = pa.string(), pa.int64()
_VIOLATION = pa.struct({"rule": _TEXT, "start": _NUMBER, "length": _NUMBER, "reason": _TEXT, "field": _TEXT})
VERDICTS = pa.schema({"row": _NUMBER, "valid": pa.bool_(), "violations": pa.list_(_VIOLATION)})


class ValidateQuery(ProtocolQuery):
    """How an Arrow body is judged."""

    level: Level = Field("standard", description="with an Arrow body")
    rules: str | None = Field(None, description="JSON list of rules, with an Arrow body")


class Asked(NamedTuple):
    """How strictly to judge, and by which rules of the client's own (as plain data)."""

    level: Level
    rules: list[dict[str, Any]]


def judge(known: KnownSpecification, batch: MessageBatch | MessageView, asked: Asked, steps: Steps) -> dict[str, Any]:
    """
    Validate a batch and give a verdict for each message; the document is that of ``ValidateResponse``.

    Raises:
        RuleError: a rule is malformed, or names a field that the specification lacks.
    """
    validator = known.validator(asked.level)
    if asked.rules:
        validator = validator.with_rules(rules_from(asked.rules, validator.parser.symbols))
    verdicts: list[dict[str, Any]] = []
    with spending("validate"):
        for result in _results(validator, batch, steps):
            broken: dict[int, list[dict[str, Any]]] = {}
            for row, violation in result.violations():
                broken.setdefault(row, []).append(vars(violation))
            first = len(verdicts)
            verdicts.extend(
                {"row": first + row, "valid": row not in broken, "violations": broken.get(row, [])}
                for row in range(len(result))
            )
    MESSAGES.record(len(batch), operation="validate")
    valid = sum(verdict["valid"] for verdict in verdicts)
    head = {"protocol": known.stored.id, "digest": known.stored.digest, "level": asked.level, "valid": valid}
    return {**head, "messages": verdicts}


def columns(verdicts: list[dict[str, Any]]) -> Response:
    """Return verdicts as an Arrow stream, one row a message."""
    return Response(arrow_bytes(pa.Table.from_pylist(verdicts, VERDICTS)), media_type=ARROW_TYPE)


def _results(
    validator: MessageValidator, batch: MessageBatch | MessageView, steps: Steps
) -> Iterable[ValidationResult]:
    if isinstance(batch, MessageView) or len(batch) <= CHUNK:
        return [validator.validate_batch(batch)]  # nothing has to be remembered from part to part
    return validator.stream(steps.chunks(batch))


@router.post(
    "",
    summary="Validate messages",
    response_model=ValidateResponse,
    responses={
        200: {
            "description": "Verdicts as JSON, or with `Accept: " + ARROW_TYPE + "` as an Arrow stream, a row a message",
            "content": ARROW_ANSWER,
        },
        **problem_responses(400, 404, 413, 415, 422, 504),
    },
    openapi_extra=request_body(
        ValidateRequest, (ARROW_TYPE, "Arrow stream with a binary column payload"), parameters=described(ValidateQuery)
    ),
)
async def validate(request: Request) -> Response:
    """Judge messages (JSON with base64, or an Arrow stream): which rule is broken, in which bytes, and why."""
    given = query_of(ValidateQuery, request)
    service, tenant = service_of(request), tenant_of(request)
    settings = service.settings
    kind = media_type(request, (JSON_TYPE, ARROW_TYPE))
    body = await request.body()
    wants_arrow = ARROW_TYPE in request.headers.get("accept", "")

    if kind == JSON_TYPE and not wants_arrow and len(body) <= SMALL:
        sent = read_json(ValidateRequest, body)
        known = service.specifications.held(sent.protocol, tenant)
        # Rules of the client's own have patterns, which take what time they take.
        if known is not None and known.judges_at_once(sent.level) and not sent.rules:
            view = MessageView.of(decode_messages(sent.messages, settings.max_messages))
            return json_answer(judge(known, view, Asked(sent.level, []), Steps()))

    def _work(steps: Steps) -> Response:
        if kind == JSON_TYPE:
            sent = read_json(ValidateRequest, body)
            known = service.specifications.find(sent.protocol, tenant)
            batch = MessageBatch.from_payloads(decode_messages(sent.messages, settings.max_messages))
            asked = Asked(sent.level, _plain(sent.rules))
        else:
            known, batch = service.specifications.find(needed(given.protocol), tenant), read_arrow(body, settings)
            rules = _plain(read_json(Rules, given.rules, "query.rules").root) if given.rules else []
            asked = Asked(given.level, rules)
        judged = judge(known, batch, asked, steps)
        return columns(judged["messages"]) if wants_arrow else json_answer(judged)

    return await within(settings.request_timeout_s, _work)


def _plain(rules: list[Rule]) -> list[dict[str, Any]]:
    return [rule.model_dump(exclude_unset=True) for rule in rules]
