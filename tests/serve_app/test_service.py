"""What the gateway keeps in memory between requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbitel.cluster.catalog import open_catalog
from qbitel.cluster.settings import ServiceSettings
from qbitel.discovery.errors import NotFoundError
from qbitel.serve_app import service as module
from qbitel.serve_app.service import Service


async def nowhere(job: str) -> None:
    """Start nothing."""


def test_a_specification_is_looked_up_at_most_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the stated time the document in memory is used; what was not found is asked for each time."""
    catalog = open_catalog(tmp_path / "catalog.sqlite")
    service = Service(ServiceSettings(data_dir=tmp_path), catalog, nowhere)
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    with pytest.raises(NotFoundError):
        service.specification("abc")
    catalog.add_specification("abc", "digest-1", "udp_1", 10, b"{}")
    assert service.specification("abc").digest == "digest-1"
    catalog.add_specification("abc", "digest-2", "udp_1", 20, b"{}")
    assert service.specification("abc").digest == "digest-1"
    now[0] += module.FRESH_S
    assert service.specification("abc").digest == "digest-2"
    catalog.close()
