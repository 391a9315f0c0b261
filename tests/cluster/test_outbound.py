"""What strangers name is asked only where everybody may be asked, and only at the address that was judged."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("httpx")
import trustme

from qbitel.cluster.outbound import LONGEST, DeliveryError, Outbound
from qbitel.discovery.errors import InputError

REFUSED = {
    "loopback": "https://127.0.0.1/x",
    "loopback by another writing": "https://2130706433/x",
    "loopback in short": "https://127.1/x",
    "IPv6 loopback": "https://[::1]/x",
    "loopback mapped into IPv6": "https://[::ffff:127.0.0.1]/x",
    "loopback in 6to4": "https://[2002:7f00:1::]/x",
    "loopback behind NAT64": "https://[64:ff9b::7f00:1]/x",
    "loopback in an old writing of IPv6": "https://[::7f00:1]/x",
    "private": "https://10.0.0.1/x",
    "shared": "https://100.64.0.1/x",
    "metadata of clouds": "https://169.254.169.254/latest/meta-data",
    "link-local": "https://[fe80::1]/x",
    "unique local": "https://[fd00::1]/x",
    "any address": "https://0.0.0.0/x",
    "multicast": "https://224.0.0.1/x",
    "a name of this machine": "https://localhost/x",
    "plain http": "http://1.1.1.1/x",
    "a user": "https://user:password@1.1.1.1/x",
    "a fragment": "https://1.1.1.1/#x",
    "a file": "file:///etc/passwd",
    "another scheme": "gopher://1.1.1.1/x",
    "no host": "https:///x",
    "no address": "https://[",
    "control characters": "https://1.1.1.1/\r\nX: y",
    "no end": "https://1.1.1.1/" + "x" * LONGEST,
    "empty": "",
}


@dataclass
class Receiver:
    """A receiver of its own, over TLS or not: what it was sent, and the statuses it answers with, the last one on."""

    port: int
    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


def receiver(context: ssl.SSLContext | None) -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"http://127.0.0.1:{found.port}/elsewhere")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found = Receiver(server.server_port)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def plain() -> Iterator[Receiver]:
    """Give a receiver without TLS."""
    yield from receiver(None)


@pytest.fixture
def authority() -> trustme.CA:
    """Return a certificate authority of the test's own."""
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Receiver]:
    """Give a receiver whose certificate is for ``hooks.example``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(context)
    yield from receiver(context)


def outbound(*allowed: str, **options: Any) -> Outbound:
    """Return one that waits no time between attempts."""
    return Outbound(allowed, first_s=0.0, most_s=0.0, **options)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let names resolve to one address after the other, the last one on, and return the names that were asked for."""
    asked: list[str] = []
    left = list(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found.split()]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("name", REFUSED)
def test_address_that_leads_inside_is_refused(name: str) -> None:
    """However it is written, an address of this machine, this network or no web server is not asked."""
    with pytest.raises(InputError):
        asyncio.run(outbound().check(REFUSED[name]))


def test_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All addresses of a name count, not the first."""
    resolving(monkeypatch, "1.1.1.1 10.0.0.1")
    with pytest.raises(InputError, match="not public"):
        asyncio.run(outbound().check("https://hooks.example/x"))
    resolving(monkeypatch, "1.1.1.1 1.0.0.1")
    asyncio.run(outbound().check("https://hooks.example/x"))


def test_name_that_resolves_otherwise_later_gains_nothing(monkeypatch: pytest.MonkeyPatch, plain: Receiver) -> None:
    """A name that was public when it was checked and is private when it is sent to is refused then."""
    resolving(monkeypatch, "1.1.1.1", "127.0.0.1")
    address, sender = f"https://rebound.example:{plain.port}/x", outbound()

    async def run() -> None:
        await sender.check(address)
        await sender.post(address, b"{}", {})

    with pytest.raises(InputError, match="not public"):
        asyncio.run(run())
    assert plain.got == []


def test_connection_goes_to_the_judged_address_under_its_name(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, secure: Receiver
) -> None:
    """The name is resolved once for an attempt; certificate and Host are those of the name."""
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    sender = outbound("127.0.0.0/8", trusted=trusted)
    asked = resolving(monkeypatch, "127.0.0.1")
    asyncio.run(sender.post(f"https://hooks.example:{secure.port}/told?x=1", b"body", {"X-One": "1"}))
    ((path, headers, body),) = secure.got
    assert (path, headers["host"], headers["x-one"], body) == (
        "/told?x=1", f"hooks.example:{secure.port}", "1", b"body",
    )  # fmt: skip
    assert [each for each in asked if each != "127.0.0.1"] == ["hooks.example"]
    with pytest.raises(DeliveryError, match="ConnectError"):
        asyncio.run(sender.post(f"https://other.example:{secure.port}/told", b"body", {}))
    with pytest.raises(DeliveryError, match="ConnectError"):
        asyncio.run(outbound("127.0.0.0/8").post(f"https://hooks.example:{secure.port}/told", b"body", {}))
    assert len(secure.got) == 1


def test_what_is_not_taken_is_sent_again(plain: Receiver) -> None:
    """A receiver that fails twice gets it a third time; one that fails for good is given up, with its status."""
    address, sender = f"http://127.0.0.1:{plain.port}/x", outbound("127.0.0.0/8")
    plain.statuses = [500, 429, 204]
    asyncio.run(sender.post(address, b"{}", {}))
    assert len(plain.got) == 3
    plain.statuses = [500]
    with pytest.raises(DeliveryError, match="status 500"):
        asyncio.run(sender.post(address, b"{}", {}))
    assert len(plain.got) == 7


def test_redirect_is_not_followed(plain: Receiver) -> None:
    """Where an allowed receiver sends elsewhere, nothing goes there."""
    plain.statuses = [302]
    with pytest.raises(DeliveryError, match="status 302"):
        asyncio.run(outbound("127.0.0.0/8", attempts=1).post(f"http://127.0.0.1:{plain.port}/x", b"{}", {}))
    assert [path for path, _, _ in plain.got] == ["/x"]


def test_error_does_not_tell_the_path(plain: Receiver) -> None:
    """Receivers keep secrets in their paths: neither error nor log repeats them."""
    plain.statuses = [500]
    with pytest.raises(DeliveryError) as caught:
        asyncio.run(outbound("127.0.0.0/8", attempts=1).post(f"http://127.0.0.1:{plain.port}/secret?k=1", b"", {}))
    assert "secret" not in str(caught.value)
    assert str(plain.port) in str(caught.value)


def test_receiver_that_says_nothing_is_given_up() -> None:
    """One that takes the connection and never answers costs no more than the stated time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DeliveryError, match=r"within 0\.3 s"):
            asyncio.run(outbound("127.0.0.0/8", total_s=0.3).post(address, b"", {}))
