"""
Capture sets: files that one capture was rotated into, read in their order as if they were one.

A flow that crosses files gives the messages that it would give in one file; a message belongs to the file in which its
first byte lies, and its number is that packet's there. What needs more than the packets of two hosts, which side serves
and how streams are framed, is decided from the head of the set. So the set can be divided by hosts, and each
part read by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from .batch import IN_STREAM, PART_BITS, MessageBatch
from .captured import known_of
from .captures import DEFAULT_LIMITS, CaptureLimits, messages_of, read_capture
from .captures.assembly import assemble
from .captures.flows import Usage, port_usage
from .captures.grouping import Grouping
from .captures.headers import decode
from .captures.packed import Packed
from .captures.reader import detect_format
from .captures.rows import walk_table
from .captures.source import Source, open_source
from .captures.tables import Groups
from .captures.walk import WALKS, walk_packets
from .orchestrator import Known
from .spec import Framing

ROWS = "messages"  # the protocol of rows
PIECE = 1 << 16  # packets that are decoded at once
BLOCK_BITS = 16  # messages that begin in so many (binary logarithm) packets of a file stay together


@dataclass(frozen=True)
class FileFacts:
    """
    What was read of a file of a set.

    Attributes:
        sha256: 64 hexadecimal digits. packets: or rows. warnings: what was damaged.
        transport, port: as of ``ProtocolGroup``, of all messages of a file whose rows are messages; empty where there
            are none, and of packets.
    """

    name: str
    sha256: str
    packets: int
    warnings: tuple[str, ...] = ()
    transport: str = ""
    port: int | None = None


@dataclass(frozen=True)
class Asked:
    """
    What is wanted of a set.

    Attributes:
        port: only flows with this UDP or TCP port. only: the name of the one protocol; all where None.
        framing: how streams are cut, where that is known. by: how packets are grouped.
    """

    port: int | None = None
    only: str | None = None
    framing: Framing | None = None
    by: Grouping = "port"
    limits: CaptureLimits = DEFAULT_LIMITS


@dataclass(frozen=True)
class Decided:
    """What the head of a set says: how much the ports are used, and by name the protocols that are read."""

    asked: Asked
    usage: Usage
    known: dict[str, Known]


@dataclass(frozen=True)
class Block:
    """Messages of one protocol that begin in one range of 65,536 packets of one file."""

    protocol: str
    file: int
    number: int
    batch: MessageBatch


@dataclass
class FileReader:
    """
    Reads the packets of one file of a set.

    Attributes:
        name: what people call it; path: where it or a copy of it lies. file: its index in the set.
        facts: of what was read until now. done: share of the bytes that the packets read until now are.
    """

    name: str
    path: str
    source: Source
    file: int
    limits: CaptureLimits = DEFAULT_LIMITS
    facts: FileFacts = field(init=False)
    done: float = 0.0

    def __post_init__(self) -> None:
        self.facts = FileFacts(self.name, self.source.sha256, 0)

    @property
    def form(self) -> str:
        """The format: packets are put together across files, the rows of all others are messages."""
        return detect_format(self.source)

    @property
    def of_packets(self) -> bool:
        """Whether the file holds packets."""
        return self.form in WALKS

    def packets(self, most: int = PIECE) -> Iterator[Packed]:
        """Yield the packets in pieces."""
        data, first = self.source.array(), 0
        for index in walk_packets(self.source, self.form, self.limits, most):
            packed = Packed.of(data, decode(data, index), index, self.file, first)
            first += len(index)
            told = (*self.facts.warnings, *index.warnings)
            self.facts = FileFacts(self.name, self.source.sha256, first, told)
            self.done = float(index.start[-1]) / len(data) if len(index) else 1.0
            yield packed

    def survey(self, port: int | None = None) -> None:
        """
        Read all rows for their facts: what is damaged far behind shall show before the first message is used.

        Raises:
            InputError, LimitError: as of ``rows``.
        """
        for _ in self.rows(port):
            pass

    def rows(self, port: int | None = None) -> Iterator[Block]:
        """
        Yield the messages of a file whose rows are messages; of Parquet and Arrow, a block at a time is in memory.

        Raises:
            InputError: it is damaged. LimitError: it expands to more than the limits allow.
        """
        source, rows = replace(self.source, warnings=list(self.source.warnings)), 0
        transports, ports = set[str](), set[int | None]()
        for groups, counters in self._pieces(source, port):
            rows += counters.packets
            for group in groups:
                transports.add(group.transport)
                ports.add(group.port)
                yield from blocks_of(group.name, self.file, group.batch)
        transport = transports.pop() if len(transports) == 1 else ROWS if transports else ""
        common = ports.pop() if len(ports) == 1 else None
        self.facts = FileFacts(self.name, source.sha256, rows, tuple(source.warnings), transport, common)

    def _pieces(self, source: Source, port: int | None) -> Iterator[Groups]:
        if self.form in ("parquet", "arrow"):
            yield from walk_table(source, port, self.limits, 1 << BLOCK_BITS)
            return
        capture = read_capture(self.path, port=port, limits=self.limits)
        source.warnings = capture.warnings
        yield capture.groups, capture.counters


def open_file(name: str, path: str, file: int, limits: CaptureLimits = DEFAULT_LIMITS) -> FileReader:
    """
    Open a file of a set.

    Raises:
        InputError: it is missing, empty, or of no known format. LimitError: it is larger than the limits.
    """
    source = open_source(path, limits)
    detect_format(source)
    return FileReader(name, path, source, file, limits)


def decide(head: Packed, asked: Asked) -> Decided:
    """Decide from the head of a set what its parts cannot know."""
    head = head.take(np.arange(len(head)))  # its records are changed
    found = assemble(head.data, head.packets, head.time, asked.port, asked.by, asked.limits)
    usage = port_usage(head.packets[found.flows.first])
    groups = {group.name: group for group in found.groups if asked.only in (None, group.name)}
    return Decided(asked, usage, {name: known_of(group, asked.framing) for name, group in sorted(groups.items())})


def messages_in(part: Packed, decided: Decided) -> Iterator[Block]:
    """Yield the messages of all packets between some hosts; ``part`` is changed."""
    asked = decided.asked
    found = assemble(part.data, part.packets, part.time, asked.port, asked.by, asked.limits, decided.usage)
    for group in found.groups:
        known = decided.known.get(group.name)
        if known is not None:
            for file, batch in part.placed(messages_of(group, known.framing)).items():
                yield from blocks_of(group.name, file, batch)


def blocks_of(protocol: str, file: int, batch: MessageBatch) -> Iterator[Block]:
    """Yield the messages of a file, which are in order of capture, by block."""
    number = batch.view().number
    block = np.where(number & IN_STREAM != 0, (number ^ IN_STREAM) >> PART_BITS, number) >> BLOCK_BITS
    borders = np.flatnonzero(np.diff(block, prepend=-1, append=-1)).tolist()
    for a, b in pairwise(borders):
        yield Block(protocol, file, int(block[a]), batch.slice(a, b - a))


def joined(blocks: Sequence[MessageBatch]) -> MessageBatch:
    """Return what several parts have of one block, in order of capture."""
    whole = MessageBatch.concatenate(blocks)
    return whole if len(blocks) == 1 else whole.take(np.argsort(whole.view().number, kind="stable"))
