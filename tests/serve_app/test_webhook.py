"""Whoever asked for it is told of the end of a discovery, signed; nobody can make the service ask inside."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

import httpx
import pytest

from qbitel.serve_app.webhook import signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGES = [base64.b64encode(b"\xa5\x01" + bytes([n, 2]) + b"xy").decode() for n in range(60)]
Notice = tuple[dict[str, str], bytes]


@pytest.fixture
def receiver() -> Iterator[tuple[str, SimpleQueue[Notice]]]:
    """Give the address of a receiver on this machine, which refuses the first notice, and what it gets."""
    got: SimpleQueue[Notice] = SimpleQueue()
    statuses = iter([503])

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(next(statuses, 204))
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/told", got
    server.shutdown()
    server.server_close()


def test_signature_is_that_of_standard_webhooks() -> None:
    """The example that implementations of standardwebhooks.com are tested with; a plain secret is the key itself."""
    headers = signed(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"
    plain = signed("a plain secret of some length", "id", b"{}", 1)["webhook-signature"]
    seal = hmac.digest(b"a plain secret of some length", b"id.1.{}", "sha256")
    assert plain == f"v1,{base64.b64encode(seal).decode()}"


def test_end_of_a_discovery_is_told(client: httpx.Client, receiver: tuple[str, SimpleQueue[Notice]]) -> None:
    """A small one is answered with 202 too; the notice is signed, sent again where refused, and names the end."""
    address, got = receiver
    answer = client.post("/v1/discoveries", params={"webhook": address}, json={"messages": MESSAGES})
    assert answer.status_code == 202, answer.text
    (_, first), (headers, body) = got.get(timeout=60), got.get(timeout=60)
    assert first == body
    expected = signed(SECRET, headers["webhook-id"], body, int(headers["webhook-timestamp"]))
    assert headers["webhook-signature"] == expected["webhook-signature"]
    notice = json.loads(body)
    assert notice["type"] == "discovery.done"
    assert notice["data"]["links"]["self"] == answer.headers["location"]
    found = client.get(answer.headers["location"]).json()
    assert found["status"] == "done", "it is stored before it is told"
    assert notice["data"]["protocols"] == [each["id"] for each in found["results"]]


@pytest.mark.parametrize("address", ["https://169.254.169.254/latest", "https://10.0.0.1/", "file:///etc/passwd", "x"])
def test_webhook_that_leads_inside_is_refused(client: httpx.Client, address: str) -> None:
    """The request is refused before anything is stored or run, and says what is wrong."""
    answer = client.post("/v1/discoveries", params={"webhook": address}, json={"messages": MESSAGES})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook")
