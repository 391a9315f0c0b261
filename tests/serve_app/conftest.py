"""A client of the running service, and one discovery that several tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest


@pytest.fixture(scope="session")
def client(service_address: str) -> Iterator[httpx.Client]:
    """Give a client of the running service."""
    with httpx.Client(base_url=service_address, timeout=120) as opened:
        yield opened


@pytest.fixture(scope="session")
def discovered(client: httpx.Client, example_captures: Path) -> dict[str, Any]:
    """Return the discovery of the example capture, sent as a file and answered inline (after kernels are compiled)."""
    content = (example_captures / "plant.pcapng").read_bytes()
    answer = client.post("/v1/discoveries", files={"capture": ("plant.pcapng", content)})
    if answer.status_code == 202:
        with client.stream("GET", f"{answer.headers['Location']}/events") as events:
            events.read()
    found: dict[str, Any] = client.get(answer.headers["Location"]).json()
    return found
