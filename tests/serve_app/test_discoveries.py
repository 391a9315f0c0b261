"""Discoveries over real HTTP against the running service."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from qbitel import MessageBatch, discover
from qbitel.discovery.spec import ProtocolSpec
from qbitel.discovery.stages import STAGES

MESSAGES = [b"\xa5\x01" + bytes([n, 2 + n % 5]) + b"x" * (2 + n % 5) for n in range(120)]


def encoded(messages: list[bytes]) -> list[str]:
    """Return messages as JSON carries them."""
    return [base64.b64encode(message).decode() for message in messages]


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the (event, data) pairs of a stream of server-sent events."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n") if block.startswith("id: ")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for _, name, data in blocks]


def wait_for(client: httpx.Client, address: str, seconds: float = 120) -> dict[str, Any]:
    """Ask until the discovery has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(address).json()
        if found["status"] not in ("waiting", "running"):
            return found
        time.sleep(0.1)
    raise TimeoutError(address)


def test_capture_file_gives_a_specification_with_every_stage_timed(discovered: dict[str, Any]) -> None:
    """A capture sent as a file ends as done, with a specification and the seconds of every stage."""
    assert discovered["status"] == "done", discovered["problem"]
    (result,) = discovered["results"]
    assert result["protocol"] == "udp_20547"
    assert [stage["name"] for stage in result["stages"]] == list(STAGES)
    assert all(stage["status"] == "ok" and stage["seconds"] >= 0 for stage in result["stages"])
    spec = ProtocolSpec.from_bytes(json.dumps(result["spec"]))
    assert spec.id == result["id"]
    assert spec.digest == result["digest"]


def test_service_and_library_find_the_same_specification(discovered: dict[str, Any], example_captures: Path) -> None:
    """What comes over HTTP is, byte for byte, what the library finds in the same capture."""
    here = discover(example_captures / "plant.pcapng")
    assert discovered["results"][0]["digest"] == here.digest


def test_messages_as_json_are_answered_inline(client: httpx.Client) -> None:
    """A few messages in JSON are answered with the result itself, under the name the context gives."""
    body = {"messages": encoded(MESSAGES), "context": {"protocol": "toy"}}
    answer = client.post("/v1/discoveries", json=body)
    assert answer.status_code in (200, 202)
    found = wait_for(client, answer.headers["Location"])
    assert found["results"][0]["protocol"] == "toy"
    again = client.post("/v1/discoveries", json=body)
    assert again.status_code == 200
    assert again.json()["results"][0]["id"] == found["results"][0]["id"]


def test_arrow_stream_gives_the_same_as_json(client: httpx.Client) -> None:
    """The same messages as an Arrow stream and as JSON have the same specification."""
    sink = pa.BufferOutputStream()
    table = MessageBatch.from_payloads(MESSAGES).to_arrow().select(["payload"])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    arrow = client.post("/v1/discoveries", content=bytes(sink.getvalue()), headers=headers)
    plain = client.post("/v1/discoveries", json={"messages": encoded(MESSAGES)})
    ids = [wait_for(client, answer.headers["Location"])["results"][0]["id"] for answer in (arrow, plain)]
    assert ids[0] == ids[1] is not None


def test_progress_comes_as_events_in_order(client: httpx.Client) -> None:
    """An asynchronous discovery answers 202, then its events tell the stages in order, the result, and one end."""
    headers = {"Prefer": "respond-async"}
    answer = client.post("/v1/discoveries", json={"messages": encoded(MESSAGES)}, headers=headers)
    assert answer.status_code == 202
    told = client.get(f"{answer.headers['Location']}/events")
    assert told.headers["content-type"].startswith("text/event-stream")
    events = events_of(told.text)
    ended = [data["name"] for name, data in events if name == "stage" and data["status"] == "ok"]
    assert [name for name in STAGES if name in ended] == list(dict.fromkeys(ended))
    assert [name for name, _ in events].count("result") == 1
    assert events[-1] == ("end", {"status": "done", "problem": None})


def test_same_idempotency_key_gives_the_same_discovery(client: httpx.Client) -> None:
    """A request that is sent again with its key makes no second discovery."""
    headers = {"Idempotency-Key": "test-key-1", "Prefer": "respond-async"}
    body = {"messages": encoded(MESSAGES)}
    first, second = (client.post("/v1/discoveries", json=body, headers=headers) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]


