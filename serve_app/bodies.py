"""Read request bodies: JSON with base64, Arrow streams, multipart captures."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import pyarrow as pa
from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from ..cluster.settings import ServiceSettings
from ..discovery.batch import MessageBatch, arrow_stream
from ..discovery.captures import CaptureLimits
from ..discovery.captures.rows import read_table
from ..discovery.captures.source import Source
from ..discovery.errors import InputError
from .problems import Fault, ProblemError, faults_of

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
MULTIPART_TYPE = "multipart/form-data"

# How OpenAPI says that an answer may be an Arrow stream instead of JSON.
ARROW_ANSWER = {ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}}}

Document = TypeVar("Document", bound=BaseModel)


def media_type(request: Request, allowed: Sequence[str]) -> str:
    """
    Return the media type of a request's body.

    Raises:
        ProblemError: 415, it is none of the allowed, or compressed as a whole.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        hint = "send it as it is; captures may themselves be gzip or zstd, Arrow buffers lz4 or zstd"
        raise ProblemError(415, f"the body is encoded as '{coding[:80]}'", hint=hint)
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given not in allowed:
        raise ProblemError(415, f"the body is of type '{given[:80]}'", hint=f"send one of {', '.join(allowed)}")
    return given


def read_json(model: type[Document], body: bytes | str, where: str = "body") -> Document:
    """
    Read a JSON document.

    Raises:
        ProblemError: 400, it is no JSON; 422, it is not what the model says.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        faults = [Fault(where=f"{where}.{f.where}" if f.where else where, what=f.what) for f in faults_of(errors)]
        status = 400 if errors[0]["type"] == "json_invalid" else 422
        raise ProblemError(status, f"{faults[0].where}: {faults[0].what}", faults=faults) from None


def decode_messages(messages: Sequence[str], limit: int) -> list[bytes]:
    """
    Decode base64 messages.

    Raises:
        ProblemError: 413, more than ``limit`` messages; 400, one is no base64.
    """
    check_count(len(messages), limit)
    payloads: list[bytes] = []
    for number, text in enumerate(messages):
        try:
            payloads.append(binascii.a2b_base64(text.encode("ascii"), strict_mode=True) if text else b"")
        except (binascii.Error, UnicodeEncodeError) as error:
            reason = "not ASCII" if isinstance(error, UnicodeEncodeError) else str(error)
            where = f"body.messages.{number}"
            raise ProblemError(
                400,
                f"{where} is no base64: {reason}",
                code="base64",
                hint="RFC 4648 with padding, without line breaks",
                faults=[Fault(where=where, what=reason)],
            ) from None
    return payloads


def read_arrow(body: bytes, settings: ServiceSettings) -> MessageBatch:
    """
    Read the messages of an Arrow stream: a binary column ``payload``, and the optional columns of tables.

    Raises:
        InputError: it is no Arrow stream, ends early, has no such column, or no rows.
        LimitError: its buffers expand to more bytes than the settings allow.
        ProblemError: 413, it has more messages than they allow.
    """
    source = Source("body", body, "")
    limits = CaptureLimits(expanded_bytes=settings.max_expanded_bytes, packets=settings.max_messages + 1)
    (group, *_), _ = read_table(source, None, None, limits)
    if source.cut:
        raise InputError(source.warnings[-1], where="body", hint="nothing of it was used: send it again")
    check_count(len(group.batch), settings.max_messages)
    return group.batch


def check_count(count: int, limit: int) -> None:
    """
    Check the number of messages of one request.

    Raises:
        ProblemError: 413, there are too many.
    """
    if count > limit:
        raise ProblemError(413, f"more than {limit} messages in one request", hint="send them in several requests")


def arrow_bytes(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    return bytes(arrow_stream(table))


def json_answer(document: Any) -> Response:
    """Return plain data as JSON, in a third of the time that the standard library's encoder takes."""
    return Response(to_json(document), media_type=JSON_TYPE)


def request_body(
    model: type[BaseModel], *others: tuple[str, str], parameters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return OpenAPI's description of a body: JSON of a model, or another (media type, description); and parameters."""
    extra: Any = model.model_config.get("json_schema_extra", {})
    examples = {"example": {"value": extra["examples"][0]}}
    content: dict[str, Any] = {
        JSON_TYPE: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}, "examples": examples}
    }
    for kind, description in others:
        schema: dict[str, Any] = {"type": "string", "format": "binary", "description": description}
        if kind == MULTIPART_TYPE:
            context = {"type": "string", "description": "JSON of a Context", "contentMediaType": JSON_TYPE}
            schema = {"type": "object", "required": ["capture"], "properties": {"capture": schema, "context": context}}
        content[kind] = {"schema": schema}
    return {"requestBody": {"required": True, "content": content}, "parameters": [*parameters]}
