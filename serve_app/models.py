"""The documents that requests and responses carry, as OpenAPI describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

from ..discovery.spec.base import NAME

EXAMPLE_MESSAGES: list[JsonValue] = ["AAEAAAAGAQMAAAAC", "AAIAAAAGAQMAAgAC", "AAMAAAAGAQMABAAC"]
EXAMPLE_ID = "4c9d35b1f0a8e2716d40"
BASE64 = "base64 of one message (RFC 4648, with padding)"
Base64Message = Annotated[str, Field(description=BASE64, json_schema_extra={"contentEncoding": "base64"})]
RuleValue = Annotated[int | str, Field(description="a number; text, or bytes as hexadecimal digits after 0x")]
Status = Literal["waiting", "running", "done", "partial", "failed", "cancelled"]
Level = Literal["basic", "standard", "strict", "enterprise"]


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="path of the value, for instance body.messages.3")
    what: str


class Problem(BaseModel):
    """A problem of RFC 9457."""

    type: str = Field(description="urn:qbitel:problem:<code>")
    title: str
    status: int
    detail: str = Field(description="what is wrong, and where")
    code: str = Field(description="stable name of the kind of problem")
    hint: str = Field("", description="what to do about it")
    retry: bool = Field(False, description="whether the same request may succeed later")
    instance: str = Field("", description="path of the request")
    request_id: str = Field("", description="also in the header X-Request-Id and in the service's log")
    faults: list[Fault] = []


class Request(BaseModel):
    """A document that a client sends: attributes that are not declared are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Context(Request):
    """What is known about a capture before it is read."""

    protocol: str | None = Field(
        None, pattern="^" + NAME.pattern.replace(r"\Z", "$"), description="name for the protocol of messages sent alone"
    )
    only: str | None = Field(None, max_length=64, description="read only this protocol group, for instance udp_20547")
    port: int | None = Field(None, ge=0, le=65535, description="read only flows with this UDP or TCP port")
    format: Literal["pcap", "pcapng", "hex", "jsonl", "parquet", "arrow"] | None = Field(
        None, description="format of the capture; found from its content where null"
    )
    group: Literal["port", "transport"] | None = Field(
        None, description="how to group; the rows of a table are regrouped, and framed again, only with it"
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="seed of samples and splits")


class DiscoveryRequest(Request):
    """Messages of one protocol, in order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"messages": EXAMPLE_MESSAGES}]})
    messages: list[Base64Message] = Field(min_length=1)
    context: Context = Context()


class ParseRequest(Request):
    """Messages to parse with a known specification."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"protocol": EXAMPLE_ID, "messages": EXAMPLE_MESSAGES}]})
    protocol: str = Field(max_length=64, description="id of the specification")
    messages: list[Base64Message] = Field(min_length=1)


class ClassifyRequest(Request):
    """Messages of one group (a flow, a port, a single message), to say which known protocol they are of."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"messages": EXAMPLE_MESSAGES, "reasons": 2}]})
    messages: list[Base64Message] = Field(min_length=1)
    top: int = Field(3, ge=1, le=20, description="candidates to name")
    reasons: int = Field(0, ge=0, le=20, description="facts to look for behind each of them; takes longer")


class Rule(Request):
    """A rule of the client's own: what must hold of a field."""

    field: str = Field(max_length=1024, description="path of the field in its type, for instance f4 or items.value")
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in", "not-in", "between", "starts-with"]
    value: RuleValue | list[RuleValue] = Field(description="a list for in, not-in and between")
    name: str = Field("", max_length=120, description="what violations are called by")
    type: str = Field("", max_length=64, description="the one message type that it stands for; empty for all")
    message: str = Field("", max_length=1024, description="the reason that violations give")


class Rules(RootModel[list[Rule]]):
    """The rules beside an Arrow body."""


