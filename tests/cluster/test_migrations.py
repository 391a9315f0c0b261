"""The catalog's tables come in numbered steps: from nothing, from the version before, once, and never backwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("psycopg")
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from qbitel.cluster import audit, keys, manifest_tables, placements, registry, unknowns, versions  # noqa: F401 (their tables)
from qbitel.cluster.catalog import WAITING, open_catalog
from qbitel.cluster.database import Base, migrate, open_engine
from qbitel.cluster.manifest import Manifest
from qbitel.cluster.migrations import newest
from qbitel.discovery.errors import InputError

STEPS = Path(__file__).parents[2] / "cluster" / "migrations" / "versions"
BEFORE = Path(__file__).parent / "catalogs"


def run_script(address: str) -> None:
    """Make the catalog of the version before, by the statements that it made its tables with."""
    server = "://" in address
    script = (BEFORE / f"first.{'postgresql' if server else 'sqlite'}.sql").read_text()
    url = address.replace("postgresql://", "postgresql+psycopg://") if server else f"sqlite:///{address}"
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def tables_apart(address: str) -> list[object]:
    """Return how the tables of a catalog differ from those that the code describes."""
    engine = open_engine(address)
    with engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    return found


def test_steps_end_at_the_tables_that_the_code_describes(catalog_address: str) -> None:
    """All steps on an empty database give every table, column and index of the code, and nothing else."""
    assert tables_apart(catalog_address) == []


def test_catalog_of_the_version_before_is_upgraded(catalog_address: str) -> None:
    """A catalog that has no steps yet is brought to the newest, and keeps what it holds."""
    run_script(catalog_address)
    assert tables_apart(catalog_address) == []
    catalog = open_catalog(catalog_address)
    job, spec = catalog.job("job-1"), catalog.specification("spec-1")
    assert job is not None
    assert (job.status, job.request, catalog.waiting()) == (WAITING, {"context": {}}, ["job-1"])
    assert spec is not None
    assert (spec.messages, spec.document) == (7, b"{}")
    assert [lease.epoch for lease in Manifest(catalog.engine).leases("plant")] == [3]
    catalog.close()


def test_catalog_is_upgraded_from_every_step(catalog_address: str) -> None:
    """Whatever step a catalog is at, opening it runs the rest."""
    for number in range(1, int(newest())):
        migrate(catalog_address, f"{number:04}")
    assert tables_apart(catalog_address) == []


def test_processes_that_start_together_run_each_step_once(catalog_address: str) -> None:
    """Of many that open an empty catalog at once, one makes the tables and the others find them."""
    with ThreadPoolExecutor(6) as pool:
        engines = list(pool.map(lambda _: open_engine(catalog_address), range(6)))
    for engine in engines:
        assert "jobs" in inspect(engine).get_table_names()
        engine.dispose()


def test_step_that_fails_leaves_the_catalog_as_it_was(catalog_address: str) -> None:
    """The steps are one transaction: a table in the way of the second one undoes the first one too."""
    script = "CREATE TABLE ix_specifications_stored (id INTEGER)"  # the name that an index of step 2 needs
    engine = open_engine.__globals__["_open"](catalog_address, True, 5.0)
    with engine.begin() as connection:
        connection.exec_driver_sql(script)
    with pytest.raises(Exception, match="ix_specifications_stored"):
        open_engine(catalog_address)
    assert inspect(engine).get_table_names() == ["ix_specifications_stored"]
    engine.dispose()


def test_catalog_of_a_newer_qbitel_is_refused(catalog_address: str) -> None:
    """A catalog with steps that this code does not know is not touched, and the error says what to do."""
    engine = open_engine(catalog_address)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match="newer qbitel"):
        open_engine(catalog_address)
    engine.dispose()


def test_steps_are_numbered_without_gaps() -> None:
    """The files of the steps are r0001, r0002, …: two branches that add the same number collide when they meet."""
    names = sorted(path.name for path in STEPS.glob("r*.py"))
    assert [name[1:5] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert newest() == names[-1][1:5]
