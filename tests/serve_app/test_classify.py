"""Classification over real HTTP: the known is named, the unknown keeps its name, and each message has a row."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pyarrow as pa

from qbitel import MessageBatch
from qbitel.discovery.classifier import ProtocolClassifier
from qbitel.train.simulator import simulate

ARROW = "application/vnd.apache.arrow.stream"
MODBUS = [bytes([0, n, 0, 0, 0, 6, 1, 3, 0, n, 0, 2]) for n in range(24)]


def asked(payloads: list[bytes], **more: object) -> dict[str, object]:
    """Return the JSON body of a request."""
    return {"messages": [base64.b64encode(payload).decode() for payload in payloads], **more}


def unknown_half(client: httpx.Client, half: int) -> dict[str, Any]:
    """Classify one half of the messages of a protocol that nobody knows."""
    found: dict[str, Any] = client.post("/v1/classify", json=asked(simulate(11).batch().payloads()[half::2])).json()
    return found


def test_a_known_protocol_is_named_as_the_library_names_it(client: httpx.Client) -> None:
    """Protocol, probabilities and reasons over HTTP are those of the class."""
    answer = client.post("/v1/classify", json=asked(MODBUS, top=2, reasons=2))
    assert answer.status_code == 200, answer.text
    expected = ProtocolClassifier.load().classify(MessageBatch.from_payloads(MODBUS), top=2, reasons=2)
    assert answer.json() == expected.model_dump(mode="json")
    assert expected.protocol == "modbus"


def test_an_unknown_protocol_keeps_its_name_from_request_to_request(client: httpx.Client) -> None:
    """Other messages of the same protocol get the name that the first ones got."""
    first, second = unknown_half(client, 0), unknown_half(client, 1)
    assert first["protocol"] is None
    assert first["cluster"] == second["cluster"]
    assert first["cluster"].startswith("unknown-")


def test_arrow_in_arrow_out_judges_every_message_alone(client: httpx.Client) -> None:
    """An Arrow stream gives one row a message, the same as the class gives, directions read."""
    batch = MessageBatch.from_payloads(MODBUS, direction=[1] * len(MODBUS))
    table, sink = batch.to_arrow(), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    answer = client.post(
        "/v1/classify", content=bytes(sink.getvalue()), headers={"Content-Type": ARROW, "Accept": ARROW}
    )
    assert answer.headers["content-type"] == ARROW, answer.text
    told = pa.ipc.open_stream(answer.content).read_all()
    assert told.to_pylist() == ProtocolClassifier.load().classify_each(batch).to_pylist()


def test_nothing_to_classify_is_a_problem(client: httpx.Client) -> None:
    """No messages, too many candidates, or no base64 are answered with what is wrong."""
    for body, status in ((asked([]), 422), (asked(MODBUS, top=99), 422), ({"messages": ["?"]}, 400)):
        answer = client.post("/v1/classify", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
