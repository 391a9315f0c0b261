"""Names of unknown protocols in the catalog: what one process has named, all others call the same."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from sqlalchemy import JSON, DateTime, Engine, String, UniqueConstraint, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ..discovery.batch import MessageView
from ..discovery.classifier.clusters import MAX_CLUSTERS, Signature, UnknownClusters, name_of, signature_of
from .database import Base, session_of
from .dependency import UnavailableError, fell_back


class _Unknown(Base):
    __tablename__ = "unknown_protocols"
    __table_args__ = (UniqueConstraint("tenant", "name", name="uq_unknown_protocols_tenant_name"),)
    tenant: Mapped[str] = mapped_column(String(128), primary_key=True, default="", server_default="")
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64))
    signature: Mapped[Signature] = mapped_column(JSON)
    met: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class UnknownNames:
    """
    The unknown protocols that any process has met for a tenant; may be called from any thread.

    They are numbered without gaps in the order in which they were met. A process that meets one takes the number after
    the last that it has read: if another was quicker, the number is taken, and it reads on before it decides again.
    """

    def __init__(self, engine: Engine, tenant: str = "") -> None:
        self._engine, self._tenant = engine, tenant
        self._lock = threading.Lock()
        self._read = UnknownClusters()

    def name(self, view: MessageView) -> str:
        """
        Return the name of the protocol that these messages are of, a new one where they are like none before.

        Once ``MAX_CLUSTERS`` are named, or without the catalog, a new one is named after itself alone and not
        remembered.
        """
        signature = signature_of(view)
        with self._lock:
            found = self._read.find(signature)
            try:
                while found is None:
                    self._read_on()
                    found = self._read.find(signature) or self._founded(signature)
            except UnavailableError:
                fell_back("catalog")
                return name_of(signature)
            return found

    def _founded(self, signature: Signature) -> str | None:
        """Return the name of a new protocol, or None where another process has taken its number."""
        name, number = name_of(signature), len(self._read.known)
        if number >= MAX_CLUSTERS:
            return name
        row = _Unknown(tenant=self._tenant, number=number, name=name, signature=signature, met=datetime.now(UTC))
        try:
            with session_of(self._engine) as session, session.begin():
                session.add(row)
        except IntegrityError:
            return None
        self._read.add(name, signature)
        return name

    def _read_on(self) -> None:
        own = (_Unknown.tenant == self._tenant, _Unknown.number >= len(self._read.known))
        later = select(_Unknown).where(*own).order_by(_Unknown.number)
        with session_of(self._engine) as session:
            for row in session.scalars(later):
                self._read.add(row.name, tuple(tuple((v, s) for v, s in column) for column in row.signature))
