"""Each operation of the service as data: method, path, what is sent, how its answer is read. Nothing is sent here."""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import pyarrow as pa
from pydantic import BaseModel

from ..discovery.batch import MessageBatch, arrow_stream
from ..discovery.classifier import Classification
from ..serve_app import models, stream_models
from ..serve_app.models import Context, Rule

ARROW_TYPE = "application/vnd.apache.arrow.stream"
Answer = TypeVar("Answer")
Document = TypeVar("Document", bound=BaseModel)
Messages = MessageBatch | Iterable[bytes]
"""Messages: bytes travel as JSON, a batch as an Arrow stream, which is the faster way for many."""
Capture = str | PathLike[str] | bytes
"""A capture: the path of a file, or its bytes."""


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """
    A request, and what becomes of the bytes of its answer.

    Attributes:
        request: what ``httpx`` takes beside method and path.
    """

    method: str
    path: str
    read: Callable[[bytes], Answer]
    request: dict[str, Any] = field(default_factory=dict)


def _call(operation: str, read: Callable[[bytes], Answer], *names: str, **request: Any) -> Call[Answer]:
    method, path = operation.split(" ")
    parts = iter(names)
    filled = [quote(next(parts), safe="@") if part.startswith("{") else part for part in path.split("/")]
    if "params" in request:
        request["params"] = {name: value for name, value in request["params"].items() if value is not None}
    return Call(method, "/".join(filled), read, request)


