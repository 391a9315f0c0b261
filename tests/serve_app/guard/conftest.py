"""The service's application in this process, with authentication, and keys for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from qbitel.cluster.catalog import Catalog, open_catalog
from qbitel.cluster.keys import ApiKeys, Grant
from qbitel.cluster.principals import Role
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app.app import build_app
from qbitel.serve_app.service import Service

Headers = dict[str, str]
Letting = Callable[..., Headers]
Serving = Callable[..., TestClient]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give an empty catalog."""
    opened = open_catalog(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def keys(catalog: Catalog) -> ApiKeys:
    """Return the keys of that catalog."""
    return ApiKeys(catalog.engine)


@pytest.fixture
def letting(keys: ApiKeys) -> Letting:
    """Return what makes a key and returns the header that carries it."""

    def let(role: str = "admin", tenant: str = "acme", **more: Any) -> Headers:
        token, _ = keys.create(Grant("a key", tenant, Role.named(role), **more))
        return {"Authorization": f"Bearer {token}"}

    return let


@pytest.fixture
def serving(catalog: Catalog, tmp_path: Path) -> Serving:
    """Return what serves with authentication, or as the settings say; no discovery is run."""

    def serve(**chosen: Any) -> TestClient:
        async def start(job: str) -> None:
            return None

        settings = ServiceSettings(data_dir=tmp_path, **{"authentication": "required", **chosen})
        app = build_app(Service(settings, catalog, start))
        return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)

    return serve
