"""
The audit trail: who did what to which object from where, in a chain of hashes that shows what was changed or taken out.

A record's hash covers the hash of the record before it, so nothing can be altered, put in or taken out of the middle
without all that follows being made anew; with a key (``QBITEL_AUDIT_KEY``) nobody can do that without the key. That the
newest records were not cut off is shown by a head that was noted elsewhere: ``qbitel audit verify --expect``.

What tells of a person, who and from where, is covered by a salted hash of its own. Erasing a person takes the words and
the salt and leaves that hash, so the chain stays whole. Old records leave from the front: the last that left is kept as
the anchor that the chain begins behind.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, Index, String, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from .database import Base, transaction

START = "0" * 64
ERASED = ""
_LOCK = "audit"
_AT_ONCE = 1000
_ANCHOR = 1


class _Record(Base):
    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_tenant_number", "tenant", "number"), Index("ix_audit_subject", "subject"))
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    tenant: Mapped[str] = mapped_column(String(128))
    subject: Mapped[str] = mapped_column(String(256))
    address: Mapped[str] = mapped_column(String(64))
    salt: Mapped[str] = mapped_column(String(32))
    person: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(160))
    object: Mapped[str] = mapped_column(String(256))
    outcome: Mapped[int]
    request_id: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class _Anchor(Base):
    __tablename__ = "audit_anchor"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))


@dataclass(frozen=True)
class Deed:
    """
    What somebody did.

    Attributes:
        subject, address: who, and from where. action: an operation, as ``DELETE /v1/streams/{stream}``.
        object: its path. outcome: the status that it was answered with.
    """

    tenant: str
    subject: str
    address: str
    action: str
    object: str
    outcome: int
    request_id: str = ""


@dataclass(frozen=True)
class Record:
    """A deed in the chain; ``subject`` and ``address`` are empty where they were erased."""

    number: int
    at: str
    deed: Deed
    hash: str


@dataclass(frozen=True)
class Verified:
    """What a check of the chain found: the newest record and its hash, and the first fault, or an empty string."""

    records: int
    number: int
    hash: str
    fault: str = ""

    @property
    def head(self) -> str:
        """The newest record, to be noted elsewhere."""
        return f"{self.number}:{self.hash}"


class Audit:
    """
    The trail of a catalog; every method is one transaction and may be called from any thread.

    Args:
        key: makes hashes that nobody can make without it.
    """

    def __init__(self, engine: Engine, key: bytes | None = None) -> None:
        self._engine, self._key = engine, key
        self._reading = engine.execution_options(reads=True)

    def append(self, deeds: Sequence[tuple[datetime, Deed]]) -> None:
        """Add records at the end of the chain, in this order."""
        with transaction(self._engine, _LOCK) as connection:
            number, last = _head(connection)
            rows = []
            for at, deed in deeds:
                number += 1
                rows.append(self._row(number, at, deed, last))
                last = rows[-1]["hash"]
            if rows:
                connection.execute(insert(_Record), rows)

    def all(self, tenant: str | None = None, after: int = 0, limit: int = 100) -> list[Record]:
        """Return the records behind a number, in order: a tenant's, or all."""
        chosen = select(_Record.__table__).where(_Record.number > after).order_by(_Record.number).limit(limit)
        with transaction(self._reading) as connection:
            rows = connection.execute(chosen if tenant is None else chosen.where(_Record.tenant == tenant))
            return [_record(row._mapping) for row in rows]

    def verify(self, expected: str | None = None) -> Verified:
        """
        Compute every hash of the chain anew.

        Args:
            expected: a head that was noted earlier, ``number:hash``, which the chain must hold.
        """
        with transaction(self._reading) as connection:
            number, last = _anchor(connection)
            wanted, count, start = _parsed(expected), 0, number
            seen = {number: last}
            for row in _rows(connection, number):
                fault = self._fault(row, number, last)
                if fault:
                    return Verified(count, number, last, fault)
                number, last, count = row["number"], row["hash"], count + 1
                if wanted is not None and number == wanted[0]:
                    seen[number] = last
        if wanted is not None and wanted[0] >= start and seen.get(wanted[0]) != wanted[1]:
            return Verified(count, number, last, f"the noted record {wanted[0]} is missing or is another")
        return Verified(count, number, last)

    def retain(self, before: datetime) -> int:
        """Let the oldest records go that were made before a moment; the chain begins behind them; return how many."""
        until = _moment(before)
        with transaction(self._engine, _LOCK) as connection:
            start, _ = _anchor(connection)
            kept = select(_Record.number).where(_Record.at >= until).order_by(_Record.number).limit(1)
            first = connection.execute(kept).scalar()
            newest, _ = _head(connection)
            last = newest if first is None else first - 1
            if last <= start:
                return 0
            at = _Record.number == last
            values = {"number": last, "hash": connection.execute(select(_Record.hash).where(at)).scalar_one()}
            connection.execute(delete(_Anchor))
            connection.execute(insert(_Anchor).values(id=_ANCHOR, **values))
            return int(connection.execute(delete(_Record).where(_Record.number <= last)).rowcount)

    def erase(self, subject: str | None = None, tenant: str | None = None) -> int:
        """Take who and from where out of the records of a subject, or of all of a tenant; return how many."""
        chosen = [_Record.salt != ERASED]
        chosen += [] if subject is None else [_Record.subject == subject]
        chosen += [] if tenant is None else [_Record.tenant == tenant]
        gone = {"subject": ERASED, "address": ERASED, "salt": ERASED}
        with transaction(self._engine, _LOCK) as connection:
            return int(connection.execute(update(_Record).where(*chosen).values(**gone)).rowcount)

    def _row(self, number: int, at: datetime, deed: Deed, last: str) -> dict[str, Any]:
        salt = secrets.token_hex(16)
        row = {
            "number": number, "at": _moment(at), "tenant": deed.tenant, "subject": deed.subject[:256],
            "address": deed.address[:64], "salt": salt, "action": deed.action[:160], "object": deed.object[:256],
            "outcome": deed.outcome, "request_id": deed.request_id[:64],
        }  # fmt: skip
        row["person"] = _person(row)
        return {**row, "hash": self._hash(row, last)}

    def _hash(self, row: Any, last: str) -> str:
        names = ("number", "at", "tenant", "person", "action", "object", "outcome", "request_id")
        text = json.dumps([last, *(row[name] for name in names)], separators=(",", ":")).encode()
        return hmac.new(self._key, text, sha256).hexdigest() if self._key else sha256(text).hexdigest()

    def _fault(self, row: Any, number: int, last: str) -> str:
        if row["number"] != number + 1:
            return f"record {number + 1} is missing"
        if row["salt"] != ERASED and _person(row) != row["person"]:
            return f"who record {row['number']} is of was changed"
        if not hmac.compare_digest(self._hash(row, last), row["hash"]):
            return f"record {row['number']} was changed, or made with another key"
        return ""


def _person(row: Any) -> str:
    return sha256(json.dumps([row["salt"], row["subject"], row["address"]]).encode()).hexdigest()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parsed(expected: str | None) -> tuple[int, str] | None:
    if expected is None:
        return None
    number, _, found = expected.partition(":")
    return (int(number) if number.isdigit() else -1), found


def _anchor(connection: Connection) -> tuple[int, str]:
    row = connection.execute(select(_Anchor.number, _Anchor.hash)).one_or_none()
    return (0, START) if row is None else (row.number, row.hash)


def _head(connection: Connection) -> tuple[int, str]:
    newest = select(_Record.number, _Record.hash).order_by(_Record.number.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return _anchor(connection) if row is None else (row.number, row.hash)


def _rows(connection: Connection, after: int) -> Iterator[Any]:
    while True:
        chosen = select(_Record.__table__).where(_Record.number > after).order_by(_Record.number).limit(_AT_ONCE)
        rows = connection.execute(chosen).mappings().all()
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1]["number"]


def _record(row: Any) -> Record:
    names = ("tenant", "subject", "address", "action", "object", "outcome", "request_id")
    return Record(row["number"], row["at"], Deed(**{name: row[name] for name in names}), row["hash"])
