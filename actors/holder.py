"""
A holder: what a Ray actor runs. It holds virtual shards of any number of streams, each stream with a node.

It keeps nothing that it would miss: started anew under its name, it takes the shards over that are placed with it and
reads their journals. Every method may be called again with the same arguments.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..cluster.buckets import ALL_TIME, Span
from ..cluster.manifest import Lease, Stream
from ..cluster.state import State
from ..discovery.confirmation import Confirmation, Confirmer
from ..discovery.spec import ProtocolSpec
from ..discovery.statistics import MessageStatistics
from .effects import Refusal, Removed
from .journals import confirm_journal, read_journal
from .limits import ShardLimits
from .node import Node, Receipt
from .offer import Offer

Positions = dict[int, tuple[int, int]]


@dataclass(frozen=True)
class HolderLimits:
    """
    What a holder may take; sizes are bytes.

    Attributes:
        memory: of statistics, over all streams; those that were not used lately are packed, and then on the disk. A
            quarter of it is for batches that wait to be registered.
        call_bytes: of the batches of one call; more are refused with "busy", and the sender sends less at a time.
    """

    memory: int = 384 << 20
    call_bytes: int = 64 << 20
    shard: ShardLimits = field(default_factory=ShardLimits)


@dataclass(frozen=True)
class Held:
    """Statistics of the virtual shards of a stream that a holder has, packed, with the (epoch, position) of each."""

    statistics: bytes
    positions: Positions


class ShardHolder:
    """
    Takes batches for the virtual shards that are placed with it, and answers when they are in the journal.

    Args:
        name: what placements call it. Two processes of one name, as a cut network leaves them, do no harm: the older
            one finds its shards taken, and does not take them back.
    """

    def __init__(self, state: State, name: str, limits: HolderLimits | None = None) -> None:
        self._state, self._name, self._limits = state, name, limits or HolderLimits()
        self._owner = f"{name}#{secrets.token_hex(4)}"
        self._nodes: dict[str, Node] = {}
        self._had: set[tuple[str, int]] = set()

    def ready(self) -> int:
        """Return the process's number, as soon as it can."""
        return os.getpid()

    def write(self, stream: str, offers: list[Offer]) -> list[Receipt]:
        """Put batches into the journal; what a receipt has ``left`` was not taken, and may be sent again."""
        if sum(offer.size for offer in offers) > self._limits.call_bytes and len(offers) > 1:
            return [Receipt(offer.key, set(offer.parts), Refusal.BUSY) for offer in offers]
        node = self._node(stream)
        if not node.held.issuperset(shard for offer in offers for shard in offer.parts):
            self._take(node)
        receipts = [node.append_parts(offer.bodies()) for offer in offers]
        node.commit()
        node.drop_lost()
        return receipts

    def hold(self, stream: str) -> Positions:
        """Take over what is placed here, and return the (epoch, position) of every virtual shard that is held."""
        node = self._node(stream)
        self._take(node)
        return {shard: node.position(shard) for shard in sorted(node.held)}

    def release(self, stream: str, shards: Iterable[int]) -> None:
        """Take snapshots of virtual shards and give them back."""
        self._node(stream).release(shards)

    def erase(self, stream: str, span: Span) -> tuple[Removed, set[int]]:
        """Take messages out of the virtual shards that are placed here; return what was removed, and from which."""
        node = self._node(stream)
        self._take(node)
        held = node.held
        return node.erase(span, sorted(held)), held

    def statistics(self, stream: str, span: Span = ALL_TIME) -> Held:
        """Return the statistics of a part of the event time in the journals of the virtual shards placed here."""
        positions = self.hold(stream)
        node = self._node(stream)
        if span.whole:
            return Held(node.statistics().to_bytes(), positions)
        found, upto = read_journal(self._state, node.stream, span, positions)
        return Held(found.to_bytes(), {shard: (epoch, upto[shard]) for shard, (epoch, _) in positions.items()})

    def confirm(self, stream: str, document: bytes, upto: dict[int, int], span: Span = ALL_TIME) -> Confirmation:
        """
        Confirm a specification on the journals of virtual shards, each up to a position.

        Raises:
            InputError: a journal cannot be read, or was merged over that position meanwhile.
        """
        node = self._node(stream)
        confirmer = Confirmer(ProtocolSpec.model_validate_json(document), node.settings)
        return confirm_journal(self._state, node.stream, upto, confirmer, span)

    def reports(self, stream: str) -> list[str]:
        """Return what people must know: damaged objects of the journals."""
        return self._node(stream).reports

    def _node(self, stream: str) -> Node:
        if stream not in self._nodes:
            known = self._state.manifest.stream(stream)
            self._nodes[stream] = self._open(known)
            for node in self._nodes.values():
                node.limit(self._limits.memory // len(self._nodes))
        return self._nodes[stream]

    def _open(self, stream: Stream) -> Node:
        state, limits = self._state, self._limits
        node = Node(state.storage, state.manifest, stream, self._owner, shards=(), limits=limits.shard)
        node.limit(limits.memory // (len(self._nodes) + 1))
        self._take(node)
        return node

    def _take(self, node: Node) -> None:
        """Hold what is placed here and nothing else, under the epochs that the catalog knows."""
        stream = node.stream.name
        placed = {shard for shard, name in self._state.placements.of(stream).items() if name == self._name}
        leases = {lease.shard: lease for lease in self._state.manifest.leases(stream)}
        node.drop_lost()
        node.drop({shard for shard in node.held if node.position(shard)[0] != leases[shard].epoch})
        node.release(node.held - placed)
        wanted = placed - node.held
        node.hold(sorted(shard for shard in wanted if not self._left_over(stream, leases.get(shard))))
        node.drop_lost()
        self._had |= {(stream, shard) for shard in node.held}

    def _left_over(self, stream: str, lease: Lease | None) -> bool:
        """Return whether a process of this name took a shard from this one: that one was started later."""
        had = lease is not None and (stream, lease.shard) in self._had
        owner = lease.owner or "" if lease else ""
        return had and owner != self._owner and owner.startswith(f"{self._name}#")


def merged(held: Iterable[Held], empty: MessageStatistics) -> MessageStatistics:
    """Return the statistics of several holders together."""
    for each in held:
        empty = empty.merge(MessageStatistics.from_bytes(each.statistics))
    return empty
