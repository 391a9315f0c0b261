"""Who holds a key is let in, for as long as the key is good, and nobody else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from qbitel.cluster.catalog import Catalog
from qbitel.cluster.database import OutcomeUnknownError
from qbitel.cluster.keys import ApiKeys, Grant
from qbitel.cluster.principals import Principal, Role
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app.guard.credentials import FRESH_S, MOST_KNOWN, STALE_S, Credentials, Identified
from qbitel.serve_app.guard.key_scheme import KeyScheme

from .conftest import Letting, Serving

ANNA = Principal("key:1", "acme", Role.READER)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Door:
    """A scheme that counts how often it is asked."""

    def __init__(self, found: Identified | None) -> None:
        self.found, self.asked, self.broken = found, 0, False

    def claims(self, token: str) -> bool:
        """Say yes."""
        return True

    def identify(self, token: str) -> Identified | None:
        """Return what it was made with."""
        self.asked += 1
        if self.broken:
            raise OutcomeUnknownError("the database failed")
        return self.found


def ask(credentials: Credentials, token: bytes = b"t") -> Principal | None:
    """Return the principal behind a token."""
    return asyncio.run(credentials.principal(token))


def test_the_open_mode_is_of_this_machine_alone() -> None:
    """Without authentication every address but the loopback is refused, and the error says what to set."""
    for host in ("0.0.0.0", "::", "10.0.0.5", "service.example"):
        with pytest.raises(ValidationError, match="QBITEL_AUTHENTICATION=required"):
            ServiceSettings(host=host)
        assert ServiceSettings(host=host, authentication="required").host == host
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert ServiceSettings(host=host).host == host


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "},
     {"Authorization": "Bearer qbitel_000000000000_" + "a" * 43}, {"Authorization": "Bearer " + "x" * 9000},
     {"Authorization": "Bearer \u00e9\u00e9"}, {"X-Api-Key": "qbitel_000000000000_" + "a" * 43}],
)  # fmt: skip
def test_strangers_are_refused(headers: dict[str, str], serving: Serving) -> None:
    """Nothing, another scheme, an unknown key, a giant and what is no ASCII are answered with 401 and a challenge."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = serving().get("/v1/protocols", headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_two_authorization_headers_are_refused(serving: Serving, letting: Letting) -> None:
    """Where two parties could read a request differently, it is answered to neither."""
    good = letting()["Authorization"]
    answer = serving().get("/v1/protocols", headers=[("Authorization", good), ("Authorization", "Bearer x")])
    assert answer.status_code == 401


def test_a_key_opens_until_it_is_revoked_or_expires(catalog: Catalog, keys: ApiKeys) -> None:
    """A revoked key is refused once what was known of it is no longer fresh; an expired one at its time."""
    clock = Clock()
    credentials = Credentials((KeyScheme(keys),), clock)
    token, key = keys.create(Grant("k", "acme", Role.ANALYST))
    assert ask(credentials, token.encode()) == Principal(f"key:{key.id}", "acme", Role.ANALYST)
    keys.revoke(key.id)
    clock.now += FRESH_S
    assert ask(credentials, token.encode()) is None
    short, _ = keys.create(Grant("k"), timedelta(seconds=-1))
    assert ask(credentials, short.encode()) is None


def test_a_rotated_key_has_a_grace(keys: ApiKeys) -> None:
    """Both keys open during the grace, with the same grant; after it only the new one does."""
    token, key = keys.create(Grant("k", "acme", Role.OPERATOR, ("streams",), "5/second"))
    new, made = keys.rotate(key.id, timedelta(hours=1))
    assert (made.grant, made.follows) == (key.grant, key.id)
    assert keys.find(token) is not None
    assert keys.find(new) is not None
    last, _ = keys.rotate(made.id, timedelta())
    assert keys.find(new) is None
    assert keys.find(last) is not None


def test_the_catalog_has_no_key(catalog: Catalog, keys: ApiKeys) -> None:
    """Nothing in the file of the catalog is what opens; a secret that differs in one character does not."""
    token, key = keys.create(Grant("k"))
    secret = token.rsplit("_", 1)[1] if "_" not in token.split("_", 2)[2] else token.split("_", 2)[2]
    path = catalog.engine.url.database
    assert path is not None
    from pathlib import Path

    kept = b"".join(each.read_bytes() for each in Path(path).parent.glob("catalog.sqlite*"))
    assert key.id.encode() in kept
    assert secret.encode() not in kept
    assert keys.find(token[:-1] + ("A" if token[-1] != "A" else "B")) is None


def test_a_known_token_is_not_looked_up_again() -> None:
    """While it is fresh the catalog is not asked, neither for a good token nor for a bad one."""
    for found in (Identified(ANNA), None):
        door, clock = Door(found), Clock()
        credentials = Credentials((door,), clock)
        for _ in range(5):
            assert ask(credentials) == (found and found.principal)
        assert door.asked == 1
        clock.now += FRESH_S
        ask(credentials)
        assert door.asked == 2


def test_a_token_is_known_no_longer_than_it_lasts() -> None:
    """A token that ends in a second is asked for again then."""
    door, clock = Door(Identified(ANNA, seconds=1.0)), Clock()
    credentials = Credentials((door,), clock)
    ask(credentials)
    clock.now += 1.0
    door.found = None
    assert ask(credentials) is None


def test_while_the_catalog_is_silent_known_tokens_open_for_a_minute() -> None:
    """A principal that was known stays known for STALE_S; unknown tokens are not let in."""
    door, clock = Door(Identified(ANNA)), Clock()
    credentials = Credentials((door,), clock)
    ask(credentials)
    door.broken = True
    clock.now += STALE_S - 1
    assert ask(credentials) == ANNA
    with pytest.raises(OutcomeUnknownError):
        ask(credentials, b"another")
    clock.now += 1
    with pytest.raises(OutcomeUnknownError):
        ask(credentials)


def test_what_is_known_has_a_bound() -> None:
    """A flood of made-up tokens does not fill the memory."""
    credentials = Credentials((), Clock())
    for number in range(MOST_KNOWN + 10):
        credentials._remember(str(number).encode(), None)
    assert len(credentials._known) == MOST_KNOWN


def test_pages_of_other_hosts_are_not_answered_in_the_open_mode(serving: Serving) -> None:
    """A rebound host name and a foreign origin get 403; this machine gets its answer."""
    client: TestClient = serving(authentication="none")
    assert client.get("/v1/protocols").status_code == 200
    assert client.get("/v1/protocols", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/v1/protocols", headers={"Host": "127.0.0.1.evil.example"}).status_code == 403
    assert client.get("/v1/protocols", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/v1/protocols", headers={"Origin": "http://localhost:8000"}).status_code == 200
