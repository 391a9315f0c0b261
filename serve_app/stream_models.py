"""The documents of the streams API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .models import Request


class Appended(BaseModel):
    """What became of a batch that is in the journal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"stream": "plc-7", "key": "plc-7/0001", "messages": 2, "known": 0, "warnings": []}]
        }
    )
    stream: str
    key: str = Field(description="the idempotency key, which names the batch")
    messages: int = Field(description="messages that were added now")
    known: int = Field(description="messages of it that were in the journal before")
    warnings: list[str] = Field(description="what the reader had to say about a capture")


class StreamSummary(BaseModel):
    """A stream."""

    name: str
    shards: int = Field(description="virtual shards, fixed for its life")
    tenant: str
    days: float | None = Field(description="messages are kept so long after they were sent; null: for ever")


class StreamList(BaseModel):
    """All streams, by name."""

    streams: list[StreamSummary]


class Digest(BaseModel):
    """The digest of a window's statistics."""

    stream: str
    window: str
    digest: str = Field(description="SHA-256; the same at any number of shards and in any order")
    messages: int


class OffsetStatistics(BaseModel):
    """What stands at one offset of the messages."""

    offset: int = Field(description="from the front; negative: from the end, -1 is the last byte")
    reached: int = Field(description="messages that have a byte there")
    values: int = Field(description="distinct values")
    entropy: float = Field(description="bits, 0 to 8")
    printable: float = Field(description="share of printable ASCII")
    commonest: int = Field(description="the most frequent value")
    commonest_share: float


class StreamStatistics(BaseModel):
    """Statistics of a window; the Arrow form has a histogram for each offset besides."""

    stream: str
    window: str
    messages: int
    payload_bytes: int
    longest: int
    distinct: int = Field(description="distinct payloads, estimated where they are many")
    length_quantiles: list[int] = Field(description="lengths at 0, 5, 25, 50, 75, 95 and 100 %")
    directions: list[int] = Field(description="unknown, client to server, server to client")
    offsets: list[OffsetStatistics]


class StreamVersion(BaseModel):
    """A version of a stream's specification."""

    number: int
    id: str
    digest: str
    identity: str = Field(description="name of the protocol, the same wherever it is met")
    messages: int
    stored: datetime
    since: float | None = Field(description="where the time begins that it was read from, seconds since 1970")
    until: float | None = Field(description="where that time ends")
    untimed: bool = Field(description="whether messages without a time were read")
    links: dict[str, str]


class StreamVersions(BaseModel):
    """Versions, the newest first."""

    versions: list[StreamVersion]


class StreamEvent(BaseModel):
    """How a version differs from the one before it."""

    number: int
    version: int
    at: datetime
    kind: str = Field(description="added, removed, changed, grew, shrank; moved: a distribution")
    path: str = Field(description="type, or type.field; lengths, directions, or byte N for a distribution")
    before: str
    after: str
    evidence: dict[str, Any] = Field(description="messages behind it; for a distribution the test and its bound")


class StreamEvents(BaseModel):
    """Events, in order."""

    events: list[StreamEvent]


class Retention(Request):
    """How long a stream keeps messages."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 30}]})
    days: float | None = Field(gt=0, le=36_500, description="after they were sent; null: for ever")


class ErasedStream(BaseModel):
    """What was taken out of a stream."""

    stream: str
    messages: int
    segments: int = Field(description="objects that are gone")
    rewritten: int = Field(description="of these, written anew without what was erased")
    bytes: int = Field(description="by which the journal is less")
    unread: list[str] = Field(description="segments that cannot be read and may hold such messages")
    specifications: list[str] = Field(description="ids of specifications that are deleted")
    untimed: int = Field(description="messages without a time that stay")
