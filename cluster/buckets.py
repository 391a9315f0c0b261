"""
Event time: when messages were sent, by the capture's clock, in buckets that windows, retention and erasure share.

A message belongs to the bucket of its time; one without a time to none. Whatever acts on a part of the time acts on
whole buckets, so that statistics which are kept by bucket and the journal's messages agree on what is in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUCKET_S = 300  # seconds of a bucket; part of the state's meaning
UNTIMED = np.int64(np.iinfo(np.int64).min)  # bucket of messages without a time


def bucket_of(ts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the bucket of each time (seconds since 1970, NaN where there is none), or ``UNTIMED``."""
    known = np.isfinite(ts)
    return np.where(known, np.floor(np.where(known, ts, 0.0) / BUCKET_S).astype(np.int64), UNTIMED)


@dataclass(frozen=True, slots=True)
class Times:
    """
    The event times of some messages.

    Attributes:
        earliest, latest: seconds since 1970; infinity and its negative where no message has a time.
        untimed: messages without a time.
    """

    earliest: float = math.inf
    latest: float = -math.inf
    untimed: int = 0

    @classmethod
    def of(cls, ts: NDArray[np.float64]) -> Times:
        """Return those of messages, NaN where one has no time."""
        known = ts[np.isfinite(ts)]
        if not len(known):
            return cls(untimed=len(ts))
        return cls(float(known.min()), float(known.max()), len(ts) - len(known))

    def merge(self, other: Times) -> Times:
        """Return those of both together."""
        earliest, latest = min(self.earliest, other.earliest), max(self.latest, other.latest)
        return Times(earliest, latest, self.untimed + other.untimed)


NO_TIMES = Times()


@dataclass(frozen=True, slots=True)
class Span:
    """
    A part of the event time: buckets from ``first`` on and before ``end``, and perhaps what has no time.

    Attributes:
        first, end: numbers of buckets; None where it does not begin or end. untimed: whether messages without a time
            are part of it.
    """

    first: int | None = None
    end: int | None = None
    untimed: bool = False

    @classmethod
    def everything(cls) -> Span:
        """Return the span of all messages."""
        return cls(untimed=True)

    @property
    def whole(self) -> bool:
        """Whether all messages are in it."""
        return self == Span(untimed=True)

    def before(self, other: Span) -> Span:
        """Return the part of it that lies before another one begins; all of it where that has no beginning."""
        if other.first is None:
            return self
        end = other.first if self.end is None else min(self.end, other.first)
        return Span(self.first, end, self.untimed and not other.untimed)

    @classmethod
    def between(cls, since: float | None, until: float | None) -> Span:
        """Return the buckets that lie wholly between two times (seconds since 1970); None leaves a side open."""
        first = None if since is None else math.ceil(since / BUCKET_S)
        return cls(first, None if until is None else math.floor(until / BUCKET_S))

    @property
    def since(self) -> float:
        """Where it begins, seconds since 1970."""
        return -math.inf if self.first is None else float(self.first * BUCKET_S)

    @property
    def until(self) -> float:
        """Where it ends; what was sent at this time is no longer in it."""
        return math.inf if self.end is None else float(self.end * BUCKET_S)

    def touches(self, times: Times) -> bool:
        """Say whether it can hold one of the messages."""
        return (self.untimed and times.untimed > 0) or (self.since <= times.latest and times.earliest < self.until)

    def covers(self, times: Times) -> bool:
        """Say whether it holds all of the messages."""
        timed = times.earliest > times.latest or (self.since <= times.earliest and times.latest < self.until)
        return timed and (self.untimed or not times.untimed)

    def holds(self, ts: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say of each message whether it is in the span, given its time or NaN."""
        known = np.isfinite(ts)
        inside = (ts >= self.since) & (ts < self.until)
        return np.where(known, inside, self.untimed)


ALL_TIME = Span.everything()