class ValidateRequest(ParseRequest):
    """Messages to judge by a known specification."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"protocol": EXAMPLE_ID, "level": "strict", "messages": EXAMPLE_MESSAGES}]}
    )
    level: Level = "standard"
    rules: list[Rule] = Field([], max_length=1000, description="rules of one's own, checked at every level")


class Stage(BaseModel):
    """One stage of a discovery."""

    name: str
    status: Literal["waiting", "running", "ok", "failed", "skipped"]
    fraction: float = Field(description="from 0 to 1")
    seconds: float | None = None
    message: str = Field("", description="what it found, or why it failed")
    hint: str = Field("", description="what to do about a failure")


class Progress(BaseModel):
    """How far a discovery has come: the protocol that is read, and its stages."""

    protocol: str | None = None
    protocols: int = Field(0, description="protocols in the capture")
    finished: int = Field(0, description="of those, the ones that are done")
    stages: list[Stage] = []


class ProtocolResult(BaseModel):
    """What was found of one protocol."""

    protocol: str
    id: str | None = Field(description="id of the specification's structure; null where it is partial")
    digest: str = Field(description="SHA-256 of the whole specification")
    partial: list[str] = Field(description="what is missing and why, where a stage failed")
    notes: list[str] = Field(description="what to know before trusting it")
    stages: list[Stage]
    spec: dict[str, Any] = Field(description="the specification (ProtocolSpec, schema version 1)")


class Discovery(BaseModel):
    """A discovery: its state, and what it has found so far."""

    id: str
    status: Status
    created: datetime
    updated: datetime
    attempts: int = Field(description="times it was begun; more than one where a worker was lost")
    input: dict[str, Any] = Field(description="name and size of what was sent")
    progress: Progress
    results: list[ProtocolResult]
    warnings: list[str] = Field(description="what the reader had to say about the capture")
    problem: Problem | None = Field(None, description="why it failed")
    links: dict[str, str]


class ParseResponse(BaseModel):
    """One tree for each message, in order."""

    protocol: str
    digest: str
    messages: list[dict[str, Any]] = Field(
        description="type, byte range and value of every field; where a message does not fit, the error and its offset"
    )


class Violation(BaseModel):
    """A rule that a message breaks."""

    rule: str
    start: int = Field(description="offset of the first byte concerned")
    length: int = Field(description="number of bytes concerned")
    reason: str
    field: str = ""


class Verdict(BaseModel):
    """The judgement of one message."""

    row: int
    valid: bool
    violations: list[Violation]


class ValidateResponse(BaseModel):
    """One verdict for each message, in order."""

    protocol: str
    digest: str
    level: Level
    valid: int = Field(description="number of valid messages")
    messages: list[Verdict]


class DiscoverySummary(BaseModel):
    """A discovery in a list, without what it has found."""

    id: str
    status: Status
    created: datetime
    updated: datetime
    attempts: int
    input: dict[str, Any] = Field(description="name and size of what was sent")
    links: dict[str, str]


class DiscoveryList(BaseModel):
    """Discoveries, the newest first."""

    discoveries: list[DiscoverySummary]
    next: str | None = Field(None, description="`after` of the next page; null where this is the last")


class ProtocolSummary(BaseModel):
    """A document of a specification."""

    id: str = Field(description="of the structure: stable as evidence grows")
    protocol: str
    digest: str = Field(description="SHA-256 of the document")
    version: int = Field(description="rises when a specification is learned on or corrected")
    parent: str | None = Field(description="digest of the document that it was learned on from")
    messages: int = Field(description="messages that it was read from")
    stored: datetime
    links: dict[str, str]


class ProtocolList(BaseModel):
    """Known specifications, the newest document of each; the newest first."""

    protocols: list[ProtocolSummary]
    next: str | None = Field(None, description="`after` of the next page; null where this is the last")


class ProtocolVersions(BaseModel):
    """The documents of a specification with what they were learned on from and to; the highest version first."""

    versions: list[ProtocolSummary]


class ProtocolChange(BaseModel):
    """One difference of two documents, at a type or an element of it."""

    kind: Literal["added", "removed", "changed", "grew", "shrank"]
    path: str = Field(description="type, or type.element")
    before: str
    after: str


class ProtocolDiff(BaseModel):
    """What differs between two documents by meaning; counts and evidence are left out."""

    before: ProtocolSummary
    after: ProtocolSummary
    changes: list[ProtocolChange]


class GrammarDocument(BaseModel):
    """The grammar of a specification."""

    id: str
    digest: str = Field(description="SHA-256 of the specification's document")
    grammar: dict[str, Any] = Field(description="rules with probabilities (Grammar of ProtocolSpec)")
    sequence: dict[str, Any] = Field(description="which messages follow which (SequenceModel of ProtocolSpec)")


class DeletedProtocol(BaseModel):
    """A specification that is known no more."""

    id: str
    documents: int = Field(description="documents of it that were deleted")


class ModelVersion(BaseModel):
    """A version of a trained model."""

    model: str
    number: int
    digest: str = Field(description="SHA-256 of the weights")
    registered: datetime
    aliases: list[str] = Field(description="names that stand for it now")
    metrics: dict[str, float] = Field(description="as judged when it was trained")
    lineage: dict[str, Any] = Field(description="run, settings, data and code that it was made with")


class ModelSummary(BaseModel):
    """A model: how many versions there are, and which of them its aliases stand for."""

    model: str
    versions: int
    newest: int
    aliases: dict[str, int]


class ModelList(BaseModel):
    """All models, by name."""

    models: list[ModelSummary]


class ModelVersions(BaseModel):
    """Versions of a model, the newest first."""

    versions: list[ModelVersion]
    next: int | None = Field(None, description="`below` of the next page; null where this is the last")


class Aliased(Request):
    """The version that an alias shall stand for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 3}]})
    version: int = Field(ge=1, le=1 << 31)


