"""Tokens of an identity provider (OpenID Connect, JWT) as credentials."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from ...cluster.dependency import UnavailableError
from ...cluster.principals import Principal, Role
from ...cluster.tenants import TENANT
from ...discovery.errors import InputError
from .credentials import Identified

logger = logging.getLogger("qbitel.service")

PATIENCE_S = 3.0
LIVES_S = 300.0
"""Keys of the issuer are read again after so many seconds."""
AGAIN_S = 10.0
"""A key that is not known is looked for no more often than that: anybody can name one."""
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Issuer:
    """Who makes the tokens, and what must stand in them; the fields are settings (``oidc_…``)."""

    issuer: str
    audience: str
    jwks: str | None
    algorithms: tuple[str, ...]
    leeway_s: float
    role_claim: str
    tenant_claim: str


class SigningKeys:
    """The public keys of an issuer, by their id; those that were read go on being used while it does not answer."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = monotonic) -> None:
        self._issuer, self._clock = issuer, clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None

    def find(self, kid: str) -> jwt.PyJWK | None:
        """
        Return a key.

        Raises:
            UnavailableError: the issuer does not answer, and its keys were never read.
        """
        with self._lock:
            age = None if self._read_at is None else self._clock() - self._read_at
            if age is None or age >= LIVES_S or (kid not in self._keys and age >= AGAIN_S):
                self._read()
            return self._keys.get(kid)

    def _read(self) -> None:
        try:
            with httpx.Client(timeout=PATIENCE_S, follow_redirects=False, trust_env=False) as client:
                keys = _document(client, self._issuer.jwks or self._discovered(client)).get("keys", [])
                self._keys = dict(_usable(keys, self._issuer.algorithms))
        except (httpx.HTTPError, ValueError) as error:
            if self._read_at is None:
                raise UnavailableError("http", f"the issuer's keys cannot be read: {error}") from error
            logger.warning("the issuer's keys cannot be read, those from before go on being used: %s", error)
        self._read_at = self._clock()

    def _discovered(self, client: httpx.Client) -> str:
        issuer = self._issuer.issuer.rstrip("/")
        found = _document(client, f"{issuer}/.well-known/openid-configuration")
        # The document must be the issuer's own, or another's keys would open here (OpenID Connect Discovery, 4.3).
        if found.get("issuer") != self._issuer.issuer:
            raise ValueError("its discovery document is of another issuer")
        address = str(found.get("jwks_uri", ""))
        if urlsplit(address).scheme != urlsplit(issuer).scheme:
            raise ValueError("its discovery document names no address of keys")
        return address


class TokenScheme:
    """Tokens that an issuer has signed."""

    def __init__(self, issuer: Issuer, keys: SigningKeys | None = None) -> None:
        self._issuer, self._keys = issuer, keys or SigningKeys(issuer)

    def claims(self, token: str) -> bool:
        """Say whether a token looks like a signed one: three parts."""
        return token.count(".") == 2

    def identify(self, token: str) -> Identified | None:
        """
        Return who holds a token, for as long as it lasts.

        Raises:
            UnavailableError: the issuer's keys cannot be read.
        """
        issuer = self._issuer
        try:
            head = jwt.get_unverified_header(token)
            kid = head.get("kid")
            # Before the key is looked for: with another kind of signature the key would be read as a shared secret.
            if head.get("alg") not in issuer.algorithms or not isinstance(kid, str) or head.get("crit"):
                return None
            key = self._keys.find(kid)
            if key is None:
                return None
            said: dict[str, Any] = jwt.decode(
                token, key, algorithms=list(issuer.algorithms), audience=issuer.audience, issuer=issuer.issuer,
                leeway=issuer.leeway_s, options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            logger.info("a token is refused: %s", type(error).__name__)
            return None
        return self._principal(said)

    def _principal(self, said: dict[str, Any]) -> Identified | None:
        tenant, roles = said.get(self._issuer.tenant_claim), said.get(self._issuer.role_claim)
        known = [role for role in map(_role, roles if isinstance(roles, list) else [roles]) if role is not None]
        if not isinstance(tenant, str) or not TENANT.match(tenant) or not known:
            logger.info("a token is refused: it names no tenant or no role")
            return None
        principal = Principal(f"user:{str(said['sub'])[:200]}", tenant, max(known))
        return Identified(principal, max(0.0, float(said["exp"]) + self._issuer.leeway_s - time()))


def _role(name: object) -> Role | None:
    try:
        return Role.named(name) if isinstance(name, str) else None
    except InputError:
        return None


def _document(client: httpx.Client, address: str) -> dict[str, Any]:
    with client.stream("GET", address, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        body = b""
        for part in answer.iter_bytes(1 << 16):
            body += part
            if len(body) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _usable(keys: Any, algorithms: tuple[str, ...]) -> list[tuple[str, jwt.PyJWK]]:
    """Return the keys that sign, by their id; what is no such key is passed over."""
    found = []
    for each in keys[:100] if isinstance(keys, list) else []:
        try:
            key = jwt.PyJWK(each)
        except jwt.PyJWTError:
            continue
        if key.key_id and each.get("use", "sig") == "sig" and key.algorithm_name in algorithms:
            found.append((key.key_id, key))
    return found
