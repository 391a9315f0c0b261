"""
The catalog: discoveries and specifications in one SQL database.

One node keeps it in an SQLite file (write-ahead log), several on a PostgreSQL server; the processes that answer HTTP
and those that run discoveries share it. Progress and cancellation travel through it too, so nothing is lost when one of
them restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CursorResult,
    DateTime,
    Engine,
    Index,
    String,
    UniqueConstraint,
    delete,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from .database import Base, aware, guard_of, open_engine, session_of

Answer = TypeVar("Answer")

WAITING, RUNNING = "waiting", "running"
DONE, PARTIAL, FAILED, CANCELLED = "done", "partial", "failed", "cancelled"
FINISHED = (DONE, PARTIAL, FAILED, CANCELLED)


class _Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_status_created", "status", "created"), Index("ix_jobs_status_updated", "status", "updated"),
        Index("ix_jobs_tenant_created_id", "tenant", "created", "id"),
        UniqueConstraint("tenant", "key", name="uq_jobs_tenant_key"),
    )  # fmt: skip
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128), default="", server_default="")
    subject: Mapped[str] = mapped_column(String(256), default="", server_default="")
    key: Mapped[str | None] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    cancel: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    progress: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    results: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    trace: Mapped[str | None] = mapped_column(String(64))


class _Specification(Base):
    __tablename__ = "specifications"
    __table_args__ = (
        Index("ix_specifications_tenant_id_stored", "tenant", "id", "stored"),
        Index("ix_specifications_tenant_stored", "tenant", "stored"),
    )
    tenant: Mapped[str] = mapped_column(String(128), primary_key=True, default="", server_default="")
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(20))
    protocol: Mapped[str] = mapped_column(String(64))
    stored: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    messages: Mapped[int] = mapped_column(BigInteger)
    document: Mapped[bytes]
    stream: Mapped[str | None] = mapped_column(String(128), index=True)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    parent: Mapped[str | None] = mapped_column(String(64), index=True)


@dataclass(frozen=True)
class Job:
    """
    A discovery as the catalog knows it; ``request``, ``progress`` and ``results`` are JSON documents.

    Attributes:
        trace: the ``traceparent`` of the request that asked for it. tenant: whose it is. subject: who asked for it,
            as of ``Principal``.
    """

    id: str
    status: str
    created: datetime
    updated: datetime
    cancel: bool
    attempts: int
    request: dict[str, Any]
    progress: dict[str, Any]
    results: list[dict[str, Any]]
    warnings: list[str]
    problem: dict[str, Any] | None
    trace: str | None = None
    tenant: str = ""
    subject: str = ""

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINISHED


@dataclass(frozen=True)
class SpecificationEntry:
    """
    A document of a specification, without its bytes.

    Attributes:
        id: of the structure. digest: of the document. version: as the document counts it. parent: digest of the
            document that it was learned on from.
    """

    id: str
    digest: str
    protocol: str
    messages: int
    stored: datetime
    version: int
    parent: str | None


@dataclass(frozen=True)
class StoredSpecification(SpecificationEntry):
    """A document of a specification."""

    document: bytes


def open_catalog(catalog: str | Path) -> Catalog:
    """Open the catalog in an SQLite file, which is made where there is none, or on a server."""
    return Catalog(open_engine(catalog))


class Catalog:
    """
    Discoveries and specifications; every method is one transaction and may be called from any thread.

    What a tenant asks for goes by the catalog ``of`` that tenant: it adds, finds and cancels only what is theirs.
    Workers hand out, run and end the discoveries of all. Every method raises UnavailableError where the database fails;
    what only reads is tried again before.

    Attributes:
        tenant: whose catalog it is. guard: watches over the calls to the database.
    """

    def __init__(self, engine: Engine, tenant: str = "") -> None:
        self._engine, self.tenant, self.guard = engine, tenant, guard_of(engine)

    def of(self, tenant: str) -> Catalog:
        """Return the catalog as a tenant sees it."""
        return Catalog(self._engine, tenant)

    def reading(self, work: Callable[[Session], Answer]) -> Answer:
        """Return what work that only reads returns; it is tried again where the database fails."""

        def read() -> Answer:
            with Session(self._engine) as session:
                return work(session)

        return self.guard.call(read, repeat=True)

    @property
    def engine(self) -> Engine:
        """The database, which has tables of other modules too."""
        return self._engine

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def add_job(
        self, job: str, request: dict[str, Any], key: str | None = None, trace: str | None = None, subject: str = ""
    ) -> Job:
        """Add a waiting discovery; where the tenant used ``key`` before, return the discovery that it made."""
        now = datetime.now(UTC)
        try:
            with session_of(self._engine) as session, session.begin():
                at = {"created": now, "updated": now, "tenant": self.tenant, "subject": subject}
                session.add(_Job(id=job, key=key, status=WAITING, request=request, trace=trace, **at))
        except IntegrityError:
            with session_of(self._engine) as session:
                return _job(session.scalars(select(_Job).where(_Job.tenant == self.tenant, _Job.key == key)).one())
        found = self.job(job)
        assert found is not None
        return found

    def job(self, job: str) -> Job | None:
        """Return a discovery of the tenant."""
        found = self._job(job)
        return found if found is not None and found.tenant == self.tenant else None

    def _job(self, job: str) -> Job | None:
        row = self.reading(lambda session: session.get(_Job, job))
        return _job(row) if row else None

    def waiting(self) -> list[str]:
        """Return the ids of the discoveries that wait, oldest first."""
        chosen = select(_Job.id).where(_Job.status == WAITING).order_by(_Job.created)
        return self.reading(lambda session: list(session.scalars(chosen)))

    def claim(self, job: str) -> Job | None:
        """Take a waiting discovery to run it; None where another has taken it or it was cancelled."""
        # One statement: a catalog that is lost between two would leave a discovery that runs and that nobody runs.
        waiting = update(_Job).where(_Job.id == job, _Job.status == WAITING)
        taken = waiting.values(updated=datetime.now(UTC), status=RUNNING, attempts=_Job.attempts + 1).returning(_Job)
        with session_of(self._engine) as session, session.begin():
            row = session.scalars(taken, execution_options={"synchronize_session": False}).first()
            return _job(row) if row else None

    def beat(self, job: str, progress: dict[str, Any], attempt: int | None = None) -> bool:
        """
        Write the progress of a running discovery and say whether it shall go on.

        Args:
            attempt: which one writes; one that was given up changes nothing, here and below.
        """
        running = update(_Job).where(_Job.id == job, _runs(attempt))
        statement = running.values(updated=datetime.now(UTC), progress=progress).returning(_Job.cancel)
        with session_of(self._engine) as session, session.begin():
            return session.scalar(statement) is False

    def add_result(self, job: str, result: dict[str, Any], attempt: int | None = None) -> None:
        """Append the result of one protocol to a running discovery; the same one again is there once."""
        with session_of(self._engine) as session, session.begin():
            row = session.scalars(select(_Job).where(_Job.id == job, _runs(attempt)).with_for_update()).one_or_none()
            if row is not None and result not in row.results:
                row.results = [*row.results, result]
                row.updated = datetime.now(UTC)

    def finish(
        self, job: str, status: str, *, progress: dict[str, Any] | None = None, warnings: Sequence[str] = (),
        problem: dict[str, Any] | None = None, attempt: int | None = None,
    ) -> bool:  # fmt: skip
        """End a running discovery, with the progress that it came to; return whether it was one."""
        end: dict[str, Any] = {"status": status, "warnings": list(warnings), "problem": problem}
        if progress is not None:
            end["progress"] = progress
        return self._change(_runs(attempt), job, **end)

    def cancel(self, job: str) -> bool:
        """End a tenant's discovery that waits or runs, and say whether it was one; its worker sees it at its beat."""
        own = (_Job.tenant == self.tenant) & _Job.status.in_((WAITING, RUNNING))
        return self._change(own, job, status=CANCELLED, cancel=True)

    def requeue_silent(self, seconds: float, attempts: int, problem: dict[str, Any]) -> list[str]:
        """
        Let the running discoveries that nobody has written to for so long wait again.

        One that was begun ``attempts`` times ends as failed, with the problem: it may be what kills its workers.
        Returns the ids of both.
        """
        limit = datetime.now(UTC) - timedelta(seconds=seconds)
        with session_of(self._engine) as session, session.begin():
            silent = session.scalars(select(_Job).where(_Job.status == RUNNING, _Job.updated < limit)).all()
            for row in silent:
                if row.attempts >= attempts:
                    row.status, row.problem = FAILED, problem
                else:
                    row.status, row.progress, row.results = WAITING, {}, []
            return [row.id for row in silent]

    def forget_jobs(self, keep: int) -> list[str]:
        """Delete all but the newest finished discoveries, and return the ids of the deleted."""
        with session_of(self._engine) as session, session.begin():
            newest = select(_Job.id).where(_Job.status.in_(FINISHED)).order_by(_Job.updated.desc())
            old = list(session.scalars(newest.offset(keep)))
            session.execute(delete(_Job).where(_Job.id.in_(old)))
            return old

    def add_specification(
        self, spec_id: str, digest: str, protocol: str, messages: int, document: bytes, stream: str | None = None,
        *, version: int = 1, parent: str | None = None,
    ) -> None:  # fmt: skip
        """
        Store a specification; the same document again is stored once, and counts as the newest.

        Args:
            stream: the stream it was found in, whose erasure takes it too.
            version, parent: as the document has them.
        """
        now = datetime.now(UTC)
        row = _Specification(
            tenant=self.tenant, digest=digest, id=spec_id, protocol=protocol, stored=now, messages=messages,
            document=document, stream=stream, version=version, parent=parent,
        )  # fmt: skip
        with session_of(self._engine) as session, session.begin():
            session.merge(row)

    def delete_specification(self, spec_id: str) -> list[str]:
        """Delete all documents of a specification, and return their digests."""
        at = (_Specification.tenant == self.tenant) & (_Specification.id == spec_id)
        with session_of(self._engine) as session, session.begin():
            digests = list(session.scalars(select(_Specification.digest).where(at)))
            session.execute(delete(_Specification).where(at))
            return digests

    def forget_specifications(self, stream: str) -> list[str]:
        """Delete the specifications that were found in a stream, and return their ids."""
        at = (_Specification.tenant == self.tenant) & (_Specification.stream == stream)
        with session_of(self._engine) as session, session.begin():
            ids = sorted(set(session.scalars(select(_Specification.id).where(at))))
            session.execute(delete(_Specification).where(at))
            return ids

    def document(self, digest: str) -> bytes | None:
        """Return the document of that digest, where the tenant has it."""
        row = self.reading(lambda session: session.get(_Specification, (self.tenant, digest)))
        return row.document if row else None

    def stored(self, digest: str) -> StoredSpecification | None:
        """Return the specification whose document has that digest."""
        row = self.reading(lambda session: session.get(_Specification, (self.tenant, digest)))
        return _specification(row) if row else None

    def specification(self, spec_id: str) -> StoredSpecification | None:
        """Return the newest document of a specification."""
        at = (_Specification.tenant == self.tenant) & (_Specification.id == spec_id)
        newest = select(_Specification).where(at).order_by(_Specification.stored.desc())
        row = self.reading(lambda session: session.scalars(newest.limit(1)).first())
        return _specification(row) if row else None

    def newest(self, spec_ids: Iterable[str]) -> dict[str, str]:
        """Return id → digest of the tenant's newest document, of these ids those that are known."""
        at = (_Specification.tenant == self.tenant) & _Specification.id.in_(list(spec_ids))
        rows = select(_Specification.id, _Specification.digest).where(at)
        found = self.reading(lambda session: session.execute(rows.order_by(_Specification.stored)).all())
        return {row.id: row.digest for row in found}

    def latest(self, limit: int) -> list[tuple[str, str]]:
        """Return tenant and id of what was stored last, whoever's it is."""
        rows = select(_Specification.tenant, _Specification.id).order_by(_Specification.stored.desc()).limit(limit)
        return [(row.tenant, row.id) for row in self.reading(lambda session: session.execute(rows).all())]

    def _change(self, condition: Any, job: str, **values: Any) -> bool:
        with session_of(self._engine) as session, session.begin():
            statement = update(_Job).where(_Job.id == job, condition).values(updated=datetime.now(UTC), **values)
            changed = session.execute(statement)
            assert isinstance(changed, CursorResult)
            return bool(changed.rowcount)


def _runs(attempt: int | None) -> Any:
    running = _Job.status == RUNNING
    return running if attempt is None else running & (_Job.attempts == attempt)


def _job(row: _Job) -> Job:
    return Job(
        id=row.id, status=row.status, created=aware(row.created), updated=aware(row.updated), cancel=row.cancel,
        attempts=row.attempts,
        request=row.request, progress=row.progress, results=row.results, warnings=row.warnings, problem=row.problem,
        trace=row.trace, tenant=row.tenant, subject=row.subject,
    )  # fmt: skip


def _specification(row: _Specification) -> StoredSpecification:
    return StoredSpecification(
        row.id, row.digest, row.protocol, row.messages, aware(row.stored), row.version, row.parent, row.document
    )
