"""Parsing, validating and exporting over real HTTP with what a discovery has found."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from qbitel import MessageBatch, MessageValidator, ProtocolSpec, read_capture

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


@pytest.mark.parametrize("operation", [("/v1/parse", "post"), ("/v1/classify", "post"), ("/v1/validate", "post")])
def test_answers_in_arrow_are_described(client: httpx.Client, operation: tuple[str, str]) -> None:
    """OpenAPI names both media types that a client may be answered with."""
    path, method = operation
    described = client.get("/openapi.json").json()["paths"][path][method]["responses"]["200"]["content"]
    assert set(described) == {"application/json", ARROW}


def test_arrow_bodies_take_the_columns_of_tables(client: httpx.Client, spec_id: str, payloads: list[bytes]) -> None:
    """Direction and addresses as text, times of any Arrow type, nulls and foreign columns are read as in files."""
    n = len(payloads)
    table = pa.table({
        "payload": payloads, "ts": pa.array([1_760_000_000_000_000 + i for i in range(n)], pa.timestamp("us")),
        "direction": ["c2s", None] * (n // 2), "src": ["192.0.2.7"] * n, "dst": [None] * n, "sport": [40000] * n,
        "stream": [i // 5 for i in range(n)], "notes": [{"a": 1}] * n,
    })  # fmt: skip
    headers, asked_for = {"Content-Type": ARROW}, {"protocol": spec_id, "level": "strict"}
    answer = client.post("/v1/validate", params=asked_for, content=stream_of(table), headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["messages"]) == n
    started = client.post("/v1/discoveries", content=stream_of(table), headers=headers)
    assert started.status_code in (200, 202), started.text


def stream_of(table: pa.Table, compression: str | None = None) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("path", ["/v1/parse", "/v1/validate", "/v1/discoveries"])
def test_arrow_body_that_would_expand_beyond_the_limit_is_refused(
    client: httpx.Client, spec_id: str, path: str
) -> None:
    """A body of kilobytes whose buffers expand to a gigabyte is answered with 413 before they do."""
    zeros = pa.py_buffer(bytes(1 << 24))
    offsets = pa.py_buffer(np.arange(2, dtype=np.int64) * (1 << 24))
    batch = pa.record_batch([pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, zeros])], ["payload"])
    body = stream_of(pa.Table.from_batches([batch] * 64), "zstd")
    assert len(body) < 1 << 17
    answer = client.post(path, params={"protocol": spec_id}, content=body, headers={"Content-Type": ARROW})
    assert (answer.status_code, answer.json()["code"]) == (413, "limit"), answer.text


def test_arrow_body_that_is_cut_is_refused(client: httpx.Client, spec_id: str, payloads: list[bytes]) -> None:
    """Of a stream that ends early nothing is used: the client would take the answer for all of it."""
    table = pa.concat_tables([pa.table({"payload": payloads})] * 3)
    body = stream_of(table)[:-300]
    answer = client.post("/v1/parse", params={"protocol": spec_id}, content=body, headers={"Content-Type": ARROW})
    assert answer.status_code == 400 and "damaged after" in answer.json()["detail"]


def test_custom_rules_judge_over_http(client: httpx.Client, spec_id: str, payloads: list[bytes]) -> None:
    """Rules in a JSON body, or beside an Arrow body, give violations by their name; a malformed one is a 422."""
    rule = {"name": "versions", "field": "f2", "op": "in", "value": [7], "message": "only version 7 is deployed"}
    sent = asked(spec_id, payloads[:3], level="basic", rules=[rule])
    by_json = client.post("/v1/validate", json=sent)
    assert by_json.status_code == 200, by_json.text
    assert {v["rule"] for m in by_json.json()["messages"] for v in m["violations"]} == {"versions"}
    body = stream_of(pa.table({"payload": payloads[:3]}))
    query = {"protocol": spec_id, "level": "basic", "rules": json.dumps([rule])}
    by_arrow = client.post("/v1/validate", params=query, content=body, headers={"Content-Type": ARROW})
    assert by_arrow.json() == by_json.json()
    unknown = asked(spec_id, payloads[:1], rules=[{**rule, "field": "no_such_field"}])
    refused = client.post("/v1/validate", json=unknown)
    assert (refused.status_code, refused.json()["code"]) == (422, "rule")


def test_a_validation_of_many_messages_is_that_of_one_batch(
    client: httpx.Client, spec_id: str, example_captures: Path
) -> None:
    """The service judges large requests in parts; rows and verdicts are those of the library."""
    batch = read_capture(example_captures / "plant.pcapng").groups[0].batch
    many = MessageBatch.concatenate([batch] * 6).payloads()
    found = client.post("/v1/validate", json=asked(spec_id, many, level="strict")).json()["messages"]
    assert [verdict["row"] for verdict in found] == list(range(len(many)))
    spec = ProtocolSpec.from_bytes(json.dumps(client.get(f"/v1/protocols/{spec_id}").json()["spec"]))
    expected = MessageValidator(spec, "strict").validate_batch(MessageBatch.from_payloads(many))
    assert [verdict["valid"] for verdict in found] == expected.valid.tolist()


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
