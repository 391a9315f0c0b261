"""
The streams of a state, as a program or a service uses them: by the fleet that holds them, else in this process.

A stream that is fed here stays open, so that a batch costs its own writing and no takeover of shards.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..cluster.buckets import ALL_TIME, Span
from ..cluster.manifest import Stream
from ..cluster.privacy import StreamPrivacy
from ..cluster.state import State
from ..cluster.tenants import tenant_of_stream
from ..cluster.versions import Versions
from ..discovery.analyst import AnalystLabels
from ..discovery.errors import InputError, NotFoundError, QbitelError
from ..discovery.orchestrator import DiscoveryResult, Known
from ..discovery.privacy import HashKey
from ..discovery.spec import Framing
from ..discovery.statistics import MessageStatistics
from .discovery import UNWATCHED, Wanted, Watch, discover_fleet, discover_journal
from .erasure import Erased, erase, eraser_here
from .feed import NodeTaker, StreamFeed, Taker, framing_of
from .ingest import Ingested, Keyed
from .journals import read_journal
from .versions import keep_version
from .windows import window_of

if TYPE_CHECKING:
    from .fleet import Fleet

logger = logging.getLogger("qbitel.streams")

MOST_OPEN = 8
"""Streams that are open at a time; the least recently fed is closed for the next."""


class Streams:
    """
    Feeds, reads and erases streams; any thread may call it, and batches of a process follow each other.

    Attributes:
        versions: of their specifications, and the events between them.

    Args:
        owner: what leases call this process. shards: virtual ones of streams that are made here.
    """

    def __init__(self, state: State, owner: str, shards: int = 64) -> None:
        self.state, self._owner, self._shards = state, owner, shards
        self._feeds: OrderedDict[str, StreamFeed] = OrderedDict()
        self._lock = threading.Lock()
        self.versions = Versions(state.engine)

    def stream(self, name: str) -> Stream:
        """
        Return a stream.

        Raises:
            NotFoundError: there is none of that name.
        """
        return self.state.manifest.stream(name)

    def framing(self, name: str) -> Framing | None:
        """Return how byte streams are cut into a stream's messages; None where nobody has fed it yet."""
        try:
            return framing_of(self.stream(name))
        except NotFoundError:
            return None

    def append(self, name: str, known: Known, batch: Keyed) -> Ingested:
        """
        Add a batch to a stream, which is made where there is none; return when it is in the journal, or refused.

        Args:
            known: of the first batch, the framing becomes the stream's.

        Raises:
            InputError: the shards cannot be taken, or the storage does not take the batch; sending it again under its
                key counts it once.
        """
        with self._lock:
            feed = self._feed(name)
            try:
                return feed.add(known, [batch])
            except QbitelError:
                # Another process has taken the shards since the last batch, or a write failed: once more from the
                # journal. What was registered before stays, and is not counted again.
                self._feeds.pop(name, None)
            return self._feed(name).add(known, [batch])

    def statistics(self, name: str, span: Span = ALL_TIME) -> MessageStatistics:
        """
        Return the statistics of a part of a stream's time.

        Raises:
            NotFoundError: there is no such stream. InputError: a journal cannot be read.
        """
        stream, fleet = self.stream(name), self._fleet()
        return (fleet.statistics(stream, span) if fleet else read_journal(self.state, stream, span))[0]

    def shown(self, name: str, window: str = "all") -> MessageStatistics:
        """
        Return the statistics of a window of a stream whose values may be shown.

        Raises:
            NotFoundError: there is no such stream. InputError: its values are hashed or need support: histograms would
                show what specifications of it do not.
        """
        kept = StreamPrivacy.of(self.stream(name).privacy)
        if kept.hashed or kept.support > 1:
            raise InputError("histograms would show values that this stream does not show", where=name)
        return self.statistics(name, self.window(name, window))

    def window(self, name: str, text: str) -> Span:
        """
        Return the part of a stream's time that a text names, as of ``window_of``.

        Raises:
            NotFoundError: there is no such stream. InputError: it is no window, or no message has a time.
        """
        return window_of(self.state, self.stream(name), text)

    def discover(
        self, name: str, window: str = "all", watch: Watch = UNWATCHED, key: HashKey | None = None,
        labels: AnalystLabels | None = None,
    ) -> DiscoveryResult:  # fmt: skip
        """
        Find the specification of a window of a stream, and keep it as a version with what has changed.

        Args:
            key: the tenant's, where values are hashed. labels: what an analyst said of messages.

        Raises:
            NotFoundError: there is no such stream. InputError: as ``discover_journal`` and ``window_of``.
        """
        stream, fleet = self.stream(name), self._fleet()
        span = window_of(self.state, stream, window)
        wanted = Wanted(span, key, labels)
        if fleet:
            found = discover_fleet(fleet, stream, wanted, watch)
        else:
            found = discover_journal(self.state, stream, wanted, watch)
        return keep_version(self.state, stream, span, found, lambda earlier: self.statistics(name, earlier))[0]

    def erase(self, name: str, span: Span) -> Erased:
        """
        Take the messages of a part of the time out of a stream, and what was derived from them.

        Raises:
            NotFoundError: there is no such stream. InputError: it must be done again.
        """
        stream, fleet = self.stream(name), self._fleet()
        with self._lock:
            self._close(self._feeds.pop(name, None))
            eraser = fleet.erase if fleet else eraser_here(self.state, self._owner, logger.warning)
            return erase(self.state, stream, span, eraser)

    def close(self) -> None:
        """Take snapshots and give back what is held here."""
        with self._lock:
            while self._feeds:
                self._close(self._feeds.popitem()[1])

    def _feed(self, name: str) -> StreamFeed:
        if name not in self._feeds:
            while len(self._feeds) >= MOST_OPEN:
                self._close(self._feeds.popitem(last=False)[1])
            tenant = tenant_of_stream(name)
            self._feeds[name] = StreamFeed(self.state.manifest, name, self._taker, self._shards, tenant)
        self._feeds.move_to_end(name)
        return self._feeds[name]

    def _close(self, feed: StreamFeed | None) -> None:
        if feed is None:
            return
        for problem in feed.reports:
            logger.warning("%s", problem)
        try:
            feed.close()
        except InputError as error:
            logger.warning("%s", error)  # others have its shards: nothing of it is here any more

    def _taker(self, stream: Stream) -> Taker:
        fleet = self._fleet()
        if fleet is None:
            return NodeTaker(self.state, stream, self._owner, memory=64 << 20)
        from .fleet_feed import FleetTaker

        return FleetTaker(fleet, stream)

    def _fleet(self) -> Fleet | None:
        """Return the holders of this state on the Ray that this process is connected to, if there are any."""
        if "ray" not in sys.modules:
            return None
        import ray

        if not ray.is_initialized():
            return None
        from .fleet import Fleet

        fleet = Fleet(self.state)
        return fleet if fleet.names() else None
