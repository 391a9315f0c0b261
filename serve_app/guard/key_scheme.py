"""API keys as credentials."""

from __future__ import annotations

from datetime import UTC, datetime

from ...cluster.keys import PREFIX, ApiKeys
from .credentials import Identified


class KeyScheme:
    """Keys of the catalog."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    def claims(self, token: str) -> bool:
        """Say whether a token looks like a key."""
        return token.startswith(f"{PREFIX}_")

    def identify(self, token: str) -> Identified | None:
        """Return who holds a key."""
        key = self._keys.find(token)
        if key is None:
            return None
        if key.expires is None:
            return Identified(key.principal)
        return Identified(key.principal, (key.expires - datetime.now(UTC)).total_seconds())
