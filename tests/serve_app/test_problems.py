"""Whatever is wrong with a request, the answer is a problem of RFC 9457 with the request's id."""

from __future__ import annotations

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
BAD = {
    "no such path": ("GET", "/nothing", b"", {}, 404),
    "wrong method": ("PUT", "/v1/parse", b"", {}, 405),
    "no media type": ("POST", "/v1/discoveries", b"x", {}, 415),
    "no JSON": ("POST", "/v1/discoveries", b'{"messages": [', JSON, 400),
    "wrong base64": ("POST", "/v1/discoveries", b'{"messages": ["AAA=", "A*=="]}', JSON, 400),
    "base64 that is not ASCII": ("POST", "/v1/discoveries", '{"messages": ["é"]}'.encode(), JSON, 400),
    "no messages": ("POST", "/v1/discoveries", b'{"messages": []}', JSON, 422),
    "unknown attribute": ("POST", "/v1/parse", b'{"protocol": "x", "messages": ["AA=="], "z": 1}', JSON, 422),
    "no Arrow stream": ("POST", "/v1/parse?protocol=x", b"garbage", ARROW, 404),
    "Arrow stream that is none": ("POST", "/v1/discoveries", b"garbage", ARROW, 400),
    "Arrow body without protocol": ("POST", "/v1/validate", b"garbage", ARROW, 422),
    "compressed as a whole": ("POST", "/v1/parse", b"x", {**JSON, "Content-Encoding": "gzip"}, 415),
    "malformed rule": (
        "POST",
        "/v1/validate",
        b'{"protocol": "x", "messages": ["AA=="], "rules": [{"field": "f", "op": "~", "value": 1}]}',
        JSON,
        422,
    ),
    "query out of range": ("GET", "/v1/protocols?limit=0", b"", {}, 422),
    "hostile context": (
        "POST",
        "/v1/discoveries",
        b'{"messages": ["AA=="], "context": {"protocol": "a b"}}',
        JSON,
        422,
    ),
    "unknown protocol": ("GET", "/v1/protocols/nothing", b"", {}, 404),
    "body over the limit": ("POST", "/v1/parse", b" " * ((4 << 20) + 1), JSON, 413),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_request_is_a_problem(client: httpx.Client, name: str) -> None:
    """Each kind of bad request has its status, and a problem document with code, detail and request id."""
    method, path, body, headers, status = BAD[name]
    answer = client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:qbitel:problem:{problem['code']}"
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_body_without_stated_length_is_cut_off_at_the_limit(client: httpx.Client) -> None:
    """A chunked body over the limit is answered with 413 although it does not say how long it is."""
    chunks = (b" " * (1 << 20) for _ in range(6))
    answer = client.post("/v1/validate", content=chunks, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["code"] == "too-large"


def test_callers_request_id_is_kept(client: httpx.Client) -> None:
    """The id that a caller gives to a request comes back in the header and in the problem."""
    answer = client.get("/nothing", headers={"X-Request-Id": "from-the-caller"})
    assert answer.headers["x-request-id"] == "from-the-caller"
    assert answer.json()["request_id"] == "from-the-caller"
