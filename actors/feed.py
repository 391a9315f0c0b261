"""Feeds captures into a stream on this machine: one framing for the life of the stream, one node for all shards."""

from __future__ import annotations

from pydantic import TypeAdapter

from ..cluster.manifest import Manifest, Stream
from ..cluster.storage import Storage
from ..discovery.captured import CapturedProtocol
from ..discovery.errors import NotFoundError
from ..discovery.settings import DiscoverySettings
from ..discovery.spec import DatagramFraming, Framing
from .ingest import Ingested, ingest
from .node import Node

_FRAMING: TypeAdapter[Framing] = TypeAdapter(Framing)


class StreamFeed:
    """
    Takes the messages of captures, and acknowledges them when they are in the journal.

    Args:
        owner: says to others who holds the shards. shards: virtual ones, of a stream that is made here.

    Attributes:
        done: sums over all captures.
    """

    def __init__(self, storage: Storage, manifest: Manifest, stream: str, owner: str, shards: int = 64) -> None:
        self._storage, self._manifest = storage, manifest
        self._name, self._owner, self._shards = stream, owner, shards
        self._node: Node | None = None
        self.done = Ingested()

    @property
    def framing(self) -> Framing | None:
        """How the stream's messages are cut from byte streams; None while the stream has no capture yet."""
        try:
            kept = self._manifest.stream(self._name).framing
        except NotFoundError:
            return None
        return DatagramFraming() if kept is None else _FRAMING.validate_python(kept)

    @property
    def reports(self) -> list[str]:
        """What people must know: damaged objects of the journal."""
        return self._node.reports if self._node else []

    def add(self, protocol: CapturedProtocol) -> Ingested:
        """
        Add messages that were cut with ``framing``; the first protocol's framing becomes the stream's.

        Raises:
            InputError: another process holds the stream, or a batch was refused for good.
        """
        node = self._node or self._open(protocol)
        added = Ingested()
        for capture, batch in protocol.batches.items():
            each = ingest(node, batch, capture, protocol.known.protocol)
            for total in (added, self.done):
                total.batches += each.batches
                total.messages += each.messages
                total.known += each.known
        return added

    def close(self) -> str | None:
        """Take snapshots, give the shards back, and return the digest of the stream; None where nothing was opened."""
        if self._node is None:
            return None
        digest = self._node.statistics().digest()
        self._node.close()
        return digest

    def _open(self, protocol: CapturedProtocol) -> Node:
        framing = self.framing or protocol.known.framing
        kept = None if isinstance(framing, DatagramFraming) else framing.model_dump(mode="json")
        settings = DiscoverySettings().model_dump(mode="json")
        stream = self._manifest.add_stream(Stream(self._name, self._shards, settings, kept, 0))
        self._node = Node(self._storage, self._manifest, stream, self._owner)
        return self._node
