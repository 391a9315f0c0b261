"""The names of unknown protocols in the catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qbitel.cluster import unknowns
from qbitel.cluster.catalog import open_catalog
from qbitel.cluster.unknowns import UnknownNames
from qbitel.discovery.batch import MessageBatch, MessageView
from qbitel.train.simulator import simulate


def halves(seed: int) -> tuple[MessageView, MessageView]:
    """Return a simulated protocol's messages in two parts."""
    view = simulate(seed).batch().view()
    even = np.arange(len(view)) % 2 == 0
    return view.take(even), view.take(~even)


def test_what_one_has_named_others_call_the_same(tmp_path: Path) -> None:
    """A second process names the other half of a protocol as the first did; another protocol has another name."""
    one, two = (UnknownNames(open_catalog(tmp_path / "catalog.sqlite").engine) for _ in range(2))
    first, second = halves(11)
    named = one.name(first)
    assert two.name(second) == named
    assert two.name(halves(12)[0]) != named
    assert one.name(halves(12)[1]) == two.name(halves(12)[0])


def test_two_that_meet_a_protocol_at_once_agree(catalog_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds that another was quicker, after it has read the catalog, takes the name that the other gave."""
    quick, slow = (UnknownNames(open_catalog(catalog_address).engine) for _ in range(2))
    first, second = halves(11)
    read_on, given = slow._read_on, []

    def read_and_be_late() -> None:
        read_on()
        given.append(quick.name(first))

    monkeypatch.setattr(slow, "_read_on", read_and_be_late)
    assert slow.name(second) == given[0]
    assert len(given) == 2, "one that is late reads again"


def test_random_messages_have_a_name_and_keep_it(tmp_path: Path) -> None:
    """Histograms of random bytes are like no others, not even their own; the same messages still have one name."""
    rng = np.random.default_rng(1)
    view = MessageBatch.from_payloads([rng.bytes(64) for _ in range(64)]).view()
    one, two = (UnknownNames(open_catalog(tmp_path / "catalog.sqlite").engine) for _ in range(2))
    assert one.name(view) == one.name(view) == two.name(view)


def test_a_full_catalog_names_without_remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of strange messages stops no one: names are still given, and the store stays as it is."""
    monkeypatch.setattr(unknowns, "MAX_CLUSTERS", 1)
    names, later = (UnknownNames(open_catalog(tmp_path / "catalog.sqlite").engine) for _ in range(2))
    known = names.name(halves(11)[0])
    strange = names.name(halves(12)[0])
    assert strange == names.name(halves(12)[0])
    assert names.name(halves(11)[1]) == known
    monkeypatch.undo()
    assert later.name(halves(12)[1]) != strange
