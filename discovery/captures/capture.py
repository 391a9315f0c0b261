"""What reading a capture gives: its protocol groups and an account of what became of every packet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from ..batch import MessageBatch
from ..errors import InputError, NotFoundError
from ..streams import StreamSet

Transport = Literal["udp", "tcp", "ip", "ethertype", "llc", "link", "messages"]


@dataclass(frozen=True)
class ProtocolGroup:
    """
    Traffic that is taken for one protocol.

    Attributes:
        name: valid as the name of a specification: ``udp_53``, ``tcp_502``, ``eth_88cc``, ``ip_89``, ``llc_42``,
            ``link_227``, or ``messages`` for the rows of a table.
        transport: what carries it; ``messages`` where that is not known.
        port: port, IP protocol number, EtherType, DSAP or LINKTYPE; None where there is none.
        packets, size: number of packets (or rows) that carry payload, and of payload bytes after reassembly.
    """

    name: str
    transport: Transport
    port: int | None
    packets: int
    size: int
    _table: pa.Table | None = None
    _streams: StreamSet | None = None
    _span: tuple[int, int] = (0, 0)

    @property
    def stream(self) -> bool:
        """Whether it is byte streams that must be cut into messages."""
        return self._streams is not None

    @property
    def batch(self) -> MessageBatch:
        """
        The datagrams in order of capture.

        Raises:
            InputError: the group is byte streams.
        """
        if self._table is None:
            raise InputError("byte streams have no messages before they are framed", where=self.name)
        return MessageBatch(self._table.slice(self._span[0], self._span[1] - self._span[0]))

    @property
    def streams(self) -> StreamSet:
        """
        The byte streams, one per flow and direction, in order of the flows' first packets, the client's first.

        Raises:
            InputError: the group is datagrams.
        """
        if self._streams is None:
            raise InputError("datagrams are messages already", where=self.name)
        return self._streams.span(*self._span)

    @classmethod
    def of_batch(
        cls, name: str, batch: MessageBatch, transport: Transport = "messages", port: int | None = None
    ) -> ProtocolGroup:
        """Make a group of datagrams."""
        table = batch.to_arrow()
        size = int(batch.view().lengths.sum())
        return cls(name, transport, port, len(batch), size, _table=table, _span=(0, len(batch)))

    @classmethod
    def of_streams(cls, name: str, streams: StreamSet, port: int | None = None) -> ProtocolGroup:
        """Make a group of byte streams."""
        size, packets = len(streams.data), len(streams.segment_start)
        return cls(name, "tcp", port, packets, size, _streams=streams, _span=(0, len(streams)))


@dataclass(frozen=True)
class Counters:
    """
    An account of a capture.

    Attributes:
        packets: packets (or rows, or lines) read.
        payloads: of those, the ones whose payload is in a group.
        ignored: the ones that carry no payload to read: control segments, damaged headers, encrypted radio frames.
        truncated: packets that were captured in part only.
        fragments: IP fragments; fragments_lost: of datagrams that never became complete.
        lost_bytes: payload bytes that were sent and are not in the capture, as far as it shows.
        duplicate_bytes: TCP payload that was sent more than once; one copy is kept.
        early_bytes: TCP payload from before the first packet seen of its sender, which arrived late and is left out.
        filtered: packets left out by the port that was asked for.
    """

    packets: int = 0
    payloads: int = 0
    ignored: int = 0
    truncated: int = 0
    fragments: int = 0
    fragments_lost: int = 0
    lost_bytes: int = 0
    duplicate_bytes: int = 0
    early_bytes: int = 0
    filtered: int = 0


@dataclass(frozen=True)
class Capture:
    """
    A capture that was read.

    Attributes:
        source: its path, or ``<bytes>``.
        sha256: of the input as given (64 hexadecimal digits); specifications quote the first 16.
        format: one of ``FORMATS``.
        groups: the protocols, those with the most packets first, then by name.
        counters: what became of the packets.
        warnings: one line for each thing that was damaged, cut or left out; empty if all is well.
    """

    source: str
    sha256: str
    format: str
    groups: list[ProtocolGroup] = field(default_factory=list)
    counters: Counters = Counters()
    warnings: list[str] = field(default_factory=list)

    @property
    def hash(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256, by which evidence refers to the capture."""
        return self.sha256[:16]

    def group(self, name: str) -> ProtocolGroup:
        """
        Return the group of that name.

        Raises:
            NotFoundError: there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        listed = ", ".join(group.name for group in self.groups[:8]) or "none"
        raise NotFoundError(f"no protocol '{name}'", where=self.source, hint=f"it holds: {listed}")
