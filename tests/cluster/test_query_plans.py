"""No query of the catalog that a request or a beat makes reads a whole table: each is held against EXPLAIN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("psycopg")
from sqlalchemy import Connection, Engine, event, insert

from qbitel.cluster.catalog import DONE, Catalog, _Job, _Specification, open_catalog
from qbitel.cluster.lists import CatalogLists, Mark
from qbitel.cluster.manifest import Manifest
from qbitel.cluster.manifest_tables import EntryRow, KeyRow, LeaseRow
from qbitel.cluster.versions import Versions, _Event

ROWS = 2000
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
Asked = list[tuple[str, Any]]


@pytest.fixture
def catalog(catalog_address: str) -> Iterator[Catalog]:
    """Give a catalog with so many rows that reading a table whole would be the slower way."""
    opened = open_catalog(catalog_address)
    numbered = [(n, STARTED + timedelta(seconds=n)) for n in range(ROWS)]
    job = {"status": DONE, "cancel": False, "attempts": 1, "request": {}, "progress": {}, "results": [], "warnings": []}
    spec = {"protocol": "p", "messages": 1, "document": b"{}"}
    drift = {"version": 1, "kind": "added", "path": "f", "before": "", "after": "", "evidence": {}}
    key = {"shard": 0, "digest": "d", "position": 0}
    part = {"epoch": 1, "path": "p", "size": 1, "sha256": "s", "messages": 1, "earliest": 0, "latest": 0, "untimed": 0}
    tables: list[tuple[Any, list[dict[str, Any]]]] = [
        (_Job, [{"id": f"j{n}", "created": at, "updated": at, **job} for n, at in numbered]),
        (
            _Specification,
            [
                {"digest": f"d{n}", "id": f"i{n // 4}", "stored": at, **spec, "parent": f"d{n - 1}" if n % 4 else None}
                for n, at in numbered
            ],
        ),
        (_Event, [{"stream": f"s{n % 50}", "at": at, **drift} for n, at in numbered]),
        (KeyRow, [{"stream": f"s{n % 50}", "key": f"k{n}", "made": n, **key} for n in range(ROWS)]),
        (LeaseRow, [{"stream": f"s{n % 50}", "shard": n // 50, "epoch": 1, "owner": "a"} for n in range(ROWS)]),
        (
            EntryRow,
            [
                {"stream": f"s{n % 50}", "shard": 0, "position": n, "first": n, "sequence": n, **part}
                for n in range(ROWS)
            ],
        ),
    ]
    with opened.engine.begin() as connection:
        for table, rows in tables:
            connection.execute(insert(table), rows)
    with opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    yield opened
    opened.close()


@contextmanager
def listening(engine: Engine) -> Iterator[Asked]:
    """Give the statements that are sent to the database while the block runs, with their parameters."""
    asked: Asked = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def whole_tables(engine: Engine, asked: Asked) -> list[str]:
    """Return what the database says of reading a whole table for one of these statements."""
    found = []
    plan = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        for statement, parameters in asked:
            if not re.match("SELECT|UPDATE|DELETE", statement) or "advisory" in statement:
                continue
            for row in connection.exec_driver_sql(plan + statement, parameters):
                line = str(row[-1])
                if re.search(r"Seq Scan on|SCAN \w+", line):
                    found.append(f"{line.strip()}: {' '.join(statement.split())}")
    return found


def test_no_query_of_discoveries_reads_a_whole_table(catalog: Catalog) -> None:
    """Adding, claiming, beating, ending, cancelling and looking for what waits or fell silent use indexes."""
    with listening(catalog.engine) as asked:
        catalog.add_job("new", {}, key="k")
        catalog.waiting()
        catalog.claim("new")
        catalog.beat("new", {"n": 1})
        catalog.add_result("new", {"n": 1})
        catalog.requeue_silent(60, 2, {})
        catalog.finish("new", DONE)
        catalog.cancel("new")
        for status in (None, DONE):
            assert len(CatalogLists(catalog).jobs(10, status=status)) == 10
            assert len(CatalogLists(catalog).jobs(10, Mark(STARTED + timedelta(seconds=900), "j"), status)) == 10
        assert catalog.add_job("again", {}, key="k").id == "new"
    assert len(asked) > 10
    assert whole_tables(catalog.engine, asked) == []


def test_no_query_of_specifications_reads_a_whole_table(catalog: Catalog) -> None:
    """A specification by its id, a document by its digest, pages of a list, a lineage, a deletion."""
    with listening(catalog.engine) as asked:
        assert catalog.specification("i7") is not None
        assert catalog.document("d8") is not None
        assert catalog.stored("d8") is not None
        assert len(CatalogLists(catalog).specifications(10)) == 10
        assert len(CatalogLists(catalog).specifications(10, Mark(STARTED + timedelta(seconds=900), "d"))) == 10
        assert len(CatalogLists(catalog).lineage("i7")) == 4
        assert catalog.delete_specification("i9")
    assert whole_tables(catalog.engine, asked) == []


def test_no_query_of_streams_reads_a_whole_table(catalog: Catalog) -> None:
    """Events behind one that is known, and keys that are registered or past the horizon."""
    manifest, versions = Manifest(catalog.engine), Versions(catalog.engine)
    with listening(catalog.engine) as asked:
        assert len(versions.events("s3", after=1000, limit=10)) == 10
        assert set(manifest.known("s3", ["k3", "k4"])) == {"k3"}
        manifest.leases("s3")
        manifest.entries("s3", 0)
    assert whole_tables(catalog.engine, asked) == []


def test_a_query_without_an_index_is_seen(catalog: Catalog) -> None:
    """The check itself: a column that has no index is found out."""
    with listening(catalog.engine) as asked, catalog.engine.connect() as connection:
        connection.exec_driver_sql("SELECT id FROM jobs WHERE attempts = 7").all()
    assert len(whole_tables(catalog.engine, asked)) == 1
