"""The rows of a catalog, whatever tables it has: counted, digested, and copied from one database to another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, func, insert, select, text

from . import migrations
from .database import aware, transaction

_STEP = "alembic_version"
_AT_ONCE = 1000


def step_of(engine: Engine) -> str | None:
    """Return the number of the last step that was run on a catalog."""
    with transaction(engine.execution_options(reads=True)) as connection:
        return migrations.revision(connection)


def count_rows(engine: Engine) -> int:
    """Return how many rows a catalog has in all of its tables."""
    with transaction(engine.execution_options(reads=True)) as connection:
        return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in _tables(connection))


def digest_rows(engine: Engine) -> tuple[dict[str, str], dict[str, int]]:
    """Return by table the SHA-256 of its rows, the same on every database, and their number."""
    digests: dict[str, str] = {}
    counts: dict[str, int] = {}
    with transaction(engine.execution_options(reads=True)) as connection:
        for table in _tables(connection):
            lines = sorted(json.dumps(row, sort_keys=True, default=_plain) for row in _rows(connection, table))
            digests[table.name] = sha256("\n".join(lines).encode()).hexdigest()
            counts[table.name] = len(lines)
    return digests, counts


def copy_rows(source: Engine, target: Engine) -> None:
    """Copy all rows, as they are at one moment, into the same tables of an empty catalog, all of them or none."""
    with transaction(source.execution_options(reads=True)) as reading, transaction(target) as writing:
        there = {table.name: table for table in _tables(writing)}
        for table in _tables(reading):
            batch: list[dict[str, Any]] = []
            for row in _rows(reading, table):
                batch.append(row)
                if len(batch) == _AT_ONCE:
                    writing.execute(insert(there[table.name]), batch)
                    batch = []
            if batch:
                writing.execute(insert(there[table.name]), batch)
        if writing.dialect.name == "postgresql":
            _go_on_counting(writing, there)


def _tables(connection: Connection) -> list[Table]:
    """Return the tables, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != _STEP]


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(select(table)):
        yield {name: _utc(value) for name, value in row._mapping.items()}


def _utc(value: Any) -> Any:
    """Return a moment with its zone, UTC: SQLite keeps none, and PostgreSQL answers in that of the session."""
    return aware(value).astimezone(UTC) if isinstance(value, datetime) else value


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else bytes(value).hex()


def _go_on_counting(connection: Connection, tables: dict[str, Table]) -> None:
    """Let numbers that the database gives itself begin behind those that were copied."""
    sequence = text("SELECT pg_get_serial_sequence(:name, :column)")
    for table in tables.values():
        for column in table.primary_key:
            at = {"name": f'"{table.name}"', "column": column.name}
            if column.autoincrement is True or column.server_default is not None:
                named = connection.scalar(sequence, at)
                last = connection.scalar(select(func.max(column)))
                if named and last:
                    connection.execute(text("SELECT setval(:named, :last)"), {"named": named, "last": last})
