"""The service behind HAProxy, as ``qbitel serve`` runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest


@pytest.fixture(scope="module")
def behind_haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a service of its own, beside the Ray and the service of the other tests."""
    data = tmp_path_factory.mktemp("haproxy")
    command = [sys.executable, "-m", "qbitel.cli", "serve", "--port", "0", "--data", str(data)]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "QBITEL_TRANSPORT": "haproxy"},
        text=True, cwd=Path(data),
    )  # fmt: skip
    try:
        assert running.stderr is not None
        told = ""
        for line in running.stderr:
            told += line
            if found := re.search(r"listening on (http://\S+)", line):
                break
        else:
            pytest.fail(told)
        yield found[1]
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def test_answers_and_problems_are_the_services_own(behind_haproxy: str) -> None:
    """Behind HAProxy an answer, a missing page and a refused body are what they are behind Ray's proxy."""
    with httpx.Client(base_url=behind_haproxy, timeout=60) as client:
        assert client.get("/healthz").status_code == 200
        missing = client.get("/v1/protocols/none", headers={"X-Request-Id": "haproxy-1"})
        assert missing.status_code == 404 and missing.headers["content-type"] == "application/problem+json"
        assert missing.json()["request_id"] == "haproxy-1"
        refused = client.post("/v1/parse", content=b"{", headers={"Content-Type": "application/json"})
        assert refused.status_code == 400 and refused.json()["code"]


def test_the_proxy_is_haproxy_and_listens_on_the_loopback_alone(behind_haproxy: str) -> None:
    """Ray Serve's own proxy would answer from Python."""
    port = int(behind_haproxy.rpartition(":")[2])
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = {address for _, address, _, state, *_ in listening if state == "0A"}
    assert f"0100007F:{port:04X}" in places and f"00000000:{port:04X}" not in places
    configured = [Path(words[words.index("-f") + 1]) for words in command_lines() if words[0].endswith("haproxy")]
    assert any(path.is_file() and f":{port}" in path.read_text() for path in configured)


def command_lines() -> Iterator[list[str]]:
    """Yield the words of each running command; one that ends meanwhile is passed over."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().decode(errors="replace").split("\0")
