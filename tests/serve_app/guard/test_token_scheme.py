"""Tokens of an identity provider let in who they are of, and nothing that only looks like one does."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qbitel.cluster.dependency import UnavailableError
from qbitel.cluster.principals import Principal, Role
from qbitel.serve_app.guard.token_scheme import AGAIN_S, LIVES_S, Issuer, SigningKeys, TokenScheme

from .conftest import Serving

Sign = Callable[..., str]


class Provider:
    """An identity provider on this machine: a discovery document, and keys that can be changed."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.curve = ec.generate_private_key(ec.SECP256R1())
        self.keys = {"k1": self.rsa, "k2": self.curve}
        self.asked: list[str] = []
        self.says: dict[str, Any] | None = None
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                body = json.dumps(provider.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> dict[str, Any]:
        """Return what is answered at a path."""
        if path.endswith("openid-configuration"):
            return self.says or {"issuer": self.address, "jwks_uri": f"{self.address}/jwks"}
        return {"keys": [{"kty": "oct", "k": "AAAA", "kid": "shared"}, *(self.public(kid) for kid in self.keys)]}

    def public(self, kid: str) -> dict[str, Any]:
        """Return the public key of an id as JSON."""
        key = self.keys[kid]
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        made: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
        return {**made, "kid": kid, "use": "sig", "alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"}

    def token(self, kid: str = "k1", key: Any = None, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a signed token."""
        now = int(time())
        said = {
            "iss": self.address, "aud": "qbitel", "sub": "anna", "iat": now, "exp": now + 600, "tenant": "acme",
            "roles": ["analyst", "something"], **claims,
        }  # fmt: skip
        said = {name: value for name, value in said.items() if value is not None}
        signed_with = key or self.keys[kid]
        algorithm = "RS256" if isinstance(signed_with, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(said, signed_with, algorithm=algorithm, headers={"kid": kid, **(head or {})})

    def issuer(self, **chosen: Any) -> Issuer:
        """Return what a service is told of it."""
        return Issuer(**{
            "issuer": self.address, "audience": "qbitel", "jwks": None, "algorithms": ("RS256", "ES256"),
            "leeway_s": 30.0, "role_claim": "roles", "tenant_claim": "tenant", **chosen,
        })  # fmt: skip


def with_secret(kid: str, secret: bytes, claims: dict[str, Any]) -> str:
    """Return a token signed with a shared secret, which the library itself would refuse to make."""
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "kid": kid}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.new(secret, text, "sha256").digest()).rstrip(b"=")
    return f"{text.decode()}.{signature.decode()}"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    """Give a provider."""
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def provider(running: Provider) -> Provider:
    """Give the provider as it was at first."""
    running.keys = {"k1": running.rsa, "k2": running.curve}
    running.says = None
    running.asked.clear()
    return running


@pytest.mark.parametrize("kid", ["k1", "k2"])
def test_a_token_lets_in_who_it_is_of(provider: Provider, kid: str) -> None:
    """RSA and elliptic curves; the highest role that is known counts."""
    found = TokenScheme(provider.issuer()).identify(provider.token(kid))
    assert found is not None
    assert found.principal == Principal("user:anna", "acme", Role.ANALYST)
    assert 600 < found.seconds <= 630


def test_the_service_takes_tokens_and_keys(provider: Provider, serving: Serving) -> None:
    """With an issuer in the settings both open, by the same table of operations."""
    client = serving(oidc_issuer=provider.address, oidc_audience="qbitel")
    headers = {"Authorization": f"Bearer {provider.token()}"}
    assert client.get("/v1/protocols", headers=headers).status_code == 200
    assert client.get("/v1/audit", headers=headers).status_code == 403
    assert client.get("/v1/protocols", headers={"Authorization": "Bearer a.b.c"}).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [{"aud": "another"}, {"aud": None}, {"iss": "https://evil.example"}, {"exp": 1}, {"exp": None}, {"nbf": 1 << 40},
     {"iat": 1 << 40}, {"tenant": None}, {"tenant": "Acme/../x"}, {"tenant": ["acme"]}, {"tenant": ""}, {"roles": []},
     {"roles": "root"}, {"roles": None}, {"sub": None}],
)  # fmt: skip
def test_a_token_that_says_something_else_is_refused(provider: Provider, wrong: dict[str, Any]) -> None:
    """For another audience, of another issuer, ended or not yet begun, without tenant or role."""
    assert TokenScheme(provider.issuer()).identify(provider.token(**wrong)) is None


def test_clocks_may_differ_by_the_leeway_and_no_more(provider: Provider) -> None:
    """A token that ended ten seconds ago is good with a leeway of thirty, and not with one of five."""
    token = provider.token(exp=int(time()) - 10)
    assert TokenScheme(provider.issuer()).identify(token) is not None
    assert TokenScheme(provider.issuer(leeway_s=5.0)).identify(token) is None


def test_forged_tokens_are_refused(provider: Provider) -> None:
    """No signature, a shared secret made of the public key, another's key, an algorithm that is not allowed."""
    scheme = TokenScheme(provider.issuer())
    head, body, _ = provider.token().split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","kid":"k1"}').rstrip(b"=").decode()
    public = json.dumps(provider.public("k1"))
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    forged = [
        f"{unsigned}.{body}.",
        f"{head}.{body}.",
        with_secret("k1", public.encode(), claims),
        with_secret("shared", b"\x00\x00\x00", claims),
        provider.token(key=rsa.generate_private_key(65537, 2048)),
        provider.token(kid="k9", key=provider.rsa),
        provider.token(head={"jku": "https://evil.example/jwks", "kid": "k9"}),
        provider.token(head={"crit": ["exp"]}),
        "a.b.c",
        "..",
    ]
    assert [scheme.identify(token) for token in forged] == [None] * len(forged)
    assert TokenScheme(provider.issuer(algorithms=("ES256",))).identify(provider.token()) is None
    assert scheme.identify(provider.token()) is not None


def test_new_keys_are_found_and_made_up_ones_do_not_ask_each_time(provider: Provider) -> None:
    """A key that the issuer has added is read once it is asked for; a flood of ids asks once in AGAIN_S."""
    now = [0.0]
    keys = SigningKeys(provider.issuer(jwks=f"{provider.address}/jwks"), lambda: now[0])
    assert keys.find("k1") is not None
    for number in range(50):
        assert keys.find(f"made-up-{number}") is None
    assert provider.asked == ["/jwks"]
    provider.keys["k3"] = provider.rsa
    now[0] += AGAIN_S
    assert keys.find("k3") is not None
    del provider.keys["k1"]
    assert keys.find("k1") is not None
    now[0] += LIVES_S
    assert keys.find("k1") is None


def test_keys_that_were_read_outlast_a_silent_issuer() -> None:
    """An issuer that stops answering locks nobody out; one that never answered is named as what is missing."""
    now, gone = [0.0], Provider()
    keys = SigningKeys(gone.issuer(), lambda: now[0])
    assert keys.find("k1") is not None
    gone.server.shutdown()
    gone.server.server_close()
    now[0] += LIVES_S
    assert keys.find("k1") is not None
    with pytest.raises(UnavailableError, match="issuer's keys"):
        SigningKeys(gone.issuer()).find("k1")


def test_discovery_document_of_another_issuer_is_refused(provider: Provider) -> None:
    """Where a document says that it is another's, its keys open nothing here."""
    provider.says = {"issuer": "https://evil.example", "jwks_uri": f"{provider.address}/jwks"}
    with pytest.raises(UnavailableError, match="another issuer"):
        SigningKeys(provider.issuer()).find("k1")
