"""The snapshot of specifications that a gateway answers from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qbitel.cluster.catalog import Catalog, open_catalog
from qbitel.discovery.errors import NotFoundError
from qbitel.discovery.spec import ProtocolSpec
from qbitel.serve_app.specifications import MOST, Specifications

DOCUMENT = ProtocolSpec().to_bytes()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give an empty catalog."""
    opened = open_catalog(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


def test_a_newer_document_is_taken_at_the_next_refresh(catalog: Catalog) -> None:
    """Until then the one in memory is used; what was not found is asked for each time."""
    kept = Specifications(catalog)
    with pytest.raises(NotFoundError):
        kept.find("abc")
    catalog.add_specification("abc", "digest-1", "udp_1", 10, DOCUMENT)
    assert kept.find("abc").stored.digest == "digest-1"
    catalog.add_specification("abc", "digest-2", "udp_1", 20, DOCUMENT)
    assert kept.find("abc").stored.digest == "digest-1"
    assert kept.refresh() == ["abc"]
    assert kept.find("abc").stored.digest == "digest-2"
    assert kept.refresh() == []


def test_what_was_compiled_stays_while_the_document_does(catalog: Catalog) -> None:
    """A refresh without news compiles nothing anew, and one with news does."""
    kept = Specifications(catalog)
    catalog.add_specification("abc", "digest-1", "udp_1", 10, DOCUMENT)
    known = kept.find("abc")
    assert not known.parses_at_once()
    parser = known.parser
    kept.refresh()
    assert kept.find("abc").parser is parser and known.parses_at_once()
    catalog.add_specification("abc", "digest-2", "udp_1", 20, DOCUMENT)
    kept.refresh()
    assert kept.find("abc").parser is not parser


def test_a_specification_that_was_erased_is_served_no_more(catalog: Catalog) -> None:
    """The next refresh lets it go."""
    kept = Specifications(catalog)
    catalog.add_specification("abc", "digest-1", "udp_1", 10, DOCUMENT, stream="plant")
    kept.find("abc")
    catalog.forget_specifications("plant")
    assert kept.refresh() == ["abc"]
    with pytest.raises(NotFoundError):
        kept.find("abc")


def test_the_snapshot_outlives_the_catalog(tmp_path: Path) -> None:
    """What is held is served on, and tells how old it is, where the catalog is gone."""
    path = tmp_path / "catalog.sqlite"
    catalog = open_catalog(path)
    kept = Specifications(catalog)
    catalog.add_specification("abc", "digest-1", "udp_1", 10, DOCUMENT)
    kept.find("abc")
    catalog.close()
    path.unlink()
    path.mkdir()
    before = kept.age_s
    assert kept.refresh() == []
    assert kept.find("abc").stored.digest == "digest-1"
    assert kept.age_s > before


def test_a_snapshot_is_bounded(catalog: Catalog) -> None:
    """The specification that was not asked for longest makes room."""
    kept = Specifications(catalog)
    for number in range(MOST + 1):
        catalog.add_specification(f"id-{number}", f"digest-{number}", "udp_1", 1, DOCUMENT)
        kept.find(f"id-{number}")
    assert kept.held("id-0") is None and kept.held("id-1") is not None
