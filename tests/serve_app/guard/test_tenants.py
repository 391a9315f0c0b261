"""What is one tenant's no other tenant finds, changes or learns of."""

from __future__ import annotations

from starlette.testclient import TestClient

from qbitel.cluster.catalog import Catalog, open_catalog
from qbitel.cluster.tenants import stream_key
from qbitel.cluster.unknowns import UnknownNames
from qbitel.discovery.batch import MessageBatch
from qbitel.serve_app.guard.operations import OPERATIONS

from .conftest import Letting, Serving

LINES = b'{"payload": "5a0103", "ts": 1750000200.5}\n{"payload": "5a0200", "ts": 1750000201.0}\n'
NDJSON = {"Content-Type": "application/x-ndjson"}
ID = "4c9d35b1f0a8e2716d40"


def feed(client: TestClient, who: dict[str, str], stream: str, key: str = "k1") -> int:
    """Add two messages to a stream and return the status."""
    headers = {**who, **NDJSON, "Idempotency-Key": key}
    return client.post(f"/v1/streams/{stream}/messages", content=LINES, headers=headers).status_code


def test_every_operation_on_an_object_of_another_tenant_finds_nothing(
    serving: Serving, letting: Letting, catalog: Catalog
) -> None:
    """A discovery, a specification and a stream of acme are to umbrella as if they were not there; acme has them."""
    acme, umbrella, nameless = letting(), letting(tenant="umbrella"), letting(tenant="")
    client = serving()
    catalog.of("acme").add_job("job1", {"context": {}, "input": {"name": "x", "bytes": 1}})
    catalog.of("acme").add_specification(ID, "d1", "plant", 3, b"{}")
    assert feed(client, acme, "plc") == 200
    names = {"spec_id": ID, "form": "dot", "discovery_id": "job1", "stream": "plc"}
    checked = 0
    for operation in OPERATIONS:
        if "{" not in operation.path or any(part in operation.path for part in ("static", "messages", "models")):
            continue
        path, body = operation.path.format(**names), {"days": 3} if operation.method == "PUT" else None
        for stranger in (umbrella, nameless):
            answer = client.request(operation.method, path, headers=stranger, json=body, params={"from": "v1"})
            assert answer.status_code == 404, operation
            checked += 1
    assert checked >= 20
    named = f"/v1/protocols/{ID}@v1"
    assert client.get(named, headers=acme).status_code == 200
    assert client.get(named, headers=umbrella).status_code == 404
    for path in ("/v1/parse", "/v1/validate"):
        asked = {"protocol": ID, "messages": ["AAEAAAAGAQMAAAAC"]}
        assert client.post(path, headers=acme, json=asked).status_code == 200  # now it is held here, compiled
        for stranger in (umbrella, nameless):
            assert client.post(path, headers=stranger, json=asked).status_code == 404
    for path in ("/v1/discoveries/job1", "/v1/streams/plc/digest", "/v1/streams/plc/events"):
        assert client.get(path, headers=acme).status_code == 200
    assert catalog.of("acme").specification(ID) is not None
    client.app.state.service.streams.close()  # type: ignore[attr-defined]


def test_lists_have_what_is_ones_own(serving: Serving, letting: Letting, catalog: Catalog) -> None:
    """Two tenants may give their streams one name: each has its own messages, and sees its own in the list."""
    acme, umbrella, client = letting(), letting(tenant="umbrella"), serving()
    assert feed(client, acme, "plc") == feed(client, umbrella, "plc") == feed(client, umbrella, "other", "k2") == 200
    lists = [client.get("/v1/streams", headers=who).json()["streams"] for who in (acme, umbrella)]
    assert [[(each["name"], each["tenant"]) for each in one] for one in lists] == [
        [("plc", "acme")],
        [("other", "umbrella"), ("plc", "umbrella")],
    ]
    assert client.request("DELETE", "/v1/streams/plc", headers=umbrella).json()["stream"] == "plc"
    assert client.get("/v1/streams/plc/digest", headers=acme).json()["messages"] == 2
    assert client.get("/v1/streams/plc/digest", headers=umbrella).json()["messages"] == 0
    catalog.of("acme").add_specification("s1", "d1", "p", 3, b"{}")
    catalog.of("acme").add_job("job1", {"context": {}, "input": {"name": "x", "bytes": 1}})
    for kind in ("protocols", "discoveries"):
        shown = [client.get(f"/v1/{kind}", headers=who).json()[kind] for who in (acme, umbrella)]
        assert [len(each) for each in shown] == [1, 0]
    client.app.state.service.streams.close()  # type: ignore[attr-defined]


def test_idempotency_keys_are_a_tenants_own(catalog: Catalog) -> None:
    """The same key of another tenant is another discovery."""
    first = catalog.of("acme").add_job("a", {}, key="k")
    second = catalog.of("umbrella").add_job("b", {}, key="k")
    assert [first.id, second.id, catalog.of("acme").add_job("c", {}, key="k").id] == ["a", "b", "a"]


def test_one_document_is_kept_for_each_tenant_that_found_it(catalog: Catalog) -> None:
    """Deleting it for one tenant leaves it to the other."""
    for tenant in ("acme", "umbrella"):
        catalog.of(tenant).add_specification("s1", "d1", "p", 3, b"{}", stream_key(tenant, "plc"))
    assert catalog.of("acme").forget_specifications(stream_key("acme", "plc")) == ["s1"]
    assert catalog.of("acme").document("d1") is None
    assert catalog.of("umbrella").document("d1") == b"{}"


def test_names_of_unknown_protocols_are_a_tenants_own(catalog: Catalog, tmp_path: object) -> None:
    """A tenant numbers what it meets itself: that another has met it before is not to be seen."""
    acme, umbrella = (UnknownNames(catalog.engine, tenant) for tenant in ("acme", "umbrella"))
    views = [MessageBatch.from_payloads([bytes([n, n + 1, 2 * n]) * 5 for _ in range(9)]).view() for n in (1, 90)]
    named = [acme.name(view) for view in views]
    assert umbrella.name(views[1]) == named[1]
    assert len(umbrella._read.known) == 1
    assert len(acme._read.known) == 2


def test_stream_that_an_operator_gave_a_tenant_is_nobody_elses(
    serving: Serving, letting: Letting, catalog: Catalog
) -> None:
    """`qbitel ingest --tenant acme` names a stream without its tenant: the tenant without a name does not see it."""
    client = serving()
    nameless = letting(tenant="")
    assert feed(client, nameless, "mine") == 200
    service = client.app.state.service  # type: ignore[attr-defined]
    from qbitel.cluster.manifest import Stream

    service.streams.state.manifest.add_stream(Stream("theirs", 1, {}, None, tenant="acme"))
    assert client.get("/v1/streams/theirs/digest", headers=nameless).status_code == 404
    assert [each["name"] for each in client.get("/v1/streams", headers=nameless).json()["streams"]] == ["mine"]
    service.streams.close()


def test_catalog_of_a_tenant_is_seen_by_other_processes(tmp_path: object, catalog: Catalog) -> None:
    """What a worker adds for a tenant, a gateway finds for that tenant."""
    path = catalog.engine.url.database
    assert path is not None
    worker = open_catalog(path)
    worker.of("acme").add_specification("s9", "d9", "p", 1, b"{}")
    worker.close()
    assert catalog.of("acme").specification("s9") is not None
    assert catalog.specification("s9") is None
