"""The principal behind an ``Authorization`` header: looked up once, then known for a while by the hash of its token."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic
from typing import Protocol

from ...cluster.database import OutcomeUnknownError
from ...cluster.dependency import UnavailableError
from ...cluster.principals import Principal

FRESH_S = 5.0
"""A key that was revoked opens nothing after so many seconds."""
STALE_S = 60.0
"""A principal that was known goes on being known for so long while the catalog does not answer."""
MOST_KNOWN = 10_000
MOST_LOOKUPS = 8
LONGEST = 8192


@dataclass(frozen=True)
class Identified:
    """A principal, and for how many seconds its token is good for at most."""

    principal: Principal
    seconds: float = float("inf")


class Scheme(Protocol):
    """One kind of token."""

    def claims(self, token: str) -> bool:
        """Say whether a token looks like one of this kind."""

    def identify(self, token: str) -> Identified | None:
        """Return who holds a token, or None where it is not good; called in a thread."""


class BusyError(Exception):
    """Too many tokens are being looked up."""


@dataclass(frozen=True)
class _Known:
    principal: Principal | None
    fresh: float
    stale: float


class Credentials:
    """Tokens that were seen lately, by their hash, and the schemes that look at the others."""

    def __init__(self, schemes: tuple[Scheme, ...], clock: Callable[[], float] = monotonic) -> None:
        self._schemes, self._clock = schemes, clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lookups = 0

    async def principal(self, token: bytes) -> Principal | None:
        """
        Return who holds a token; None where it is not good.

        Raises:
            BusyError: too many others are being looked up. OutcomeUnknownError: the catalog does not answer.
        """
        digest = sha256(token).digest()
        known, now = self._known.get(digest), self._clock()
        if known is not None and now < known.fresh:
            return known.principal
        if self._lookups >= MOST_LOOKUPS:
            raise BusyError
        self._lookups += 1
        try:
            found = await asyncio.to_thread(self._identify, token)
        except (UnavailableError, OutcomeUnknownError):
            if known is None or known.principal is None or now >= known.stale:
                raise
            return known.principal
        finally:
            self._lookups -= 1
        self._remember(digest, found)
        return None if found is None else found.principal

    def _identify(self, token: bytes) -> Identified | None:
        try:
            text = token.decode("ascii")
        except UnicodeDecodeError:
            return None
        scheme = next((each for each in self._schemes if each.claims(text)), None)
        return None if scheme is None or len(text) > LONGEST else scheme.identify(text)

    def _remember(self, digest: bytes, found: Identified | None) -> None:
        now, lasts = self._clock(), float("inf") if found is None else found.seconds
        # An unknown token is remembered too: asking again and again costs the catalog nothing.
        principal = None if found is None else found.principal
        self._known[digest] = _Known(principal, now + min(FRESH_S, lasts), now + min(STALE_S, lasts))
        self._known.move_to_end(digest)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
