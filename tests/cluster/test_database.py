"""The catalog's database is an SQLite file or a PostgreSQL server, and says so when it is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("psycopg")

from qbitel.cluster import database
from qbitel.cluster.database import OutcomeUnknownError, open_engine, transaction
from qbitel.cluster.manifest import Manifest
from qbitel.cluster.ray_start import free_port
from qbitel.cluster.state import State
from qbitel.discovery.errors import InputError


def test_address_of_no_database_is_refused() -> None:
    """An address that nothing can open names what can be opened, and shows no password."""
    for address in ("mysql://u:secret@host/db", "postgresql+asyncpg://u:secret@host/db", "://secret"):
        with pytest.raises(InputError) as caught:
            open_engine(address)
        assert "secret" not in str(caught.value)


def test_password_is_no_part_of_a_state_and_is_not_shown() -> None:
    """A state keeps its name when the password of its catalog changes."""
    one, two = (State("s3://b/x", f"postgresql://u:{password}@host/db") for password in ("old", "new"))
    assert one.id == two.id
    assert "old" not in repr(one)
    assert one.id != State("s3://b/x", "postgresql://u:old@other/db").id


def test_server_that_is_not_there_is_an_unknown_outcome() -> None:
    """A server that does not answer is told as such, at once where the machine refuses."""
    with pytest.raises(OutcomeUnknownError):
        open_engine(f"postgresql://u@127.0.0.1:{free_port()}/db")


def test_who_vanished_in_a_transaction_stops_nobody(server_catalog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends a transaction that nothing is heard of; who was in it learns that its outcome is not known."""
    monkeypatch.setitem(database._SESSION, "idle_in_transaction_session_timeout", 200)
    gone, other = (open_engine(server_catalog) for _ in range(2))
    manifest = Manifest(other)
    with pytest.raises(OutcomeUnknownError), transaction(gone, "plant"):
        assert manifest.take_lease("plant", 0, "other") == 1
    manifest.close()
    gone.dispose()


def test_reading_does_not_wait_and_does_not_write(catalog_address: str) -> None:
    """What reads sees one state of the database while another writes, and cannot write itself."""
    engine = open_engine(catalog_address, durable=True)
    manifest = Manifest(engine)
    manifest.take_lease("plant", 0, "a")
    with transaction(engine, "plant") as writing, transaction(engine.execution_options(reads=True)) as reading:
        count = "SELECT count(*) FROM leases"
        assert reading.exec_driver_sql(count).scalar() == 1
        writing.exec_driver_sql("DELETE FROM leases")
        assert reading.exec_driver_sql(count).scalar() == 1
    assert manifest.leases("plant") == []
    manifest.close()


def test_file_is_made_with_its_folder(tmp_path: Path) -> None:
    """The folder of an SQLite file is made where there is none."""
    open_engine(tmp_path / "deep" / "catalog.sqlite").dispose()
    assert (tmp_path / "deep" / "catalog.sqlite").exists()
