"""Windows of a stream's event time: all of it, the last of it, an interval; whole buckets always."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import UTC, datetime

import numpy as np

from ..cluster.buckets import ALL_TIME, BUCKET_S, UNTIMED, Span, bucket_of
from ..cluster.entries import Entry
from ..cluster.journal import read_records
from ..cluster.manifest import Stream
from ..cluster.state import State
from ..discovery.errors import InputError

_LAST = re.compile(r"(\d{1,12})\s*(s|m|h|d|messages)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
HINT = "all, 15m, 1h, 7d, 5000messages, or 2026-01-01T00:00/2026-01-02T00:00 (UTC)"


def window_of(state: State, stream: Stream, text: str) -> Span:
    """
    Return the buckets that a window's text names.

    Args:
        text: ``all``; a duration that ends with the newest message (``15m``, ``1h``, ``7d``); a number of the newest
            messages (``5000messages``), which begins with the bucket that completes it; two times of ISO 8601 with
            ``/`` between them, in UTC where they have no zone. Messages without a time are only in ``all``.

    Raises:
        InputError: it is none, or there are no messages with a time.
    """
    if text == "all":
        return ALL_TIME
    if "/" in text:
        since, until = (_moment(part, text) for part in text.split("/", 1))
        return Span(math.floor(since / BUCKET_S), math.ceil(until / BUCKET_S))
    found = _LAST.match(text)
    if found is None:
        raise InputError("not a window", where=text[:80], hint=HINT)
    entries = _timed(state, stream)
    if not entries:
        raise InputError("no messages with a time in it", where=stream.name)
    number, unit = int(found[1]), found[2]
    if unit == "messages":
        return _last_messages(state, entries, number)
    latest = entries[0].times.latest
    return Span(math.floor((latest - number * _SECONDS[unit]) / BUCKET_S), math.floor(latest / BUCKET_S) + 1)


def lately(state: State, stream: Stream, text: str) -> Span:
    """
    Return the buckets that a window's text names; all of the time where no message has one.

    Raises:
        InputError: it is no window.
    """
    return window_of(state, stream, text) if _timed(state, stream) else ALL_TIME


def _moment(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError("not an interval", where=where[:80], hint=HINT) from error


def _timed(state: State, stream: Stream) -> list[Entry]:
    """Return the entries that hold messages with a time, those with the newest first."""
    entries = (each for shard in range(stream.shards) for each in state.manifest.entries(stream.name, shard))
    timed = (each for each in entries if not each.damaged and each.messages > each.times.untimed)
    return sorted(timed, key=lambda each: each.times.latest, reverse=True)


def _last_messages(state: State, entries: list[Entry], number: int) -> Span:
    """Return the buckets from the newest on that together hold so many messages; entries before them are not read."""
    counts: Counter[int] = Counter()
    end = math.floor(entries[0].times.latest / BUCKET_S) + 1
    for place, entry in enumerate(entries):
        for record in read_records(state.storage, entry):
            buckets, messages = np.unique(bucket_of(record.ts), return_counts=True)
            counts.update(dict(zip(buckets.tolist(), messages.tolist(), strict=True)))
        following = entries[place + 1].times.latest if place + 1 < len(entries) else -math.inf
        total = 0
        for bucket in sorted((each for each in counts if each != UNTIMED), reverse=True):
            if (bucket * BUCKET_S) <= following:
                break  # entries that were not read may have messages of it
            total += counts[bucket]
            if total >= number:
                return Span(bucket, end)
    return Span(None, end)
