"""The tables of the manifest, on the catalog's database."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Index, Row, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .buckets import Times
from .database import Base
from .entries import Entry


class StreamRow(Base):
    """A stream, its settings and its horizon."""

    __tablename__ = "streams"
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    shards: Mapped[int]
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    framing: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    horizon: Mapped[int] = mapped_column(BigInteger, default=0)
    tenant: Mapped[str] = mapped_column(String(128), default="")
    keep_s: Mapped[int | None] = mapped_column(BigInteger)
    erasures: Mapped[int] = mapped_column(BigInteger, default=0)
    privacy: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class LeaseRow(Base):
    """Who holds a virtual shard, under which epoch."""

    __tablename__ = "leases"
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str | None] = mapped_column(String(128))
    last: Mapped[int] = mapped_column(BigInteger, default=-1)  # position of the newest entry


class EntryRow(Base):
    """A segment of a journal."""

    __tablename__ = "manifest"
    __table_args__ = (UniqueConstraint("stream", "shard", "epoch", "sequence"),)
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    first: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int] = mapped_column(BigInteger)
    sequence: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(String(256))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    messages: Mapped[int] = mapped_column(BigInteger)
    damaged: Mapped[str] = mapped_column(String(512), default="")
    earliest: Mapped[float] = mapped_column(Double)  # event times of its messages
    latest: Mapped[float] = mapped_column(Double)
    untimed: Mapped[int] = mapped_column(BigInteger)
    erased: Mapped[int] = mapped_column(BigInteger, default=0)


class KeyRow(Base):
    """A batch on a virtual shard: UNIQUE(stream, idempotency key, virtual shard) is what counts it once."""

    __tablename__ = "batch_keys"
    __table_args__ = (Index("ix_batch_keys_stream_made", "stream", "made"),)
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    made: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    division: Mapped[int] = mapped_column(default=0)  # the same in all rows of a batch
    position: Mapped[int] = mapped_column(BigInteger)


class SnapshotRow(Base):
    """The newest snapshot of a virtual shard."""

    __tablename__ = "snapshots"
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(String(256))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class RedirectRow(Base):
    """A redirect; ``number`` is its place in the list of its stream, from 1."""

    __tablename__ = "redirects"
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    range: Mapped[int]
    to: Mapped[list[int]] = mapped_column(JSON)


def values_of(stream: str, shard: int, entry: Entry) -> dict[str, Any]:
    """Return the row of an entry."""
    own = {field.name: getattr(entry, field.name) for field in fields(Entry) if field.name != "times"}
    times = {field.name: getattr(entry.times, field.name) for field in fields(Times)}
    return {"stream": stream, "shard": shard, **own, **times}


def entry_of(row: Row[Any]) -> Entry:
    """Return the entry of a row."""
    own = {field.name: row._mapping[field.name] for field in fields(Entry) if field.name != "times"}
    return Entry(**own, times=Times(row.earliest, row.latest, row.untimed))
