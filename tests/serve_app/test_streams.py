"""Streams over real HTTP: messages in once, statistics and specifications out, erased for good."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from qbitel import read_capture

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
LINES = {"Content-Type": "application/x-ndjson"}
PCAP = {"Content-Type": "application/vnd.tcpdump.pcap"}


def arrow(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_stream_is_fed_read_discovered_and_erased(client: httpx.Client, example_captures: Path) -> None:
    """A batch counts once under its key; digest, statistics, versions and events follow; erasing leaves nothing."""
    batch = read_capture(example_captures / "dns.pcap").groups[0].batch
    body = arrow(pa.table({"payload": batch.payloads(), "ts": batch.view().ts}))
    sent = [
        client.post("/v1/streams/dns-1/messages", content=body, headers={**ARROW, "Idempotency-Key": "one"})
        for _ in range(2)
    ]
    assert [each.status_code for each in sent] == [200, 200], sent[0].text
    assert [(each.json()["messages"], each.json()["known"]) for each in sent] == [(600, 0), (0, 600)]
    other = arrow(pa.table({"payload": [b"something else"]}))
    refused = client.post("/v1/streams/dns-1/messages", content=other, headers={**ARROW, "Idempotency-Key": "one"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    digest = client.get("/v1/streams/dns-1/digest").json()
    assert digest["messages"] == 600
    whole = client.get("/v1/streams/dns-1/digest", params={"window": "1000d"}).json()
    assert whole["digest"] == digest["digest"]
    found = client.get("/v1/streams/dns-1/statistics").json()
    assert found["messages"] == found["offsets"][0]["reached"] == 600
    columns = client.get("/v1/streams/dns-1/statistics", headers={"Accept": ARROW["Content-Type"]})
    table = pa.ipc.open_stream(columns.content).read_all()
    assert sum(table.column("histogram")[0].as_py()) == 600
    started = client.post("/v1/streams/dns-1/discover")
    assert started.status_code in (200, 202), started.text
    if started.status_code == 202:
        with client.stream("GET", f"{started.headers['Location']}/events") as events:
            events.read()
    result = client.get(started.headers["Location"]).json()
    assert result["status"] == "done", result["problem"]
    (version,) = client.get("/v1/streams/dns-1/specs").json()["versions"]
    assert version["id"] == result["results"][0]["id"]
    assert client.get(version["links"]["protocol"]).status_code == 200
    assert client.get("/v1/streams/dns-1/events").json() == {"events": []}
    assert client.put("/v1/streams/dns-1/retention", json={"days": 30}).json() == {"days": 30}
    assert client.delete("/v1/streams/dns-1").json()["messages"] == 600
    assert client.get("/v1/streams/dns-1/specs").json() == {"versions": []}
    assert client.get("/v1/streams/dns-1/digest").json()["messages"] == 0


def test_lines_and_captures_are_taken(client: httpx.Client, example_captures: Path) -> None:
    """JSON lines and captures are batches too; a line that is no message refuses the body, whole."""
    url, key = "/v1/streams/mixed/messages", {"Idempotency-Key": "k"}
    lines = "\n".join(json.dumps({"payload": f"{number:04x}"}) for number in range(50))
    bad = client.post(url, content=lines + "\nno json\n", headers={**LINES, **key})
    assert bad.status_code == 400, bad.text
    good = client.post(url, content=lines, headers={**LINES, **key})
    assert good.json()["messages"] == 50, good.text
    content = (example_captures / "dns.pcap").read_bytes()
    capture = client.post(url, content=content, headers={**PCAP, "Idempotency-Key": "c"})
    assert capture.json()["messages"] == 600, capture.text


@pytest.mark.parametrize(
    ("path", "status"), [("nothing/digest", 404), ("mixed/digest?window=x", 400), ("-/specs", 422)]
)
def test_what_is_wrong_is_a_problem(client: httpx.Client, path: str, status: int) -> None:
    """No such stream, no window, no name."""
    answer = client.get(f"/v1/streams/{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    missing = client.post("/v1/streams/mixed/messages", content=b"", headers=ARROW)
    assert (missing.status_code, missing.json()["faults"][0]["where"]) == (422, "header.idempotency-key")
