"""
The registry of models: versions of weights with their lineage, and names (aliases) for the versions in use.

Weights are safetensors in a storage, under the digest of their bytes, and are checked against it whenever they are
read. Versions and aliases are rows of the catalog's database: moving an alias is one transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load
from sqlalchemy import JSON, DateTime, Engine, ForeignKeyConstraint, String, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..discovery.errors import InputError, NotFoundError
from .database import Base, aware, session_of
from .storage import Storage

CHAMPION, CHALLENGER = "champion", "challenger"
NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}$")
MOST_BYTES = 1 << 30
ATTEMPTS = 8


class _Version(Base):
    __tablename__ = "model_versions"
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    registered: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lineage: Mapped[dict[str, Any]] = mapped_column(JSON)
    metrics: Mapped[dict[str, float]] = mapped_column(JSON)


class _Alias(Base):
    __tablename__ = "model_aliases"
    __table_args__ = (ForeignKeyConstraint(["model", "number"], ["model_versions.model", "model_versions.number"]),)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int]
    moved: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True)
class ModelVersion:
    """
    One version of a model.

    Attributes:
        digest: SHA-256 of the weights. lineage: JSON: run, settings and their hash, data, sets, code.
        metrics: as judged when it was trained. aliases: the names that stand for it now.
    """

    model: str
    number: int
    digest: str
    registered: datetime
    lineage: dict[str, Any]
    metrics: dict[str, float]
    aliases: tuple[str, ...]


class Registry:
    """Versions of models; every method that changes rows is one transaction, and may be called from any process."""

    def __init__(self, engine: Engine, storage: Storage) -> None:
        self._engine, self._storage = engine, storage

    def register(self, model: str, weights: bytes, lineage: dict[str, Any], metrics: dict[str, float]) -> ModelVersion:
        """
        Add the next version of a model; the weights are stored before the version can be seen.

        The same weights of the same model are one version, whose lineage stays that of their first registration.

        Raises:
            InputError: the name is not one, or the bytes are not safetensors.
        """
        _name(model)
        try:
            load(weights)
        except SafetensorError as error:
            raise InputError(f"not weights in safetensors: {error}", where=model) from None
        digest = sha256(weights).hexdigest()
        self._storage.write(_path(digest), weights)
        for _ in range(ATTEMPTS):
            try:
                return self._add(model, digest, lineage, metrics)
            except IntegrityError:  # another took the number
                continue
        raise InputError("others register versions of this model all the time", where=model)

    def versions(self, model: str | None = None) -> list[ModelVersion]:
        """Return the versions of a model, or of all, the newest first."""
        with session_of(self._engine) as session:
            chosen = select(_Version).order_by(_Version.registered.desc(), _Version.number.desc())
            rows = session.scalars(chosen if model is None else chosen.where(_Version.model == model)).all()
            return [_version(row, _aliases(session, row)) for row in rows]

    def version(self, reference: str) -> ModelVersion:
        """
        Return the version that ``model``, ``model@number`` or ``model@alias`` names; the bare name is its champion.

        Raises:
            NotFoundError: there is no such version.
        """
        model, _, which = reference.partition("@")
        with session_of(self._engine) as session:
            number = int(which) if which.isdecimal() else self._aliased(session, model, which or CHAMPION)
            row = session.get(_Version, (model, number)) if number is not None else None
            if row is None:
                raise NotFoundError("no such version of a model", where=reference, hint="qbitel models list")
            return _version(row, _aliases(session, row))

    def weights(self, reference: str) -> bytes:
        """
        Return the weights of a version.

        Raises:
            InputError: they are not the bytes that were registered.
        """
        return self.by_digest(self.version(reference).digest)

    def by_digest(self, digest: str) -> bytes:
        """Return the weights with that SHA-256, as ``weights`` does."""
        data = self._storage.read(_path(digest), limit=MOST_BYTES)
        if sha256(data).hexdigest() != digest:
            raise InputError(
                "these weights are not those that were registered", where=self._storage.place(_path(digest)),
                hint="restore the file, or register the run again",
            )  # fmt: skip
        return data

    def alias(self, reference: str, alias: str) -> ModelVersion:
        """Let an alias stand for a version, and for no other of the model from then on; return the version."""
        _name(alias)
        found = self.version(reference)
        with session_of(self._engine) as session, session.begin():
            session.merge(_Alias(model=found.model, alias=alias, number=found.number, moved=datetime.now(UTC)))
        return self.version(f"{found.model}@{found.number}")

    def drop_alias(self, model: str, alias: str) -> None:
        """Let an alias of a model stand for nothing."""
        with session_of(self._engine) as session, session.begin():
            session.execute(delete(_Alias).where(_Alias.model == model, _Alias.alias == alias))

    def _add(self, model: str, digest: str, lineage: dict[str, Any], metrics: dict[str, float]) -> ModelVersion:
        with session_of(self._engine) as session, session.begin():
            same = session.scalars(select(_Version).where(_Version.model == model, _Version.digest == digest)).first()
            if same is not None:
                return _version(same, _aliases(session, same))
            last = session.scalar(select(func.max(_Version.number)).where(_Version.model == model)) or 0
            now = datetime.now(UTC)
            row = _Version(
                model=model, number=last + 1, digest=digest, registered=now, lineage=lineage, metrics=metrics
            )
            session.add(row)
            session.flush()
            return _version(row, ())

    @staticmethod
    def _aliased(session: Session, model: str, alias: str) -> int | None:
        row = session.get(_Alias, (model, alias))
        return row.number if row else None


def _aliases(session: Session, row: _Version) -> tuple[str, ...]:
    chosen = select(_Alias.alias).where(_Alias.model == row.model, _Alias.number == row.number).order_by(_Alias.alias)
    return tuple(session.scalars(chosen))


def _version(row: _Version, aliases: tuple[str, ...]) -> ModelVersion:
    moment = aware(row.registered)
    return ModelVersion(row.model, row.number, row.digest, moment, row.lineage, row.metrics, aliases)


def _name(name: str) -> None:
    if not NAME.match(name):
        raise InputError(f"not a name: {name!r}", hint="a small letter, then small letters, digits, _ or -")


def _path(digest: str) -> str:
    return f"models/{digest}.safetensors"
