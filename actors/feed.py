"""Feeds captures into a stream: one framing for its life, one holder of all its shards or a fleet of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pydantic import TypeAdapter

from ..cluster.manifest import Manifest, Stream
from ..cluster.privacy import StreamPrivacy
from ..cluster.state import State
from ..discovery.errors import NotFoundError
from ..discovery.orchestrator import Known
from ..discovery.settings import DiscoverySettings
from ..discovery.spec import DatagramFraming, Framing
from .ingest import Ingested, Keyed, ingest
from .node import Node

_FRAMING: TypeAdapter[Framing] = TypeAdapter(Framing)


def framing_of(stream: Stream) -> Framing:
    """Return how a stream's messages are cut from byte streams."""
    return DatagramFraming() if stream.framing is None else _FRAMING.validate_python(stream.framing)


class Taker(Protocol):
    """Who takes a stream's messages."""

    def ingest(self, batches: Iterable[Keyed | None]) -> Ingested:
        """Add batches; return when all are acknowledged, or refused for good."""

    def digest(self) -> str:
        """Return the digest of the stream."""

    def reports(self) -> list[str]:
        """Return what people must know: damaged objects of the journal."""

    def close(self) -> None:
        """Let go of what was taken for this."""


class NodeTaker:
    """All shards of a stream in this process, taken from whoever has them; ``memory`` as of ``Node``."""

    def __init__(self, state: State, stream: Stream, owner: str, memory: int = 1 << 30) -> None:
        self._node = Node(state.storage, state.manifest, stream, owner, memory=memory)

    def ingest(self, batches: Iterable[Keyed | None]) -> Ingested:
        """Add batches; return when all are acknowledged."""
        return ingest(self._node, batches)

    def digest(self) -> str:
        """Return the digest of the stream."""
        return self._node.statistics().digest()

    def reports(self) -> list[str]:
        """Return what people must know: damaged objects of the journal."""
        return self._node.reports

    def close(self) -> None:
        """Take snapshots and give the shards back."""
        self._node.close()


class StreamFeed:
    """
    Takes the messages of captures, and acknowledges them when they are in the journal.

    Args:
        taker: opens the stream, which is made where there is none. shards, tenant, privacy: of one that is made here.

    Attributes:
        done: sums over all captures.
    """

    def __init__(
        self, manifest: Manifest, stream: str, taker: Callable[[Stream], Taker], shards: int = 64, tenant: str = "",
        privacy: StreamPrivacy | None = None,
    ) -> None:  # fmt: skip
        self._manifest, self._name, self._taker = manifest, stream, taker
        self._shards, self._tenant = shards, tenant
        self._privacy = (privacy or StreamPrivacy()).document()
        self._opened: Taker | None = None
        self.done = Ingested()

    @property
    def framing(self) -> Framing | None:
        """How the stream's messages are cut from byte streams; None while the stream has no capture yet."""
        try:
            return framing_of(self._manifest.stream(self._name))
        except NotFoundError:
            return None

    @property
    def reports(self) -> list[str]:
        """What people must know: damaged objects of the journal."""
        return self._opened.reports() if self._opened else []

    def add(self, known: Known, batches: Iterable[Keyed | None]) -> Ingested:
        """
        Add messages that were cut with ``framing``; the first protocol's framing becomes the stream's.

        Raises:
            InputError: another process holds the stream.
        """
        taker = self._opened or self._open(known)
        added = taker.ingest(batches)
        self.done.add(added)
        return added

    def close(self) -> str | None:
        """Return the digest of the stream, and let go of it; None where nothing was opened."""
        if self._opened is None:
            return None
        digest = self._opened.digest()
        self._opened.close()
        return digest

    def _open(self, known: Known) -> Taker:
        framing = self.framing or known.framing
        kept = None if isinstance(framing, DatagramFraming) else framing.model_dump(mode="json")
        settings = DiscoverySettings().model_dump(mode="json")
        asked = Stream(self._name, self._shards, settings, kept, tenant=self._tenant, privacy=self._privacy)
        self._opened = self._taker(self._manifest.add_stream(asked))
        return self._opened