class ProtocolDocument(ProtocolSummary):
    """A known specification with its document."""

    spec: dict[str, Any] = Field(description="the specification (ProtocolSpec, schema version 1)")


class RetrainRequest(Request):
    """What to learn from."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"set": "plant@3", "epochs": 4}]})
    set: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(@[0-9]{1,9})?$", description="training set, NAME or NAME@NUMBER"
    )
    afresh: bool = Field(False, description="start from random parameters, not from the champion's")
    examples: int | None = Field(None, ge=1, le=10_000_000, description="to train on")
    epochs: int | None = Field(None, ge=1, le=10_000)
    seed: int | None = Field(None, ge=1, le=1 << 31)
    held_out: int | None = Field(None, ge=1, le=1_000_000, description="examples to judge by")


class Retraining(BaseModel):
    """A retraining: the job, and the version that came of it."""

    run: str = Field(description="name of the run and of the job")
    model: str
    status: Literal["pending", "running", "succeeded", "failed", "stopped"]
    version: str | None = Field(None, description="what was registered, MODEL@NUMBER")
    challenger: bool = Field(False, description="whether it challenges the champion; not where it is worse")
    links: dict[str, str]


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok", "degraded", "unavailable"]
    version: str


class ComponentHealth(BaseModel):
    """How a part of the service is, as it was seen last."""

    status: Literal["ok", "degraded", "down"]
    version: str
    latency_s: float = Field(description="seconds that it took to answer")
    last_error: str = Field(description="what failed last, also after it is well again")
    last_error_s: float | None = Field(description="how long ago")
    age_s: float = Field(description="how long ago it was looked at")
    breaker: str | None = Field(description="whether calls to it are made: closed, half-open, open")
    without: str = Field(description="what the service does while it is down; empty where it can do nothing")


class DeepHealth(Health):
    """The state of the service and of each of its parts."""

    components: dict[str, ComponentHealth]
