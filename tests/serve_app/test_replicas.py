"""Processes that answer HTTP keep nothing of their own: they are killed in the middle, and no answer changes."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("ray")

from qbitel.cluster.ray_start import free_port, ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app import running_service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
MANY = [bytes([n % 251, n // 251 % 251, n * 7 % 256]) * 8 + bytes([n % 5]) * (n % 40) for n in range(30000)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a service with two gateways."""
    folder = tmp_path_factory.mktemp("replicas")
    settings = ServiceSettings(
        port=free_port(), data_dir=folder, gateways=2, heartbeat_timeout_s=6, log_dir=folder / "logs"
    )
    with ray_cluster(ServiceSettings(ray_cpus=4)), running_service(settings) as running:
        yield running


class Patient:
    """A client that asks again where a connection or a replica is lost, as clients of a service do."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=60)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Return an answer that is none of a replica's loss."""
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = self._client.request(method, path, **more)
                if answer.status_code < 500:
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)


def gateways() -> list[int]:
    """Return the process ids of the gateways."""
    from ray._private.state import actors

    alive = [each for each in actors().values() if each["State"] == "ALIVE"]
    return [each["Pid"] for each in alive if "Gateway" in each["Name"]]


def events_from(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the whole events of what may be the beginning of a stream of them."""
    blocks = [block.split("\n") for block in text.split("\n\n")[:-1]]
    fields = [dict(line.split(": ", 1) for line in block if ": " in line and line[0] != ":") for block in blocks]
    return [(each["event"], json.loads(each["data"])) for each in fields if "event" in each]


def test_a_job_and_its_events_outlive_every_gateway(address: str) -> None:
    """Both gateways are killed while a discovery runs: its events, read on, and its result are those of a quiet run."""
    client = Patient(address)
    body = {"messages": [base64.b64encode(message).decode() for message in MANY]}
    asked = {"json": body, "headers": {"Prefer": "respond-async", "Idempotency-Key": "replicas-1"}}
    started = client.ask("POST", "/v1/discoveries", **asked)
    place, killed, told = started.headers["Location"], set[int](), list[tuple[str, dict[str, Any]]]()
    deadline = time.monotonic() + 300
    while ("end", {"status": "done", "problem": None}) not in told:
        assert time.monotonic() < deadline, told
        told += _events_until_cut(address, place, killed)
    assert len(killed) == 2
    results = {(data["protocol"], data["digest"]) for name, data in told if name == "result"}
    found = client.ask("GET", place).json()
    assert (found["status"], found["attempts"]) == ("done", 1), found["problem"]
    assert {(each["protocol"], each["digest"]) for each in found["results"]} == results
    assert len(found["results"]) == 1
    again = client.ask("POST", "/v1/discoveries", **asked)
    assert again.headers["Location"] == place, "the same key is the same discovery, whoever is asked"


def _events_until_cut(address: str, place: str, killed: set[int]) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of one connection, as far as it goes; on its first event all gateways are killed, once."""
    text = ""
    try:
        with httpx.Client(base_url=address, timeout=20) as client, client.stream("GET", f"{place}/events") as events:
            for chunk in events.iter_text():
                text += chunk
                if not killed:
                    killed.update(gateways())
                    for process in killed:
                        os.kill(process, signal.SIGKILL)
    except httpx.TransportError:
        time.sleep(0.5)
    return events_from(text)


def test_pages_of_a_list_go_on_from_any_gateway(address: str) -> None:
    """A list that was begun is gone on with after every gateway was killed: it is the list as it would have been."""
    client = Patient(address)
    for number in range(3):
        messages = [bytes([0xA0 + number, n]) + bytes([n % 5]) * (3 + number) for n in range(40)]
        body = {"messages": [base64.b64encode(message).decode() for message in messages]}
        client.ask("POST", "/v1/discoveries", json={**body, "context": {"protocol": f"toy{number}"}})
    whole = client.ask("GET", "/v1/protocols", params={"limit": 100}).json()["protocols"]
    assert len(whole) >= 3
    page = client.ask("GET", "/v1/protocols", params={"limit": 1}).json()
    for process in gateways():
        os.kill(process, signal.SIGKILL)
    paged = page["protocols"]
    while page["next"] is not None:
        page = client.ask("GET", "/v1/protocols", params={"limit": 1, "after": page["next"]}).json()
        paged += page["protocols"]
    assert paged == whole
