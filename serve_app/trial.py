"""
A real discovery through a running service, as ``helm test`` makes it: ``python -m qbitel.serve_app.trial ADDRESS``.

Where keys are asked for, it makes one in the catalog that the settings name, and revokes it in the end.
"""

from __future__ import annotations

import struct
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from time import monotonic, sleep

import httpx

from ..cluster.database import open_engine
from ..cluster.keys import ApiKeys, Grant
from ..cluster.principals import Role
from ..cluster.settings import ServiceSettings, load_settings

PATIENCE_S = 300.0
_LIFETIME = timedelta(minutes=15)


@contextmanager
def _key(settings: ServiceSettings) -> Iterator[dict[str, str]]:
    """Give the headers that open the service."""
    if settings.authentication == "none":
        yield {}
        return
    engine = open_engine(settings.catalog_address, durable=True)
    keys = ApiKeys(engine)
    token, key = keys.create(Grant("trial", "trial", Role.OPERATOR), _LIFETIME)
    try:
        yield {"Authorization": f"Bearer {token}"}
    finally:
        keys.revoke(key.id)
        engine.dispose()


def messages(count: int = 200, seed: int = 1) -> list[bytes]:
    """Return messages of a made-up protocol: magic, kind, length of what follows, number, then a value or a name."""
    draw, made = Random(seed), []
    for number in range(count):
        kind = draw.choice((1, 2))
        body = struct.pack(">If", number, draw.uniform(18, 22)) if kind == 1 else struct.pack(">I", number) + b"pump-07"
        made.append(b"\x51\x54" + bytes([kind]) + struct.pack(">H", len(body)) + body)
    return made


def trial(client: httpx.Client, payloads: Sequence[bytes]) -> str:
    """
    Discover a protocol, parse a message of it, delete it, and say how long the discovery took.

    Raises:
        httpx.HTTPError: the service does not answer, or refuses. RuntimeError: what it answers is not right.
    """
    coded = [b64encode(each).decode() for each in payloads]
    begun = monotonic()
    answer = client.post("/v1/discoveries", json={"messages": coded}).raise_for_status()
    found = answer.json()
    while found["status"] in ("waiting", "running"):
        if monotonic() > begun + PATIENCE_S:
            raise RuntimeError(f"the discovery is {found['status']} after {PATIENCE_S:.0f} s")
        sleep(0.5)
        found = client.get(found["links"]["self"]).raise_for_status().json()
    seconds = monotonic() - begun
    if found["status"] != "done" or not found["results"]:
        raise RuntimeError(f"the discovery ended as {found['status']}")
    spec_id = found["results"][0]["id"]
    parsed = client.post("/v1/parse", json={"protocol": spec_id, "messages": coded[:1]}).raise_for_status().json()
    client.delete(f"/v1/protocols/{spec_id}").raise_for_status()
    if parsed["messages"][0]["error"] is not None:
        raise RuntimeError(f"a message of the protocol does not parse: {parsed['messages'][0]['error']}")
    return f"{len(payloads)} messages discovered in {seconds:.1f} s, and one parsed"


def main(arguments: Sequence[str]) -> int:
    """Return 0 where the service works, 1 where it does not; says which."""
    (address,) = arguments
    with _key(load_settings()) as headers, httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        try:
            told, status = trial(client, messages()), 0
        except (httpx.HTTPError, RuntimeError) as error:
            told, status = f"qbitel: {address}: {error}", 1
    (sys.stderr if status else sys.stdout).write(f"{told}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
