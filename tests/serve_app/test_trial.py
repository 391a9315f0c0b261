"""What ``helm test`` runs says whether the service works."""

from __future__ import annotations

import httpx
import pytest

from qbitel.serve_app import trial


def test_a_service_that_works_passes(
    service_address: str, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """It discovers, parses, and leaves nothing behind."""
    before = client.get("/v1/protocols").json()["protocols"]
    assert trial.main([service_address]) == 0
    assert "200 messages discovered in" in capsys.readouterr().out
    assert client.get("/v1/protocols").json()["protocols"] == before


def test_a_service_that_does_not_answer_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """With a line that names it."""
    assert trial.main(["http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("qbitel: http://127.0.0.1:9: ")


def test_an_answer_that_is_wrong_fails() -> None:
    """A discovery that ends without a result is no pass, whatever its status code."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "failed", "results": []}, request=request)

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x")
    with client, pytest.raises(RuntimeError, match="ended as failed"):
        trial.trial(client, [b"x"])
