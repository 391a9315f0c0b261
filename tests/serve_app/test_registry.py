"""The registry of models over real HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from qbitel.cluster.catalog import open_catalog
from qbitel.cluster.registry import Registry
from qbitel.cluster.storage import Storage


@pytest.fixture(scope="module")
def model(service_address: str, service_data: Path) -> str:
    """Return the name of a model of three versions, which the commands of training would have registered."""
    registry = Registry(open_catalog(service_data / "catalog.sqlite").engine, Storage(service_data))
    for number in range(3):
        registry.register("toy", save({"w": np.full(2, number, np.float32)}), {"run": f"r{number}"}, {"f1": 0.5})
    return "toy"


def test_versions_are_listed_page_by_page(client: httpx.Client, model: str) -> None:
    """A model is listed with its versions, the newest first, with metrics and lineage."""
    listed = client.get("/v1/models")
    assert listed.status_code == 200, listed.text
    assert {"model": "toy", "versions": 3, "newest": 3, "aliases": {}} in listed.json()["models"]
    first = client.get(f"/v1/models/{model}/versions", params={"limit": 2}).json()
    rest = client.get(f"/v1/models/{model}/versions", params={"limit": 2, "below": first["next"]}).json()
    assert [each["number"] for page in (first, rest) for each in page["versions"]] == [3, 2, 1]
    assert rest["next"] is None
    assert client.get(f"/v1/models/{model}/versions/1").json()["lineage"] == {"run": "r0"}


def test_an_alias_moves_and_is_dropped(client: httpx.Client, model: str) -> None:
    """It stands for one version at a time; what does not exist is a 404."""
    address = f"/v1/models/{model}/aliases/challenger"
    assert client.get(address).status_code == 404
    for number in (2, 3):
        assert client.put(address, json={"version": number}).json()["aliases"] == ["challenger"]
    assert client.get(address).json()["number"] == 3
    assert client.get(f"/v1/models/{model}/versions/2").json()["aliases"] == []
    assert client.delete(address).json()["aliases"] == []
    for answer in (client.get(address), client.delete(address), client.put(address, json={"version": 9})):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert client.get("/v1/models/nothing/versions").status_code == 404
