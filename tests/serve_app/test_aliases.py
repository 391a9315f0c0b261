"""The paths of the system's plan answer as the operations that they name."""

from __future__ import annotations

import base64
from typing import Any

import httpx

MESSAGES = [base64.b64encode(b"\x33\x01" + bytes([n, 2 + n % 3]) + b"w" * (2 + n % 3)).decode() for n in range(80)]


def test_aliases_do_what_they_are_named_after(client: httpx.Client, discovered: dict[str, Any]) -> None:
    """Analyse, ask, classify, judge; grammar and parser of what was found."""
    plan, found = "/api/v1/discovery", discovered["results"][0]["id"]
    started = client.post(f"{plan}/analyze", json={"messages": MESSAGES}, headers={"Prefer": "respond-async"})
    assert started.status_code == 202
    assert client.get(f"{plan}/status/{started.json()['id']}").status_code == 200
    assert client.get(f"{plan}/status/{discovered['id']}").json() == discovered
    body = {"messages": MESSAGES[:5]}
    assert client.post(f"{plan}/classify", json=body).json() == client.post("/v1/classify", json=body).json()
    body = {"messages": MESSAGES[:5], "protocol": found}
    assert client.post(f"{plan}/validate", json=body).json() == client.post("/v1/validate", json=body).json()
    grammar = client.get(f"{plan}/grammar/{found}").json()
    assert (grammar["id"], bool(grammar["grammar"]["rules"])) == (found, True)
    assert client.get(f"{plan}/parser/{found}").text == client.get(f"/v1/protocols/{found}/exports/python").text
    assert client.get(f"{plan}/grammar/nothing").status_code == 404