def _table(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


def _body(messages: Messages, beside: dict[str, Any], accept: str = "application/json") -> dict[str, Any]:
    """Return the body of messages and what is told beside them: in it, or with an Arrow stream in the query."""
    headers = {"Accept": accept}
    if isinstance(messages, MessageBatch):
        content = arrow_stream(messages.to_arrow()).to_pybytes()
        return {"content": content, "params": beside, "headers": {**headers, "Content-Type": ARROW_TYPE}}
    texts = [b64encode(message).decode() for message in messages]
    return {"json": {**beside, "messages": texts}, "headers": headers}


def _document(value: BaseModel | None) -> str | None:
    return None if value is None else value.model_dump_json(exclude_none=True)


def start_discovery(
    source: Capture | Sequence[bytes] | MessageBatch, *, context: Context | None = None, key: str | None = None,
    wait: bool = True,
) -> Call[models.Discovery]:  # fmt: skip
    """
    Start the discovery of a capture or of messages.

    Args:
        source: a path or bytes are a capture; a sequence of bytes or a batch are messages of one protocol.
        context: what is known before. key: the same again gives the same discovery; one of its own where None.
        wait: let the service answer with the result where the input is small.
    """
    headers = {"Idempotency-Key": key or uuid.uuid4().hex, **({} if wait else {"Prefer": "respond-async"})}
    operation, read = "POST /v1/discoveries", models.Discovery.model_validate_json
    if isinstance(source, (str, PathLike, bytes)):
        name, data = (
            ("capture", source) if isinstance(source, bytes) else (Path(source).name, Path(source).read_bytes())
        )
        beside = {} if context is None else {"context": _document(context)}
        return _call(operation, read, files={"capture": (name, data)}, data=beside, headers=headers)
    if isinstance(source, MessageBatch):
        sent = _body(source, {"context": _document(context)})
    else:
        sent = _body(source, {} if context is None else {"context": context.model_dump(mode="json")})
    return _call(operation, read, **{**sent, "headers": {**sent["headers"], **headers}})


def discovery(discovery_id: str) -> Call[models.Discovery]:
    """Return the state of a discovery."""
    return _call("GET /v1/discoveries/{id}", models.Discovery.model_validate_json, discovery_id)


def discoveries_page(
    *, after: str | None = None, status: models.Status | None = None, limit: int = 100
) -> Call[models.DiscoveryList]:
    """Return a page of the discoveries, the newest first; ``next`` of it is ``after`` of the next page."""
    params = {"after": after, "status": status, "limit": limit}
    return _call("GET /v1/discoveries", models.DiscoveryList.model_validate_json, params=params)


def cancel(discovery_id: str) -> Call[models.Discovery]:
    """Cancel a discovery."""
    return _call("DELETE /v1/discoveries/{id}", models.Discovery.model_validate_json, discovery_id)


def discovery_events(discovery_id: str, last_event_id: str | None = None) -> Call[bytes]:
    """Return the events of a discovery as they are sent."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    return _call("GET /v1/discoveries/{id}/events", bytes, discovery_id, headers=headers)


def classify(messages: Messages, *, top: int = 3, reasons: int = 0) -> Call[Classification]:
    """Say which known protocol messages are of together."""
    sent = _body(messages, {"top": top, "reasons": reasons})
    return _call("POST /v1/classify", Classification.model_validate_json, **sent)


def classify_each(messages: Messages) -> Call[pa.Table]:
    """Say of each message which known protocol it is of: protocol, probability and unknown, a row a message."""
    return _call("POST /v1/classify", _table, **_body(messages, {}, ARROW_TYPE))


def parse(protocol: str, messages: Messages) -> Call[models.ParseResponse]:
    """Parse messages to trees, with the specification of that id."""
    return _call("POST /v1/parse", models.ParseResponse.model_validate_json, **_body(messages, {"protocol": protocol}))


def parse_table(protocol: str, messages: Messages) -> Call[pa.Table]:
    """Parse messages to columns, a row a message."""
    return _call("POST /v1/parse", _table, **_body(messages, {"protocol": protocol}, ARROW_TYPE))


def validate(
    protocol: str, messages: Messages, *, level: models.Level = "standard", rules: Sequence[Rule] = ()
) -> Call[models.ValidateResponse]:
    """Judge messages by the specification of that id, and by rules of one's own."""
    sent = _judged(protocol, messages, level, rules, "application/json")
    return _call("POST /v1/validate", models.ValidateResponse.model_validate_json, **sent)


def validate_table(
    protocol: str, messages: Messages, *, level: models.Level = "standard", rules: Sequence[Rule] = ()
) -> Call[pa.Table]:
    """Judge messages, a row a message: row, valid and violations."""
    return _call("POST /v1/validate", _table, **_judged(protocol, messages, level, rules, ARROW_TYPE))


def _judged(
    protocol: str, messages: Messages, level: models.Level, rules: Sequence[Rule], accept: str
) -> dict[str, Any]:
    beside: dict[str, Any] = {"protocol": protocol, "level": level}
    if isinstance(messages, MessageBatch):
        beside["rules"] = models.Rules(list(rules)).model_dump_json(exclude_unset=True) if rules else None
    else:
        beside["rules"] = [rule.model_dump(mode="json", exclude_unset=True) for rule in rules]
    return _body(messages, beside, accept)


def protocols_page(
    *, after: str | None = None, protocol: str | None = None, limit: int = 100
) -> Call[models.ProtocolList]:
    """Return a page of the known specifications, of one name or all, the newest first."""
    params = {"after": after, "protocol": protocol, "limit": limit}
    return _call("GET /v1/protocols", models.ProtocolList.model_validate_json, params=params)


def protocol(reference: str) -> Call[models.ProtocolDocument]:
    """Return a specification: ``id``, ``id@v3``, or ``id@`` and the digest of a document."""
    return _call("GET /v1/protocols/{id}", models.ProtocolDocument.model_validate_json, reference)


def versions(spec_id: str, *, limit: int = 100) -> Call[models.ProtocolVersions]:
    """Return the documents of a specification with what they were learned on from and to."""
    read = models.ProtocolVersions.model_validate_json
    return _call("GET /v1/protocols/{id}/versions", read, spec_id, params={"limit": limit})


def diff(spec_id: str, before: str, after: str | None = None) -> Call[models.ProtocolDiff]:
    """Say what differs between two documents: ``v1``, a digest, or a reference (None: the newest)."""
    params = {"from": before, "to": after}
    return _call("GET /v1/protocols/{id}/diff", models.ProtocolDiff.model_validate_json, spec_id, params=params)


def export(reference: str, form: Literal["python", "wireshark", "json-schema", "dot"]) -> Call[str]:
    """Return a specification in another language."""
    return _call("GET /v1/protocols/{id}/exports/{form}", bytes.decode, reference, form)


def delete_protocol(spec_id: str) -> Call[models.DeletedProtocol]:
    """Delete all documents of a specification."""
    return _call("DELETE /v1/protocols/{id}", models.DeletedProtocol.model_validate_json, spec_id)


def models_list() -> Call[models.ModelList]:
    """Return all models with what their aliases stand for."""
    return _call("GET /v1/models", models.ModelList.model_validate_json)


def model_versions_page(model: str, *, below: int | None = None, limit: int = 100) -> Call[models.ModelVersions]:
    """Return a page of the versions of a model, the newest first."""
    params = {"below": below, "limit": limit}
    return _call("GET /v1/models/{model}/versions", models.ModelVersions.model_validate_json, model, params=params)


def model_version(model: str, number: int) -> Call[models.ModelVersion]:
    """Return a version of a model."""
    read = models.ModelVersion.model_validate_json
    return _call("GET /v1/models/{model}/versions/{number}", read, model, str(number))


def aliased(model: str, alias: str) -> Call[models.ModelVersion]:
    """Return the version that an alias stands for."""
    return _call("GET /v1/models/{model}/aliases/{alias}", models.ModelVersion.model_validate_json, model, alias)


def move_alias(model: str, alias: str, version: int) -> Call[models.ModelVersion]:
    """Let an alias stand for a version."""
    read, json = models.ModelVersion.model_validate_json, {"version": version}
    return _call("PUT /v1/models/{model}/aliases/{alias}", read, model, alias, json=json)


def drop_alias(model: str, alias: str) -> Call[models.ModelVersion]:
    """Let an alias stand for nothing."""
    return _call("DELETE /v1/models/{model}/aliases/{alias}", models.ModelVersion.model_validate_json, model, alias)


def retrain(model: str, asked: models.RetrainRequest, *, key: str | None = None) -> Call[models.Retraining]:
    """Submit the training of a challenger; the same key again gives the same retraining."""
    headers, read = {"Idempotency-Key": key or uuid.uuid4().hex}, models.Retraining.model_validate_json
    json = asked.model_dump(mode="json", exclude_none=True)
    return _call("POST /v1/models/{model}/retrain", read, model, json=json, headers=headers)


def retraining(model: str, run: str) -> Call[models.Retraining]:
    """Return how a retraining goes."""
    return _call("GET /v1/models/{model}/retrainings/{run}", models.Retraining.model_validate_json, model, run)


def streams() -> Call[stream_models.StreamList]:
    """Return all streams."""
    return _call("GET /v1/streams", stream_models.StreamList.model_validate_json)


def append(stream: str, messages: MessageBatch, key: str) -> Call[stream_models.Appended]:
    """Add a batch to a stream; the same key again counts nothing twice."""
    content, headers = arrow_stream(messages.to_arrow()).to_pybytes(), {"Content-Type": ARROW_TYPE}
    headers["Idempotency-Key"] = key
    read = stream_models.Appended.model_validate_json
    return _call("POST /v1/streams/{stream}/messages", read, stream, content=content, headers=headers)


def stream_digest(stream: str, window: str = "all") -> Call[stream_models.Digest]:
    """Return the digest of a window's statistics."""
    read, params = stream_models.Digest.model_validate_json, {"window": window}
    return _call("GET /v1/streams/{stream}/digest", read, stream, params=params)


def stream_statistics(stream: str, window: str = "all") -> Call[pa.Table]:
    """Return what stands at each offset of a window's messages, a row an offset, with histograms."""
    headers, params = {"Accept": ARROW_TYPE}, {"window": window}
    return _call("GET /v1/streams/{stream}/statistics", _table, stream, params=params, headers=headers)


def stream_versions(stream: str) -> Call[stream_models.StreamVersions]:
    """Return the versions of a stream's specification."""
    return _call("GET /v1/streams/{stream}/specs", stream_models.StreamVersions.model_validate_json, stream)


def stream_events(stream: str, *, after: int = 0, limit: int = 100) -> Call[stream_models.StreamEvents]:
    """Return what drifted in a stream, behind an event that is known."""
    read, params = stream_models.StreamEvents.model_validate_json, {"after": after, "limit": limit}
    return _call("GET /v1/streams/{stream}/events", read, stream, params=params)


def discover_stream(stream: str, window: str = "all", *, wait: bool = True) -> Call[models.Discovery]:
    """Find the specification of a window."""
    headers = {} if wait else {"Prefer": "respond-async"}
    read, params = models.Discovery.model_validate_json, {"window": window}
    return _call("POST /v1/streams/{stream}/discover", read, stream, params=params, headers=headers)


def retain(stream: str, days: float | None) -> Call[stream_models.Retention]:
    """Say how many days a stream keeps messages; None: for ever."""
    read = stream_models.Retention.model_validate_json
    return _call("PUT /v1/streams/{stream}/retention", read, stream, json={"days": days})


def erase_stream(stream: str, window: str = "all") -> Call[stream_models.ErasedStream]:
    """Erase the messages of a window."""
    read, params = stream_models.ErasedStream.model_validate_json, {"window": window}
    return _call("DELETE /v1/streams/{stream}", read, stream, params=params)


def health() -> Call[models.DeepHealth]:
    """Return how each part of the service does."""
    return _call("GET /health/discovery", models.DeepHealth.model_validate_json)
