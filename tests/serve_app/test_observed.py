"""What can be seen of the running service: health of its parts, metrics, spans and logs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from qbitel.cluster.observability.names import METRICS

SECRET = b"secret-payload-0123456789"


def asked(*payloads: bytes) -> dict[str, Any]:
    """Return the JSON body of a request."""
    return {"messages": [base64.b64encode(payload).decode() for payload in payloads]}


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what a look gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_every_part_of_the_running_service_is_ok(client: httpx.Client, discovered: dict[str, Any]) -> None:
    """Live, started, ready; and each part with its version, its latency and the age of the look."""
    told = client.get("/health/discovery").json()
    assert told["status"] == "ok", told
    assert [client.get(path).json()["status"] for path in ("/healthz", "/startupz", "/readyz")] == ["ok"] * 3
    assert set(told["components"]) >= {"catalog", "storage", "ray", "workers", "classifier"}
    for part in told["components"].values():
        assert (part["status"], bool(part["version"])) == ("ok", True)
        assert 0 < part["latency_s"] < 5
        assert 0 <= part["age_s"] < 5
    assert told["components"]["catalog"]["breaker"] == "closed"


def test_metrics_of_all_processes_come_out_on_one_scrape(client: httpx.Client, discovered: dict[str, Any]) -> None:
    """What gateway and worker count is on ``/metrics``, and nothing that docs/metrics.md does not name."""
    client.post("/v1/classify", json=asked(b"\0\1\0\0\0\6\1\3\0\7\0\2"))
    wanted = {
        "qbitel_http_requests_total", "qbitel_http_request_seconds", "qbitel_jobs_total", "qbitel_stage_seconds",
        "qbitel_messages_total", "qbitel_classify_confidence", "qbitel_model_info", "qbitel_dependency_seconds",
        "qbitel_cpu_seconds_total", "qbitel_cost_total", "qbitel_process_memory_bytes", "qbitel_component_up",
    }  # fmt: skip

    def families() -> dict[str, str]:
        lines = client.get("/metrics").text.splitlines()
        return {line.split()[2].removeprefix("ray_"): line.split()[3] for line in lines if line.startswith("# TYPE")}

    told = until(lambda: found if wanted <= set(found := families()) else None)
    ours = {name: kind for name, kind in told.items() if not name.startswith("qbitel_test_")}  # other tests' own
    assert {name: METRICS[name].kind for name in ours} == ours
    samples = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    assert any('role="worker"' in line for line in samples)
    assert any('route="/v1/discoveries"' in line and 'status="2xx"' in line for line in samples)
    routes = {line.split('route="')[1].split('"')[0] for line in samples if 'route="' in line}
    assert all(len(part) < 20 for route in routes for part in route.split("/")), "an id is no label"


def test_a_request_is_one_trace_from_ingress_to_the_stages(client: httpx.Client, collector: Any) -> None:
    """The caller's trace goes through gateway, handle, worker and job; every span is below the one that caused it."""
    trace, caller = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
    headers = {"traceparent": f"00-{trace}-{caller}-01"}
    body = asked(*(b"\xa5" + bytes([n, n % 7]) + b"x" * (n % 7) for n in range(60)))
    answer = client.post("/v1/discoveries", json=body, headers=headers)
    assert answer.status_code in (200, 202)

    def whole() -> dict[str, Span] | None:
        found = [each for each in collector.spans() if each.trace_id.hex() == trace]
        names = {each.name for each in found}
        done = {"POST /v1/discoveries", "job", "discovery"} <= names and len(found) >= 8
        return {each.span_id.hex(): each for each in found} if done else None

    spans = until(whole)

    def path(span: Span) -> list[str]:
        above = spans.get(span.parent_span_id.hex())
        return [*(path(above) if above else [span.parent_span_id.hex()]), span.name]

    paths = [path(each) for each in spans.values()]
    hops = [caller, "POST /v1/discoveries", "DiscoveryWorker.run", "DiscoveryWorker.run", "job", "discovery"]
    assert hops in paths
    stages = [each[-1] for each in paths if each[:-1] == hops]
    assert {"statistics", "grammar"} <= set(stages), paths
    services = {collector.service(each.span_id) for each in spans.values()}
    assert services == {"qbitel-gateway", "qbitel-worker"}
    server = next(each for each in spans.values() if each.name == "POST /v1/discoveries")
    told = {each.key: each.value for each in server.attributes}
    assert told["http.response.status_code"].int_value == answer.status_code
    assert told["qbitel.request_id"].string_value == answer.headers["x-request-id"]


def test_logs_have_the_ids_and_never_the_payload(client: httpx.Client, service_data: Path) -> None:
    """A request is a line of JSON with the ids of request and trace; nowhere in the folder is what was sent."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "logged-1", "traceparent": f"00-{trace}-b7ad6b7169203331-00"}
    client.post("/v1/classify", json=asked(SECRET), headers=headers)
    client.post("/v1/parse", json={"protocol": "nothing", **asked(SECRET)}, headers=headers)

    def lines() -> list[dict[str, Any]]:
        files = list((service_data / "logs").glob("*.jsonl"))
        told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in told if line.get("request_id") == "logged-1"]

    found = until(lambda: each if len(each := lines()) >= 2 else None)
    assert {(line["route"], line["status"]) for line in found} == {("/v1/classify", 200), ("/v1/parse", 404)}
    assert all((line["trace_id"], line["role"], line["logger"]) == (trace, "gateway", "qbitel.http") for line in found)
    whole = "".join(file.read_text() for file in (service_data / "logs").iterdir())
    assert SECRET.decode() not in whole
    assert base64.b64encode(SECRET).decode() not in whole


@pytest.mark.parametrize("path", ["/metrics", "/health/discovery"])
def test_pages_for_operators_are_described(client: httpx.Client, path: str) -> None:
    """OpenAPI knows them."""
    assert client.get("/openapi.json").json()["paths"][path]["get"]["description"]
