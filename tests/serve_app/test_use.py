"""Parsing, validating and exporting over real HTTP with what a discovery has found."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from qbitel import MessageBatch, read_capture

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def payloads(example_captures: Path) -> list[bytes]:
    """Return the first messages of the example capture."""
    return read_capture(example_captures / "plant.pcapng").groups[0].batch.slice(0, 50).payloads()


@pytest.fixture(scope="module")
def spec_id(discovered: dict[str, Any]) -> str:
    """Return the id of the specification found in the example capture."""
    return str(discovered["results"][0]["id"])


def asked(spec_id: str, payloads: list[bytes], **more: object) -> dict[str, object]:
    """Return the JSON body of a request to parse or validate."""
    return {"protocol": spec_id, "messages": [base64.b64encode(p).decode() for p in payloads], **more}


def test_parsed_trees_cover_every_message_in_order(client: httpx.Client, spec_id: str, payloads: list[bytes]) -> None:
    """Each message comes back as a tree, in the order sent."""
    answer = client.post("/v1/parse", json=asked(spec_id, payloads))
    assert answer.status_code == 200, answer.text
    trees = answer.json()["messages"]
    assert len(trees) == len(payloads)
    assert all(tree["error"] is None for tree in trees)


def test_arrow_in_arrow_out_has_one_row_a_message(client: httpx.Client, spec_id: str, payloads: list[bytes]) -> None:
    """An Arrow stream in gives Arrow columns out where the client accepts them."""
    sink = pa.BufferOutputStream()
    table = MessageBatch.from_payloads(payloads).to_arrow()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    answer = client.post(
        "/v1/parse",
        params={"protocol": spec_id},
        content=bytes(sink.getvalue()),
        headers={"Content-Type": ARROW, "Accept": ARROW},
    )
    assert answer.headers["content-type"] == ARROW, answer.text
    assert pa.ipc.open_stream(answer.content).read_all().num_rows == len(payloads)


def test_damaged_message_is_judged_invalid(client: httpx.Client, spec_id: str, payloads: list[bytes]) -> None:
    """A message that is cut in the middle is invalid, with rule, bytes and reason; its neighbours stay valid."""
    sent = [payloads[0], payloads[1][: len(payloads[1]) // 2], payloads[2]]
    answer = client.post("/v1/validate", json=asked(spec_id, sent, level="standard"))
    assert answer.status_code == 200, answer.text
    verdicts = answer.json()["messages"]
    assert [verdict["valid"] for verdict in verdicts] == [True, False, True]
    assert all(v["rule"] and v["reason"] for v in verdicts[1]["violations"])


def test_specification_is_listed_and_exported(client: httpx.Client, spec_id: str) -> None:
    """A specification is in the list, has an address, and its exports are plain text that no browser will run."""
    assert spec_id in [each["id"] for each in client.get("/v1/protocols").json()["protocols"]]
    found = client.get(f"/v1/protocols/{spec_id}").json()
    assert found["spec"]["types"]
    for name, address in found["links"].items():
        if name.startswith("export:"):
            exported = client.get(address)
            assert exported.status_code == 200
            assert exported.headers["x-content-type-options"] == "nosniff"
    assert "Proto(" in client.get(found["links"]["export:wireshark"]).text


@pytest.mark.parametrize("path", ["/v1/parse", "/v1/validate"])
def test_unknown_protocol_is_a_problem(client: httpx.Client, path: str) -> None:
    """Messages for a protocol that is not known are answered with a 404 problem."""
    answer = client.post(path, json=asked("nothing", [b"x"]))
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
