"""
API keys in the catalog: what is kept of one is a hash, so that the catalog lets nobody in.

A key reads ``qbitel_<id>_<secret>``. The secret has 256 random bits, so one SHA-256 of it is enough: slow hashes are
for secrets that people make up.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from sqlalchemy import JSON, DateTime, Engine, Index, String, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..discovery.errors import InputError, NotFoundError
from .database import Base, aware, transaction
from .principals import Principal, Role
from .tenants import check_tenant

PREFIX = "qbitel"
_TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})\Z")
_SCOPE = re.compile(r"[a-z]{1,32}\Z")
MOST_SCOPES = 32


class _Key(Base):
    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_tenant_created", "tenant", "created"),)
    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    secret: Mapped[str] = mapped_column(String(64))
    tenant: Mapped[str] = mapped_column(String(128))
    name: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    rates: Mapped[str] = mapped_column(String(256))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    follows: Mapped[str | None] = mapped_column(String(12))


@dataclass(frozen=True)
class Grant:
    """
    What a key lets its holder do.

    Attributes:
        name: what people call it. scopes, rates: as of ``Principal``.
    """

    name: str
    tenant: str = ""
    role: Role = Role.READER
    scopes: tuple[str, ...] = ()
    rates: str = ""


@dataclass(frozen=True)
class ApiKey:
    """
    A key without its secret.

    Attributes:
        follows: id of the key that it was rotated from.
    """

    id: str
    grant: Grant
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    follows: str | None

    def state(self, now: datetime) -> str:
        """Return ``active``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    @property
    def principal(self) -> Principal:
        """Who asks with it."""
        grant = self.grant
        return Principal(f"key:{self.id}", grant.tenant, grant.role, frozenset(grant.scopes), grant.rates)


class ApiKeys:
    """The keys of a catalog; every method is one transaction and may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reads=True)

    def create(self, grant: Grant, lifetime: timedelta | None = None, follows: str | None = None) -> tuple[str, ApiKey]:
        """
        Make a key and return it, which nobody can do again, with what is kept of it.

        Raises:
            InputError: the grant names a tenant or a scope that is none.
        """
        _check(grant)
        now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
        key = ApiKey(secrets.token_hex(6), grant, now, None if lifetime is None else now + lifetime, None, follows)
        row = {
            "id": key.id, "secret": _hash(secret), "tenant": grant.tenant, "name": grant.name, "role": grant.role.label,
            "scopes": list(grant.scopes), "rates": grant.rates, "created": now, "expires": key.expires,
            "follows": follows,
        }  # fmt: skip
        with transaction(self._engine) as connection:
            connection.execute(insert(_Key).values(**row))
        return f"{PREFIX}_{key.id}_{secret}", key

    def find(self, token: str) -> ApiKey | None:
        """Return what is kept of a key; None where it is none, was never made, has expired or was revoked."""
        parts = _TOKEN.match(token)
        if parts is None:
            return None
        with transaction(self._reading) as connection:
            row = connection.execute(select(_Key.__table__).where(_Key.id == parts[1])).one_or_none()
        # Also where there is no such key, the comparison is made: both take the same time.
        same = compare_digest(_hash(parts[2]), row.secret if row is not None else "0" * 64)
        if row is None or not same:
            return None
        key = _key(row)
        return key if key.state(datetime.now(UTC)) == "active" else None

    def all(self, tenant: str | None = None) -> list[ApiKey]:
        """Return the keys of a tenant, or of all, the newest first."""
        chosen = select(_Key.__table__).order_by(_Key.created.desc(), _Key.id)
        with transaction(self._reading) as connection:
            return [
                _key(row)
                for row in connection.execute(chosen if tenant is None else chosen.where(_Key.tenant == tenant))
            ]

    def one(self, key_id: str) -> ApiKey:
        """
        Return a key.

        Raises:
            NotFoundError: there is none with that id.
        """
        with transaction(self._reading) as connection:
            row = connection.execute(select(_Key.__table__).where(_Key.id == key_id)).one_or_none()
        if row is None:
            raise NotFoundError("no such key", where=key_id[:32], hint="qbitel keys list")
        return _key(row)

    def revoke(self, key_id: str) -> ApiKey:
        """
        Let a key open nothing any more; it stays in the list.

        Raises:
            NotFoundError: there is none with that id.
        """
        self.one(key_id)
        with transaction(self._engine) as connection:
            at = (_Key.id == key_id, _Key.revoked.is_(None))
            connection.execute(update(_Key).where(*at).values(revoked=datetime.now(UTC)))
        return self.one(key_id)

    def rotate(self, key_id: str, grace: timedelta, lifetime: timedelta | None = None) -> tuple[str, ApiKey]:
        """
        Make a key that may do the same, and let the old one expire after the grace.

        Raises:
            NotFoundError: there is none with that id. InputError: it opens nothing any more.
        """
        old, now = self.one(key_id), datetime.now(UTC)
        if old.state(now) != "active":
            raise InputError(f"the key is {old.state(now)}", where=key_id, hint="qbitel keys create makes a new one")
        made = self.create(old.grant, lifetime, old.id)
        until = min(old.expires or now + grace, now + grace)
        with transaction(self._engine) as connection:
            connection.execute(update(_Key).where(_Key.id == key_id).values(expires=until))
        return made


def _check(grant: Grant) -> None:
    check_tenant(grant.tenant)
    scopes: Sequence[str] = grant.scopes
    if len(scopes) > MOST_SCOPES or not all(_SCOPE.match(scope) for scope in scopes):
        raise InputError("not scopes", where=",".join(scopes)[:64], hint="small letters, as classify or streams")
    if len(grant.name) > 128 or len(grant.rates) > 256:
        raise InputError("too long", where="name or rates", hint="at most 128 and 256 characters")


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _key(row: object) -> ApiKey:
    kept = row._mapping  # type: ignore[attr-defined]
    grant = Grant(kept["name"], kept["tenant"], Role.named(kept["role"]), tuple(kept["scopes"]), kept["rates"])
    moments = {name: None if kept[name] is None else aware(kept[name]) for name in ("expires", "revoked")}
    return ApiKey(kept["id"], grant, aware(kept["created"]), follows=kept["follows"], **moments)
