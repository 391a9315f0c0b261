"""The Python face of streams: append messages, look at their statistics, discover windows of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .cli.places import DATA, open_state, owner_here
from .discovery.batch import MessageBatch
from .discovery.errors import InputError
from .discovery.orchestrator import Known
from .discovery.spec import ProtocolSpec
from .discovery.spec.diff import Change
from .discovery.statistics import summarise
from .entropy_plot import entropy_plot

if TYPE_CHECKING:
    from .cluster.versions import Drift, Version


class Statistics:
    """Statistics of a window of a stream; a notebook shows them as a picture."""

    def __init__(self, name: str, table: pa.Table) -> None:
        self.name, self._table = name, table

    def to_arrow(self) -> pa.Table:
        """Return one row an offset (``offset``, ``reached``, ``entropy``, ``histogram`` and more)."""
        return self._table

    def plot(self) -> str:
        """Return an SVG: above the entropy of each offset, below how often each byte value stands there."""
        return entropy_plot(self._table, self.name)

    def _repr_svg_(self) -> str:
        return self.plot()


class Stream:
    """
    A stream of messages, kept in a journal by state.

    Held by the fleet of the Ray that this process is connected to where there is one, else by this process.

    Args:
        state: URI of the journals; ``QBITEL_STORAGE``, or the folder ``qbitel-data``, where None.
        shards: virtual ones, where the stream is made by the first batch.

    Raises:
        ModuleNotFoundError: the extra [cluster] is not installed.
    """

    def __init__(self, name: str, state: str | Path | None = None, *, shards: int = 64) -> None:
        from .actors.streams import Streams

        self.name = name
        uri = str(state or os.environ.get("QBITEL_STORAGE") or DATA)
        self._streams = Streams(open_state(uri, create=True), owner_here(), shards)

    def append(self, messages: MessageBatch | Iterable[bytes], key: str | None = None) -> int:
        """
        Add messages; return how many were added, when they are in the journal.

        Args:
            key: names the batch: the same messages under the same key are counted once, however often they are sent.
                Where None it is made from the content, so that equal batches are counted once.

        Raises:
            InputError: the key was used for other messages, or the journal cannot be written.
        """
        from .actors.ingest import Keyed
        from .cluster.segment import batch_digest

        batch = messages if isinstance(messages, MessageBatch) else MessageBatch.from_payloads(messages)
        named = key or batch_digest(batch)
        done = self._streams.append(self.name, Known(self.name), Keyed(named, "", batch))
        if done.refused:
            raise InputError(done.refused[0], where=self.name)
        return done.messages

    def digest(self, window: str = "all") -> str:
        """Return the digest of the statistics of a window: the same at any number of shards and in any order."""
        return self._streams.statistics(self.name, self._streams.window(self.name, window)).digest()

    def statistics(self, window: str = "all") -> Statistics:
        """
        Return the statistics of a window: per-offset histograms and entropy.

        Raises:
            NotFoundError: there is no such stream. InputError: its values are not to be shown.
        """
        return Statistics(self.name, summarise(self._streams.shown(self.name, window)).to_arrow())

    def discover(self, window: str = "all") -> tuple[ProtocolSpec, tuple[Change, ...]]:
        """
        Return the specification of a window, which is kept as a version, and its changes to the version before.

        Args:
            window: ``all``, ``15m``, ``1h``, ``7d``, ``5000messages``, or two times of ISO 8601 with ``/`` between.

        Raises:
            NotFoundError: there is no such stream. InputError: the window holds no messages.
        """
        from .cluster.privacy import read_hash_key

        found = self._streams.discover(self.name, window, key=read_hash_key(None))
        return found.spec, found.changes

    def versions(self) -> list[Version]:
        """Return the versions of its specification, the newest first."""
        return self._streams.versions.all(self.name)

    def events(self, after: int = 0) -> list[Drift]:
        """Return what drifted between versions, in order, from the event behind ``after`` on."""
        return self._streams.versions.events(self.name, after)

    def close(self) -> None:
        """Take snapshots and give the shards back; what was acknowledged is kept without it."""
        self._streams.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
