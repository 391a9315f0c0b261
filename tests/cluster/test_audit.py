"""The audit trail shows what was changed, put in or taken out, and stays whole where it is shortened or erased."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from qbitel.cluster.audit import Audit, Deed
from qbitel.cluster.database import open_engine

KEY = b"a key of sixteen bytes or more"
DEED = Deed("acme", "key:1", "10.0.0.9", "DELETE /v1/streams/{stream}", "/v1/streams/plc", 200, "r1")
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(catalog_address: str) -> Iterator[Engine]:
    """Give an empty catalog, on SQLite and on PostgreSQL."""
    opened = open_engine(catalog_address, durable=True)
    yield opened
    opened.dispose()


@pytest.fixture
def audit(engine: Engine) -> Audit:
    """Return a trail of ten records, one an hour."""
    made = Audit(engine, KEY)
    made.append([(STARTED + timedelta(hours=n), replace(DEED, request_id=f"r{n}")) for n in range(10)])
    return made


def run(engine: Engine, statement: str) -> None:
    """Change the database behind the trail's back."""
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_records_are_read_as_they_were_written(audit: Audit) -> None:
    """In order, behind a number, of one tenant."""
    assert [each.deed.request_id for each in audit.all(after=7)] == ["r7", "r8", "r9"]
    assert audit.all("umbrella") == []
    assert audit.all("acme", limit=1)[0].deed == replace(DEED, request_id="r0")
    assert (audit.verify().records, audit.verify().fault) == (10, "")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [("UPDATE audit SET outcome = 403 WHERE number = 5", "record 5 was changed"),
     ("UPDATE audit SET object = '/v1/streams/other' WHERE number = 1", "record 1 was changed"),
     ("UPDATE audit SET subject = 'key:2' WHERE number = 3", "who record 3 is of was changed"),
     ("DELETE FROM audit WHERE number = 4", "record 4 is missing"),
     ("DELETE FROM audit WHERE number = 1", "record 1 is missing"),
     ("UPDATE audit SET number = 11 WHERE number = 10", "record 10 is missing"),
     ("UPDATE audit SET subject = '', address = '', salt = '', person = 'x' WHERE number = 2", "record 2 was changed")],
)  # fmt: skip
def test_what_was_changed_is_found(statement: str, fault: str, audit: Audit, engine: Engine) -> None:
    """A field, a person, a record that is gone, one that was moved: the first fault is named."""
    run(engine, statement)
    assert fault in audit.verify().fault


def test_a_trail_that_was_cut_off_is_found_by_a_head_that_was_noted(audit: Audit, engine: Engine) -> None:
    """Without its newest records the chain is whole; the noted head says that it is not all of it."""
    head = audit.verify().head
    assert audit.verify(head).fault == ""
    audit.append([(STARTED, DEED)])
    assert audit.verify(head).fault == ""
    run(engine, "DELETE FROM audit WHERE number > 8")
    assert audit.verify().fault == ""
    assert "noted record 10 is missing" in audit.verify(head).fault


def test_nobody_makes_the_chain_anew_without_its_key(audit: Audit, engine: Engine) -> None:
    """Who can write the database, but has not the key, cannot replace the trail by another that verifies."""
    run(engine, "DELETE FROM audit")
    Audit(engine).append([(STARTED, DEED)])
    assert Audit(engine).verify().fault == ""
    assert "another key" in audit.verify().fault


def test_old_records_leave_and_the_rest_stays_whole(audit: Audit, engine: Engine) -> None:
    """What is left begins behind the anchor, is whole, goes on growing, and still shows a record that is missing."""
    head = audit.verify().head
    assert audit.retain(STARTED + timedelta(hours=4)) == 4
    assert audit.retain(STARTED + timedelta(hours=4)) == 0
    assert audit.all()[0].number == 5
    audit.append([(STARTED + timedelta(hours=11), DEED)])
    assert (audit.verify(head).records, audit.verify(head).fault) == (7, "")
    assert audit.retain(STARTED + timedelta(days=9)) == 7
    audit.append([(STARTED + timedelta(days=10), DEED)])
    assert (audit.verify().number, audit.verify().fault) == (12, "")
    run(engine, "DELETE FROM audit WHERE number = 12")
    audit_now = audit.verify()
    assert (audit_now.records, audit_now.number) == (0, 11)


def test_who_it_was_is_erased_and_the_chain_stays_whole(audit: Audit) -> None:
    """A person's name and address are gone; what was done, when and to what is still shown, and verifies."""
    audit.append([(STARTED, replace(DEED, subject="user:anna", tenant="umbrella"))])
    assert audit.erase(subject="key:1") == 10
    assert {(each.deed.subject, each.deed.address) for each in audit.all("acme")} == {("", "")}
    assert audit.all("umbrella")[0].deed.subject == "user:anna"
    assert audit.erase(tenant="umbrella") == 1
    assert audit.erase(tenant="umbrella") == 0
    assert audit.verify().fault == ""


def test_processes_that_write_at_once_make_one_chain(engine: Engine) -> None:
    """Numbers have no gaps, and each record follows the one before it."""
    trails = [Audit(engine, KEY) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: trails[n % 4].append([(STARTED, DEED)] * 3), range(12)))
    assert (trails[0].verify().records, trails[0].verify().fault) == (36, "")
