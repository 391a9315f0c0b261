"""The client against the running service: all operations, pages, events, errors by name, and when it asks again."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("httpx")
from qbitel import AsyncClient, Client, MessageBatch, Parser
from qbitel.client import BusyError, ConflictError, Context, MissingError, RefusedError, UnreachableError, calls
from qbitel.discovery.exports import FORMATS

MESSAGES = [b"\x77\x05" + bytes([n, 2 + n % 5]) + b"z" * (2 + n % 5) for n in range(110)]
BATCH = MessageBatch.from_payloads(MESSAGES)
UNTOLD = re.compile(r"/v1/audit|/api/v1/|/healthz|/readyz|/startupz|/metrics")


@pytest.fixture(scope="module")
def service(service_address: str) -> Iterator[Client]:
    """Give a client of the running service."""
    with Client(service_address) as opened:
        yield opened


@pytest.fixture(scope="module")
def spec_id(service: Client) -> str:
    """Return the id of a specification that the service knows."""
    found = service.discover(MESSAGES, context=Context(protocol="clients"))
    assert found.status == "done"
    assert found.results[0].id is not None
    return found.results[0].id


def answers(*given: httpx.Response) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """Return a transport that answers so, one after the other, and the requests that it got."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return given[len(asked) - 1]

    return httpx.MockTransport(answer), asked


def test_messages_are_discovered_classified_parsed_and_judged(service: Client, spec_id: str) -> None:
    """What comes over the client is what the library says, as JSON and as Arrow."""
    here = Parser(service.specification(spec_id))
    assert service.parse(spec_id, MESSAGES[:3]).messages == [here.parse(each).to_dict() for each in MESSAGES[:3]]
    assert service.parse(spec_id, BATCH).messages == service.parse(spec_id, MESSAGES).messages
    assert service.parse_table(spec_id, BATCH).equals(here.parse_batch(BATCH).to_arrow())
    for sent in (MESSAGES, BATCH):
        assert service.validate(spec_id, sent, level="strict").valid == len(MESSAGES)
    damaged = [MESSAGES[0], MESSAGES[1][:3]]
    for sent in (damaged, MessageBatch.from_payloads(damaged)):
        told = [each.model_dump() for each in service.validate(spec_id, sent).messages]
        assert service.validate_table(spec_id, sent).to_pylist() == told
        assert [each["valid"] for each in told] == [True, False]
    assert service.classify(MESSAGES) == service.classify(BATCH)
    assert service.classify_each(BATCH).num_rows == len(MESSAGES)


def test_capture_files_are_discovered(service: Client, example_captures: Path) -> None:
    """A path and the bytes of a file are the same capture."""
    path = example_captures / "plant.pcapng"
    found = [service.discover(each).results[0].digest for each in (path, path.read_bytes())]
    assert found[0] == found[1]


def test_known_protocols_are_listed_compared_exported_and_deleted(service: Client, spec_id: str) -> None:
    """Pages are followed; exports are text; what was deleted is missed by name."""
    assert [each.id for each in service.protocols(protocol="clients")] == [spec_id]
    assert {each.id for each in service.protocols()} > {spec_id}
    assert {each.version for each in service.versions(spec_id).versions} == {1}
    assert service.diff(spec_id, "v1").changes == []
    assert all(service.export(f"{spec_id}@v1", form) for form in FORMATS)  # type: ignore[arg-type]
    other = service.discover([each + b"\x01\x02\x03" for each in MESSAGES], context=Context(protocol="passing"))
    gone = other.results[0].id or ""
    assert service.delete_protocol(gone).documents == 1
    with pytest.raises(MissingError) as caught:
        service.protocol(gone)
    assert (caught.value.status, caught.value.code) == (404, "not-found")
    assert caught.value.request_id


def test_events_are_followed_to_the_end_and_from_any_event_on(service: Client) -> None:
    """A discovery that is not waited for tells its stages; from an event on, only what came behind it."""
    started = service.start_discovery(MESSAGES[:90], wait=False)
    events = list(service.events(started.id))
    assert (events[0].name, events[-1].name) == ("begin", "end")
    again = list(service.events(started.id, events[0].id))
    assert again[-1] == events[-1]
    assert "begin" not in [event.name for event in again]
    assert service.wait(started.id).status == "done"
    assert started.id in [each.id for each in service.discoveries(status="done")]
    assert service.cancel(started.id).status == "done"


