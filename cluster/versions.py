"""Versions of a stream's specification, and the events that say how one differs from the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Engine, Index, Row, String, delete, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from ..discovery.errors import InputError, NotFoundError
from .buckets import Span
from .database import Base, aware, transaction

MOST_EVENTS = 10_000
"""Events of a stream that are kept; the oldest go first."""


class _Version(Base):
    __tablename__ = "stream_versions"
    stream: Mapped[str] = mapped_column(String(128), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64))
    identity: Mapped[str] = mapped_column(String(64))
    messages: Mapped[int] = mapped_column(BigInteger)
    stored: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    first: Mapped[int | None] = mapped_column(BigInteger)
    end: Mapped[int | None] = mapped_column(BigInteger)
    untimed: Mapped[bool]


class _Event(Base):
    __tablename__ = "stream_events"
    __table_args__ = (Index("ix_stream_events_stream_number", "stream", "number"),)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    stream: Mapped[str] = mapped_column(String(128))
    version: Mapped[int]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(String(32))
    path: Mapped[str] = mapped_column(String(1024))
    before: Mapped[str] = mapped_column(String(4096))
    after: Mapped[str] = mapped_column(String(4096))
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON)


@dataclass(frozen=True)
class Version:
    """
    A version of a stream's specification.

    Attributes:
        id: of its structure. digest: of its document, which the catalog has. identity: what the protocol is called
            wherever it is met. messages: that it was read from. span: the part of the time that it was read from.
    """

    number: int
    id: str
    digest: str
    identity: str
    messages: int
    stored: datetime
    span: Span


@dataclass(frozen=True)
class Drift:
    """
    How a version differs from the one before it.

    Attributes:
        kind: of a specification's change (``added``, ``removed``, ``changed``, ``grew``, ``shrank``), or ``moved`` for
            a distribution. path: what differs. evidence: figures that show it.
        number, version, at: its place in the stream's events, the version that it came with, and when it was kept.
    """

    kind: str
    path: str
    before: str = ""
    after: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    version: int = 0
    at: datetime | None = None


class Versions:
    """The versions and events of streams; every method is one transaction and may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reads=True)

    def all(self, stream: str) -> list[Version]:
        """Return the versions of a stream, the newest first."""
        chosen = select(_Version.__table__).where(_Version.stream == stream).order_by(_Version.number.desc())
        with transaction(self._reading) as connection:
            return [_version(row) for row in connection.execute(chosen)]

    def one(self, stream: str, number: int | None = None) -> Version:
        """
        Return a version of a stream, or its newest.

        Raises:
            NotFoundError: there is none.
        """
        found = [each for each in self.all(stream) if number in (None, each.number)]
        if not found:
            hint = f"qbitel discover --stream {stream} makes one"
            raise NotFoundError("no such version of its specification", where=stream, hint=hint)
        return found[0]

    def add(self, stream: str, version: Version, drifts: Sequence[Drift]) -> None:
        """
        Keep a version with its events; one of the same number was read anew and gives way.

        Raises:
            InputError: another discovery has kept a version meanwhile.
        """
        at, now = _Version.stream == stream, datetime.now(UTC)
        with transaction(self._engine, stream) as connection:
            newest = connection.execute(select(func.max(_Version.number)).where(at)).scalar() or 0
            if version.number not in (newest, newest + 1):
                raise InputError("another discovery kept a version meanwhile", where=stream, hint="run it again")
            connection.execute(delete(_Version).where(at, _Version.number == version.number))
            span = {"first": version.span.first, "end": version.span.end, "untimed": version.span.untimed}
            names = ("number", "id", "digest", "identity", "messages", "stored")
            own = {name: getattr(version, name) for name in names}
            connection.execute(insert(_Version).values(stream=stream, **own, **span))
            for each in drifts:
                texts = {"path": each.path[:1024], "before": each.before[:4096], "after": each.after[:4096]}
                own = {"version": version.number, "at": now, "kind": each.kind, "evidence": each.evidence}
                connection.execute(insert(_Event).values(stream=stream, **texts, **own))
            kept = select(_Event.number).where(_Event.stream == stream).order_by(_Event.number.desc())
            old = connection.execute(kept.offset(MOST_EVENTS).limit(1)).scalar()
            if old is not None:
                connection.execute(delete(_Event).where(_Event.stream == stream, _Event.number <= old))

    def events(self, stream: str, after: int = 0, limit: int = 1000) -> list[Drift]:
        """Return events of a stream in their order, from the one behind ``after`` on."""
        chosen = select(_Event.__table__).where(_Event.stream == stream, _Event.number > after)
        with transaction(self._reading) as connection:
            return [_drift(row) for row in connection.execute(chosen.order_by(_Event.number).limit(limit))]

    def forget(self, stream: str) -> None:
        """Delete all versions and events of a stream: they hold values of its messages."""
        with transaction(self._engine, stream) as connection:
            for table in (_Version, _Event):
                connection.execute(delete(table).where(table.stream == stream))


def _version(row: Row[Any]) -> Version:
    span = Span(row.first, row.end, row.untimed)
    return Version(row.number, row.id, row.digest, row.identity, row.messages, aware(row.stored), span)


def _drift(row: Row[Any]) -> Drift:
    return Drift(row.kind, row.path, row.before, row.after, row.evidence, row.number, row.version, aware(row.at))
