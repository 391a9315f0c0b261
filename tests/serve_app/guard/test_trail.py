"""Requests leave a trail: changes before they are answered, refusals, and where they came from."""

from __future__ import annotations

import asyncio
from datetime import datetime
from time import monotonic, sleep

import pytest

from qbitel.cluster.audit import Audit, Deed, Record
from qbitel.cluster.cache import Answer
from qbitel.cluster.catalog import Catalog
from qbitel.cluster.database import OutcomeUnknownError
from qbitel.serve_app.guard import trail as trails
from qbitel.serve_app.guard.addresses import Proxies
from qbitel.serve_app.guard.trail import Trail

from .conftest import Letting, Serving

DEED = Deed("acme", "key:1", "", "DELETE /x", "/x", 200)


def records(catalog: Catalog, count: int) -> list[Record]:
    """Return the records once there are so many."""
    until = monotonic() + 10
    while len(found := Audit(catalog.engine).all()) < count and monotonic() < until:
        sleep(0.01)
    return found


def test_changes_and_refusals_are_recorded_and_reading_is_not(
    serving: Serving, letting: Letting, catalog: Catalog
) -> None:
    """A change with who, what, to which object and how it ended; a refusal; and who read the trail."""
    with serving(audit_key="0123456789abcdef") as client:
        admin, reader = letting(), letting("reader")
        client.get("/v1/protocols", headers=admin)
        client.delete("/v1/discoveries/job7", headers={**admin, "X-Request-Id": "r-7"})
        client.delete("/v1/discoveries/job7", headers=reader)
        client.get("/v1/protocols")
        shown = client.get("/v1/audit", headers=admin).json()["records"]
        other = client.get("/v1/audit", headers=letting(tenant="umbrella")).json()["records"]
    assert [(each["action"], each["object"], each["outcome"]) for each in shown] == [
        ("DELETE /v1/discoveries/{discovery_id}", "/v1/discoveries/job7", 404),
        ("DELETE /v1/discoveries/{discovery_id}", "/v1/discoveries/job7", 403),
    ]
    assert (shown[0]["request_id"], shown[0]["subject"][:4], shown[0]["address"]) == ("r-7", "key:", "testclient")
    assert shown[0]["subject"] != shown[1]["subject"]
    assert other == []
    assert [each.deed.action for each in records(catalog, 4)][2:] == ["GET /v1/audit"] * 2
    assert Audit(catalog.engine, b"0123456789abcdef").verify().fault == ""


def test_every_request_is_recorded_where_it_shall_be(serving: Serving, letting: Letting, catalog: Catalog) -> None:
    """``audit=all`` records reading and using too."""
    with serving(audit="all") as client:
        client.get("/v1/protocols", headers=letting())
        client.post("/v1/classify", json={}, headers=letting())
    assert [each.deed.outcome for each in records(catalog, 2)] == [200, 422]


@pytest.mark.parametrize(("wanted", "count"), [("changes", 1), ("all", 2)])
def test_what_is_answered_from_the_cache_is_no_change(
    serving: Serving, letting: Letting, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, wanted: str, count: int
) -> None:
    """A discovery that was made before is answered without a record, where only changes are recorded."""
    with serving(audit=wanted) as client:
        admin, cache = letting(), client.app.state.service.answers.cache
        monkeypatch.setattr(cache, "look", lambda key: Answer(b"{}", "application/json"))
        assert client.post("/v1/discoveries", json={"messages": ["AA=="]}, headers=admin).status_code == 200
        client.delete("/v1/discoveries/job7", headers=admin)
        found = records(catalog, count)
    assert [each.deed.action.split()[0] for each in found] == ["POST", "DELETE"][-count:]


def test_a_record_waits_for_a_catalog_that_does_not_answer(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is written later, in its order; beyond the bound it is counted as lost."""
    audit, failed = Audit(catalog.engine), []
    append = audit.append

    def fail_once(deeds: list[tuple[datetime, Deed]]) -> None:
        if not failed:
            failed.append(1)
            raise OutcomeUnknownError("the database failed")
        append(deeds)

    monkeypatch.setattr(audit, "append", fail_once)
    monkeypatch.setattr(trails, "AGAIN_S", 0.01)
    monkeypatch.setattr(trails, "MOST_WAITING", 2)

    async def run() -> int:
        trail = Trail(audit)
        written = [trail.note(DEED) for _ in range(3)]
        await asyncio.gather(*written)
        return trail.lost

    assert asyncio.run(run()) == 1
    assert len(audit.all()) == 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [("9.9.9.9", "1.2.3.4", "9.9.9.9"), ("10.0.0.1", "1.2.3.4", "1.2.3.4"), ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
     ("10.0.0.1", "1.2.3.4, 10.0.0.7", "1.2.3.4"), ("10.0.0.1", "<script>", "10.0.0.1"), ("10.0.0.1", "", "10.0.0.1"),
     ("10.0.0.1", "6.6.6.6, what, 10.0.0.7", "10.0.0.7"), ("", "1.2.3.4", "")],
)  # fmt: skip
def test_only_proxies_that_are_trusted_say_where_a_request_is_from(peer: str, forwarded: str, found: str) -> None:
    """What anybody could have written into the header is not believed."""
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"client": (peer, 1) if peer else None, "headers": headers}
    assert Proxies(["10.0.0.0/8"]).client(scope) == found
    assert Proxies().client(scope) == peer