def test_streams_are_fed_read_and_erased(service: Client) -> None:
    """A batch under its key counts once, and is gone when it is erased."""
    first, again = (service.append("client-7", BATCH, "batch/1") for _ in range(2))
    assert (first.messages, again.messages) == (len(MESSAGES), 0)
    assert service.stream_digest("client-7").messages == len(MESSAGES)
    assert service.stream_statistics("client-7").num_rows > 0
    assert "client-7" in [each.name for each in service.streams().streams]
    assert service.stream_versions("client-7").versions == []
    assert service.stream_events("client-7").events == []
    assert service.retain("client-7", 30).days == 30
    assert service.erase_stream("client-7").messages == len(MESSAGES)


def test_errors_have_names(service: Client, spec_id: str) -> None:
    """What the service refuses is an error of its kind, with the problem; no service is another one."""
    with pytest.raises(RefusedError, match=r"query.after: not a cursor .* \[400 cursor, request "):
        service.send(calls.protocols_page(after="nonsense"))
    service.start_discovery(MESSAGES, key="client-key")
    with pytest.raises(ConflictError):
        service.start_discovery(MESSAGES[:50], key="client-key")
    with pytest.raises(MissingError):
        list(service.events("nothing"))
    with Client("http://127.0.0.1:9") as nowhere, pytest.raises(UnreachableError, match="does the service run there"):
        nowhere.streams()


def test_it_asks_again_only_where_the_service_says_when() -> None:
    """A 429 or 503 with Retry-After is waited for within the client's patience; nothing else is sent twice."""
    busy = [httpx.Response(status, headers={"Retry-After": "0"}) for status in (429, 503)]
    transport, asked = answers(*busy, httpx.Response(200, json={"streams": []}))
    with Client("http://service", transport=transport) as client:
        assert client.streams().streams == []
    assert len(asked) == 3
    for given, kind in (
        (httpx.Response(503), BusyError),
        (httpx.Response(429, headers={"Retry-After": "60"}), BusyError),
    ):
        transport, asked = answers(given)
        with Client("http://service", transport=transport, patience_s=5) as client, pytest.raises(kind):
            client.streams()
        assert len(asked) == 1


def test_a_discovery_that_is_sent_again_has_its_key() -> None:
    """Each attempt of one call carries the same key, another call another one: none is started twice."""
    refused = httpx.Response(503, headers={"Retry-After": "0"})
    transport, asked = answers(refused, httpx.Response(500), httpx.Response(500))
    with Client("http://service", transport=transport) as client:
        for _ in range(2):
            with pytest.raises(Exception, match="HTTP 500 without a problem"):
                client.start_discovery(MESSAGES)
    keys = [request.headers["Idempotency-Key"] for request in asked]
    assert keys[0] == keys[1] != keys[2]


def test_the_same_works_on_asyncio(service_address: str, spec_id: str) -> None:
    """Answers, pages, events and errors are those of the other client."""

    async def use() -> None:
        async with AsyncClient(service_address, token="secret") as client:
            assert (await client.parse(spec_id, MESSAGES)).protocol == spec_id
            assert spec_id in [each.id async for each in client.protocols()]
            started = await client.start_discovery(MESSAGES[:80], wait=False)
            assert [event.name async for event in client.events(started.id)][-1] == "end"
            assert (await client.discover(MESSAGES[:70])).status == "done"
            with pytest.raises(MissingError):
                await client.protocol("nothing")

    asyncio.run(use())


def public(kind: type) -> dict[str, Callable[..., object]]:
    """Return the methods of a class that are for its users."""
    return {name: each for name, each in vars(kind).items() if inspect.isfunction(each) and name[0] != "_"}


def test_both_clients_have_the_same_methods() -> None:
    """Names and parameters are the same, and each operation is a method."""
    one, other = public(Client), public(AsyncClient)
    assert one.keys() == other.keys()
    for name in one:
        assert inspect.signature(one[name]).parameters == inspect.signature(other[name]).parameters, name
    made = {name for name, each in vars(calls).items() if inspect.isfunction(each) and name[0] != "_"}
    assert made - one.keys() <= {"arrow_stream", "discovery_events", "quote", "dataclass", "field", "b64encode"}


def test_every_operation_has_a_method(service_address: str) -> None:
    """What the OpenAPI document names, but for aliases, probes and metrics, the client can ask for."""
    document = httpx.get(f"{service_address}/openapi.json").json()
    known = re.findall(r'"(GET|POST|PUT|DELETE|PATCH) (/[^"]+)"', inspect.getsource(calls))
    shapes = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in known}
    asked = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in document["paths"].items() for method in operations if not UNTOLD.match(path)
    }  # fmt: skip
    assert asked <= shapes, asked - shapes


def test_the_client_brings_neither_ray_nor_a_server() -> None:
    """Importing it loads httpx alone of what the service stands on."""
    wanted = "('ray', 'fastapi', 'sqlalchemy')"
    code = f"import sys; from qbitel import Client; print([m for m in {wanted} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
