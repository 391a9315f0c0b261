"""When to ask again: only where the service says that it takes no more for now, and says how long to wait."""

from __future__ import annotations

from time import monotonic

import httpx

AGAIN = (429, 503)


class Waits:
    """The waits of one call, together no longer than the client has patience."""

    def __init__(self, patience_s: float) -> None:
        self._until = monotonic() + patience_s

    def before_next(self, answer: httpx.Response) -> float | None:
        """Return the seconds to wait before the call is made again, or None where it shall not be."""
        after = answer.headers.get("retry-after", "")
        if answer.status_code not in AGAIN or not after.isdecimal():
            return None
        return float(after) if monotonic() + float(after) <= self._until else None
