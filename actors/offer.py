"""A batch on its way to those who hold its virtual shards: divided, and encoded as the journal keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..cluster.entries import NEVER, BatchKey, is_key
from ..cluster.manifest import Stream
from ..cluster.privacy import StreamPrivacy
from ..cluster.redirects import Redirect
from ..cluster.segment import batch_digest, decode_record, encode_record, record_of
from ..discovery.batch import MessageBatch
from ..discovery.errors import InputError
from ..discovery.settings import DiscoverySettings
from .hands import Body
from .routing import divide


@dataclass(frozen=True, slots=True)
class Offer:
    """
    A batch, or what some virtual shards have of it.

    Attributes:
        parts: encoded records by virtual shard; their checksums hold from here to the journal.
    """

    key: str
    parts: dict[int, bytes]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(map(len, self.parts.values()))

    def only(self, shards: set[int]) -> Offer:
        """Return the parts of these virtual shards."""
        return Offer(self.key, {shard: part for shard, part in self.parts.items() if shard in shards})

    def bodies(self) -> dict[int, Body]:
        """
        Return the parts as shards take them.

        Raises:
            InputError: one was damaged on its way.
        """
        return {shard: Body(decode_record(part, self.key), part) for shard, part in self.parts.items()}


def offer_of(
    stream: Stream, batch: MessageBatch, key: str, *, made: int = NEVER, capture: str = "",
    redirects: Sequence[Redirect] = (),
) -> Offer:  # fmt: skip
    """
    Divide a batch over the virtual shards of a stream.

    Args:
        key, made, capture: as of ``Node.append``. redirects: under which it is divided.

    Raises:
        InputError: the key is none (``is_key``).
    """
    if not is_key(key):
        raise InputError("a key has 1 to 256 printable characters", where=stream.name)
    seed, privacy = DiscoverySettings.model_validate(stream.settings).seed, StreamPrivacy.of(stream.privacy)
    named = BatchKey(key, made, batch_digest(batch, capture), 0, len(redirects))
    parts = divide(batch, stream.shards, seed, redirects) if len(batch) else {}
    records = {
        shard: record_of(part, replace(named, messages=len(part)), capture, privacy, stream.settings)
        for shard, part in parts.items()
    }
    return Offer(key, {shard: encode_record(record) for shard, record in records.items()})
