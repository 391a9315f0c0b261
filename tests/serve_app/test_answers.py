"""Answers that are given again, over HTTP."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx

MESSAGES = [base64.b64encode(bytes([1, n, 0, 7]) * 8).decode() for n in range(40)]


def status(answer: httpx.Response) -> str:
    """Return what the cache did."""
    assert answer.status_code == 200, answer.text
    return answer.headers["cache-status"]


def test_the_same_question_is_answered_from_memory(client: httpx.Client) -> None:
    """Byte for byte, and only where all of the request is the same."""
    body = {"messages": MESSAGES[:1]}
    first, again = client.post("/v1/classify", json=body), client.post("/v1/classify", json=body)
    assert status(again) == "qbitel; hit; detail=memory" and again.content == first.content
    assert "hit" not in status(client.post("/v1/classify", json={**body, "top": 2}))
    assert status(client.post("/v1/classify", json=body, headers={"Cache-Control": "no-cache"})) == "qbitel; fwd=bypass"


def test_the_last_message_counts(client: httpx.Client) -> None:
    """A request that differs in its last byte is another one."""
    client.post("/v1/classify", json={"messages": MESSAGES})
    other = [*MESSAGES[:-1], base64.b64encode(b"\x01\x27\x00\x08" * 8).decode()]
    assert "hit" not in status(client.post("/v1/classify", json={"messages": other}))


def test_a_discovery_is_not_run_twice(client: httpx.Client) -> None:
    """The same messages again are answered with the discovery that was made; a wish for its own is heard."""
    body: dict[str, Any] = {"messages": MESSAGES}
    first = client.post("/v1/discoveries", json=body)
    while first.status_code == 202:
        first = client.post("/v1/discoveries", json=body)
    again = client.post("/v1/discoveries", json=body)
    assert "hit" in status(again) and again.json() == client.get(again.headers["location"]).json()
    own = client.post("/v1/discoveries", json=body, headers={"Idempotency-Key": "of its own"})
    assert "cache-status" not in own.headers and own.json()["id"] != again.json()["id"]


def test_several_that_ask_at_a_time_have_one_answer_made(service_address: str) -> None:
    """Of identical requests in flight one is worked on; the others wait for it."""
    body = {"messages": [base64.b64encode(bytes([n, n, 3, 1]) * 99).decode() for n in range(200)], "reasons": 5}

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=service_address, timeout=120) as client:
            return await asyncio.gather(*(client.post("/v1/classify", json=body) for _ in range(6)))

    found = asyncio.run(ask())
    assert sum(status(each) == "qbitel; fwd=miss; stored" for each in found) == 1
    assert len({each.content for each in found}) == 1


def test_what_was_found_anew_is_not_answered_as_it_was(client: httpx.Client) -> None:
    """A discovery that gives a specification a newer document takes the answers that tell of the older one away."""
    some = [base64.b64encode(b"\xa7\x02" + bytes([n, n % 3]) + b"word" * (1 + n % 3)).decode() for n in range(90)]
    first = client.post("/v1/discoveries", json={"messages": some[:60]})
    assert "hit" in status(client.post("/v1/discoveries", json={"messages": some[:60]}))
    newer = client.post("/v1/discoveries", json={"messages": some})
    found, changed = first.json()["results"][0], newer.json()["results"][0]
    assert found["id"] == changed["id"] and found["digest"] != changed["digest"]
    assert "hit" not in status(client.post("/v1/discoveries", json={"messages": some[:60]}))
