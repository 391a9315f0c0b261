"""The table of operations is that of the application, and roles and scopes are held to it."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from qbitel.cluster.principals import LOCAL, Principal, Role
from qbitel.serve_app import metrics
from qbitel.serve_app.guard.operations import OPERATIONS, Operation, Operations, permitted

from .conftest import Letting, Serving

BODY = {"json": {}}


@pytest.fixture
def client(serving: Serving) -> TestClient:
    """Return a client of a service with authentication."""
    return serving()


def filled(operation: Operation) -> str:
    """Return a path of an operation, with names that nothing has."""
    named = re.sub(r"{(?!number)\w+}", "x", operation.path).replace("{number}", "1")
    return named.replace("exports/x", "exports/dot")


def test_every_operation_of_the_application_is_in_the_table(client: TestClient) -> None:
    """A route without a role does not exist, and no role is of a route that is gone."""
    app = client.app
    paths = app.openapi()["paths"]  # type: ignore[attr-defined]
    described = {(method.upper(), path) for path, each in paths.items() for method in each}
    undescribed = {"/docs", "/openapi.json", "/static-offline-docs/{file}"}
    table = {(each.method, each.path) for each in OPERATIONS if each.path not in undescribed}
    assert described - table == set()
    assert {each for each in table - described if each[0] != "HEAD"} == set()


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.role], ids=lambda each: f"{each.method} {each.path}"
)
def test_each_operation_needs_its_role(
    operation: Operation, client: TestClient, letting: Letting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key 401; with the role below 403; with its own it is let in, and finds nothing or refuses the body."""
    assert operation.role is not None
    monkeypatch.setattr(metrics, "_agents", list)  # there is no Ray here
    path = filled(operation)
    assert client.request(operation.method, path).status_code == 401
    if operation.role > Role.READER:
        below = client.request(operation.method, path, headers=letting(Role(operation.role - 1).label))
        assert (below.status_code, below.json()["code"]) == (403, "forbidden")
    assert permitted(Principal("someone", "", operation.role), operation)
    if "retrain" in path:
        return  # it would look for a Ray, and there is none here
    let_in = client.request(operation.method, path, headers=letting(operation.role.label))
    assert let_in.status_code not in (401, 403, 405, 500)


def test_key_is_confined_to_its_scopes(client: TestClient, letting: Letting) -> None:
    """A key for classifying lists no protocols, whatever its role is."""
    confined = letting("admin", scopes=("classify",))
    refused = client.get("/v1/protocols", headers=confined)
    assert (refused.status_code, refused.json()["detail"]) == (403, refused.json()["detail"])
    assert "confined to classify" in refused.json()["detail"]
    assert client.post("/v1/classify", json={}, headers=confined).status_code == 422


def test_every_role_may_what_those_below_it_may() -> None:
    """What a reader may do everybody may, and the local user may do all."""
    for operation in OPERATIONS:
        allowed = [permitted(Principal("someone", "", role), operation) for role in Role]
        assert allowed == sorted(allowed)
        assert permitted(LOCAL, operation)


@pytest.mark.parametrize(
    "path",
    ["/v1//protocols", "/v1/protocols/", "/v1/protocols/../streams", "//v1/protocols", "/V1/protocols",
     "/v1/protocols/a/b",
     "/healthz/../v1/streams", "/healthz/", "/docs/../v1/protocols", "/v1/protocols\n", "/v1/streams/a/messages/b"],
)  # fmt: skip
def test_a_path_that_is_not_in_the_table_has_no_operation(path: str) -> None:
    """Paths are neither tidied nor folded: what looks like an open path opens nothing."""
    assert Operations().find("GET", path).operation is None


def test_public_paths_let_no_other_path_through(client: TestClient, letting: Letting) -> None:
    """Encoded slashes and dots beside a public path are asked for a key, and have no operation with one."""
    tricks = ("/healthz%2f..%2fv1%2fstreams", "/healthz/%2e%2e/v1/streams", "/static-offline-docs/..%2f..%2fv1")
    for path in tricks:
        assert client.get(path).status_code == 401
        assert client.get(path, headers=letting()).status_code in (404, 401)
    assert client.get("/healthz").status_code == 200


def test_wrong_method_and_unknown_path_are_told_apart(client: TestClient, letting: Letting) -> None:
    """405 names the methods; 404 says where they are listed; strangers are told neither."""
    wrong = client.delete("/v1/protocols", headers=letting())
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert client.get("/v1/nothing", headers=letting()).status_code == 404
    assert client.get("/v1/nothing").status_code == 401