def test_idempotency_key_of_another_request_is_refused(client: httpx.Client) -> None:
    """The same key with other content is a conflict, not an answer to something else."""
    headers = {"Idempotency-Key": "test-key-2", "Prefer": "respond-async"}
    client.post("/v1/discoveries", json={"messages": encoded(MESSAGES)}, headers=headers)
    other = client.post("/v1/discoveries", json={"messages": encoded(MESSAGES[:3])}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_waiting_or_running_discovery_can_be_cancelled(client: httpx.Client) -> None:
    """A cancelled discovery ends as cancelled, with its events ended too; cancelling again changes nothing."""
    many = [bytes([n % 251, n // 251 % 251, n * 7 % 256]) * 8 + bytes([n % 5]) * (n % 40) for n in range(20000)]
    headers = {"Prefer": "respond-async"}
    answer = client.post("/v1/discoveries", json={"messages": encoded(many)}, headers=headers)
    address = answer.headers["Location"]
    assert client.delete(address).json()["status"] == "cancelled"
    assert client.delete(address).json()["status"] == "cancelled"
    assert events_of(client.get(f"{address}/events").text)[-1][1]["status"] == "cancelled"


def test_running_discovery_is_cancelled_at_once(client: httpx.Client) -> None:
    """The answer to DELETE says ``cancelled`` also where it ran, and it stays so."""
    many = [bytes([n % 251, n // 251 % 251, n * 7 % 256]) * 8 + bytes([n % 5]) * (n % 40) for n in range(20000)]
    answer = client.post("/v1/discoveries", json={"messages": encoded(many)}, headers={"Prefer": "respond-async"})
    address = answer.headers["Location"]
    with client.stream("GET", f"{address}/events") as events:
        next(line for line in events.iter_lines() if line == "event: begin")
    assert client.delete(address).json()["status"] == "cancelled"
    assert client.get(address).json()["status"] == "cancelled"


def test_pages_of_discoveries_hold_each_once(client: httpx.Client, discovered: dict[str, Any]) -> None:
    """Following ``next`` leads through all discoveries; a status chooses some; a wrong cursor is a problem."""
    for count in (60, 70, 80):
        client.post("/v1/discoveries", json={"messages": encoded(MESSAGES[:count])})
    found: list[str] = []
    after: dict[str, Any] = {}
    while after.get("after", "") is not None:
        page = client.get("/v1/discoveries", params={"limit": 2, "status": "done", **after}).json()
        found += [each["id"] for each in page["discoveries"]]
        after = {"after": page["next"]}
    assert len(found) == len(set(found)) >= 4
    assert discovered["id"] in found
    refused = client.get("/v1/discoveries", params={"after": "nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (400, "cursor")


def test_capture_with_wrong_magic_is_a_problem(client: httpx.Client) -> None:
    """A file that is no capture is answered with a 400 problem that says so."""
    answer = client.post("/v1/discoveries", files={"capture": ("x.pcap", b"\x00\x01\x02\x03 no capture")})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "input"
    assert answer.json()["detail"].startswith("x.pcap: ")


def test_random_bytes_claim_no_structure(client: httpx.Client) -> None:
    """Random bytes end as done, with a note that no structure was found."""
    import random

    rng = random.Random(5)
    noise = [rng.randbytes(rng.randrange(40, 60)) for _ in range(150)]
    answer = client.post("/v1/discoveries", json={"messages": encoded(noise)})
    found = wait_for(client, answer.headers["Location"])
    assert found["status"] == "done"
    assert any("no structure" in note for note in found["results"][0]["notes"])


@pytest.mark.parametrize("path", ["", "/events"])
def test_unknown_discovery_is_a_problem(client: httpx.Client, path: str) -> None:
    """Asking for a discovery that does not exist gives a 404 problem."""
    answer = client.get(f"/v1/discoveries/nothing{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not-found"


def test_known_bad_content_is_flagged_and_decides_nothing(client: httpx.Client) -> None:
    """A discovery whose messages hold a look-up for Log4j says so among its warnings, and is done as any other."""
    payloads = [b"\x01" + bytes([n]) + b"${" + b"jndi:ldap://x/}" for n in range(20)]
    body = {"messages": encoded(payloads)}
    found = client.post("/v1/discoveries", json=body).json()
    assert found["status"] == "done"
    assert [each for each in found["warnings"] if "log4shell" in each and "20 messages" in each], found["warnings"]
