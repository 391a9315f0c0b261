"""The catalog keeps discoveries and specifications, and lets each discovery be run by one worker."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from qbitel.cluster.catalog import CANCELLED, DONE, FAILED, WAITING, Catalog, open_catalog
from qbitel.cluster.lists import CatalogLists, mark_of


@pytest.fixture
def catalog(catalog_address: str) -> Iterator[Catalog]:
    """Give an empty catalog."""
    opened = open_catalog(catalog_address)
    yield opened
    opened.close()


def test_one_of_many_workers_gets_a_discovery(catalog: Catalog) -> None:
    """Of eight that claim the same discovery at once, one gets it."""
    catalog.add_job("a", {})
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: catalog.claim("a"), range(8)))
    assert len([job for job in claimed if job]) == 1


def test_key_that_was_used_gives_the_earlier_discovery(catalog: Catalog) -> None:
    """Adding with a key that was used before returns what that key made."""
    catalog.add_job("a", {"n": 1}, key="k")
    assert catalog.add_job("b", {"n": 2}, key="k").id == "a"
    assert catalog.job("b") is None


def test_cancelling_stops_what_runs_and_ends_what_waits(catalog: Catalog) -> None:
    """What waits or runs is cancelled at once, and its worker told at the next beat; what has ended stays."""
    for job in ("waits", "runs", "ended"):
        catalog.add_job(job, {})
    catalog.claim("runs")
    catalog.claim("ended")
    catalog.finish("ended", DONE)
    assert catalog.beat("runs", {})
    for job in ("waits", "runs", "ended"):
        catalog.cancel(job)
    found = {job: catalog.job(job) for job in ("waits", "runs", "ended")}
    assert [job.status for job in found.values() if job] == [CANCELLED, CANCELLED, DONE]
    assert not catalog.beat("runs", {})


def test_results_after_the_end_change_nothing(catalog: Catalog) -> None:
    """What a stopped worker still writes is not kept."""
    catalog.add_job("a", {})
    catalog.claim("a")
    catalog.add_result("a", {"n": 1})
    catalog.finish("a", CANCELLED)
    catalog.add_result("a", {"n": 2})
    catalog.finish("a", DONE)
    job = catalog.job("a")
    assert job is not None
    assert (job.status, job.results) == (CANCELLED, [{"n": 1}])


def test_silent_discovery_waits_again_from_the_start(catalog: Catalog) -> None:
    """A running discovery that nobody writes to waits again, without the results of the lost run."""
    catalog.add_job("a", {})
    catalog.claim("a")
    catalog.add_result("a", {"n": 1})
    assert catalog.requeue_silent(60, 2, {}) == []
    assert catalog.requeue_silent(-1, 2, {}) == ["a"]
    job = catalog.job("a")
    assert job is not None
    assert (job.status, job.results) == (WAITING, [])


def test_discovery_that_loses_every_worker_fails(catalog: Catalog) -> None:
    """A discovery that was begun often enough is not begun again: it fails with the problem given."""
    catalog.add_job("a", {})
    for _ in range(2):
        catalog.claim("a")
        catalog.requeue_silent(-1, 2, {"code": "worker-lost"})
    job = catalog.job("a")
    assert job is not None
    assert (job.status, job.attempts, job.problem) == (FAILED, 2, {"code": "worker-lost"})


def test_only_the_newest_finished_discoveries_are_kept(catalog: Catalog) -> None:
    """Finished discoveries over the number to keep are forgotten, oldest first; others never."""
    for job in ("a", "b", "c", "waits"):
        catalog.add_job(job, {})
    for job in ("b", "a", "c"):
        catalog.claim(job)
        catalog.finish(job, DONE)
    assert catalog.forget_jobs(2) == ["b"]
    assert catalog.job("waits") is not None


def test_newest_document_of_a_structure_is_returned(catalog: Catalog) -> None:
    """A structure has one id and many documents; asking gives the newest, also when an old one comes again."""
    catalog.add_specification("id1", "d1", "p", 10, b"one")
    catalog.add_specification("id1", "d2", "p", 20, b"two")
    catalog.add_specification("id2", "d3", "q", 5, b"three")
    newest = catalog.specification("id1")
    assert newest is not None
    assert newest.document == b"two"
    assert [each.digest for each in CatalogLists(catalog).specifications(10)] == ["d3", "d2"]
    catalog.add_specification("id1", "d1", "p", 10, b"one")
    assert [each.digest for each in CatalogLists(catalog).specifications(10)] == ["d1", "d3"]


def test_pages_of_discoveries_go_on_where_the_last_ended(catalog: Catalog) -> None:
    """Pages hold every discovery once, the newest first, also where others come in between; a status chooses some."""
    for number in range(7):
        catalog.add_job(f"j{number}", {"n": number})
    catalog.claim("j3")
    lists = CatalogLists(catalog)
    found = lists.jobs(3)
    catalog.add_job("late", {})
    while page := lists.jobs(3, mark_of(found[-1])):
        found += page
    assert [job.id for job in found] == [f"j{number}" for number in reversed(range(7))]
    assert [job.id for job in lists.jobs(9, status=WAITING)] == ["late", "j6", "j5", "j4", "j2", "j1", "j0"]


def test_pages_of_specifications_show_the_newest_document_of_each(catalog: Catalog) -> None:
    """Older documents of a structure take no place in a page, and a name chooses some."""
    for number in range(12):
        catalog.add_specification(f"id{number % 4}", f"d{number:02}", f"p{number % 2}", number, b"{}")
    lists = CatalogLists(catalog)
    first = lists.specifications(3)
    rest = lists.specifications(3, mark_of(first[-1]))
    assert [each.digest for each in (*first, *rest)] == ["d11", "d10", "d09", "d08"]
    assert [each.id for each in lists.specifications(9, protocol="p1")] == ["id3", "id1"]


def test_lineage_leads_to_what_was_learned_on_from_and_to(catalog: Catalog) -> None:
    """Whichever id of a lineage is asked for, all its documents come, the highest version first."""
    catalog.add_specification("a", "d1", "p", 1, b"1")
    catalog.add_specification("b", "d2", "p", 1, b"2", version=2, parent="d1")
    catalog.add_specification("b", "d3", "p", 1, b"3", version=3, parent="d2")
    catalog.add_specification("other", "d4", "p", 1, b"4", version=2, parent="gone")
    for spec_id in ("a", "b"):
        assert [each.digest for each in CatalogLists(catalog).lineage(spec_id)] == ["d3", "d2", "d1"]
    assert CatalogLists(catalog).lineage("nothing") == []


def test_deleted_specification_is_gone_with_all_its_documents(catalog: Catalog) -> None:
    """Other structures stay."""
    for digest, spec_id in (("d1", "a"), ("d2", "a"), ("d3", "b")):
        catalog.add_specification(spec_id, digest, "p", 1, b"")
    assert sorted(catalog.delete_specification("a")) == ["d1", "d2"]
    assert catalog.specification("a") is None
    assert catalog.specification("b") is not None


def test_attempt_that_was_given_up_changes_nothing(catalog: Catalog) -> None:
    """A worker that fell silent and comes back writes neither progress nor results nor an end over the next one's."""
    catalog.add_job("a", {})
    first = catalog.claim("a")
    assert first is not None
    assert catalog.requeue_silent(-1, 2, {}) == ["a"]
    second = catalog.claim("a")
    assert second is not None
    assert not catalog.beat("a", {"n": 1}, first.attempts)
    catalog.add_result("a", {"n": 1}, first.attempts)
    assert not catalog.finish("a", DONE, attempt=first.attempts)
    for _ in range(2):
        catalog.add_result("a", {"n": 2}, second.attempts)
    assert catalog.beat("a", {"n": 2}, second.attempts)
    assert catalog.finish("a", DONE, attempt=second.attempts)
    job = catalog.job("a")
    assert job is not None
    assert (job.status, job.progress, job.results) == (DONE, {"n": 2}, [{"n": 2}])
