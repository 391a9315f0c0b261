"""
Reads capture sets into blocks of messages, and tells of files that cannot be read without stopping for them.

Here all of a set is read in this process; ``ray_reading`` does the same with Ray Data, and gives the same messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ..cluster.dead_letters import DeadLetter
from ..cluster.inputs import InputFile, local_copy
from ..cluster.ray_start import ray_cluster
from ..cluster.settings import ServiceSettings
from ..discovery.batch import MessageBatch
from ..discovery.capture_set import (
    ROWS,
    Asked,
    Block,
    Decided,
    FileFacts,
    FileReader,
    decide,
    messages_in,
    open_file,
)
from ..discovery.captured import DiscoveredProtocol, carrier_of
from ..discovery.captures.flows import HEAD
from ..discovery.captures.packed import Packed
from ..discovery.errors import InputError, NotFoundError, QbitelError
from ..discovery.orchestrator import Known, ProtocolDiscoveryOrchestrator
from ..discovery.spec import DatagramFraming
from ..discovery.stages import Clock, Progress

Told = Callable[[int], None]
"""Takes how many bytes of the files were read since it was told last."""


@dataclass
class Report:
    """What became of the files of a set: facts by index in the set, and those that were not read."""

    facts: dict[int, FileFacts] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """Lines that say what was damaged, file by file."""
        return [f"{each.name}: {line}" for _, each in sorted(self.facts.items()) for line in each.warnings]


class Reading(Protocol):
    """A capture set that is read: ``known`` are its protocols by name, ``report`` says what became of its files."""

    report: Report
    known: dict[str, Known]

    def blocks(self, protocol: str) -> Iterator[Block]:
        """Yield the messages of a protocol, each block whole."""

    def discover(
        self, protocol: str, orchestrator: ProtocolDiscoveryOrchestrator, progress: Progress, clock: Clock
    ) -> DiscoveredProtocol:
        """Find the specification of a protocol."""


@dataclass
class Head:
    """
    The first packets of a set: what they show is decided for all of it.

    Attributes:
        counted: packets of the files that were looked at, ignored ones included.
    """

    asked: Asked
    pieces: list[Packed] = field(default_factory=list)
    counted: int = 0

    @property
    def full(self) -> bool:
        """Whether there are as many packets as a head has."""
        return self.counted >= HEAD

    def decide(self, files: Sequence[InputFile], report: Report) -> tuple[Decided, dict[str, Known]]:
        """
        Return what is decided for packets, and all protocols by name; of rows, what the first file of them says.

        Raises:
            InputError: there are no messages. NotFoundError: there is no protocol of the name that was asked for.
        """
        only = self.asked.only
        decided = decide(Packed.concatenate(self.pieces), self.asked)
        known = dict(decided.known)
        rows = next((facts for _, facts in sorted(report.facts.items()) if facts.transport), None)
        if rows is not None and only in (None, ROWS):
            framing = self.asked.framing or DatagramFraming()
            known[ROWS] = Known(ROWS, carrier_of(rows.transport, rows.port), framing)
        if not known and only is not None:
            raise NotFoundError(f"no protocol group '{only}'", where=files[0].uri)
        if not known:
            raise InputError("no messages", where=files[0].uri)
        return decided, known


class LocalReading:
    """
    A capture set read in this process, all packets of it in memory; files of rows are read a block at a time, twice.

    Raises:
        InputError: there are no messages. NotFoundError: there is no protocol of the name that was asked for.
    """

    def __init__(self, files: Sequence[InputFile], asked: Asked, report: Report, told: Told | None = None) -> None:
        self.report, self._asked = report, asked
        self._pieces: list[Packed] = []
        self._rows: dict[int, InputFile] = {}
        head = Head(asked)
        for number, file in enumerate(files):
            try:
                self._read(number, file, asked, head)
            except QbitelError as error:
                self.report.dead.append(DeadLetter(file.uri, str(error)))
            if told:
                told(file.size)
        self._decided, self.known = head.decide(files, report)

    def blocks(self, protocol: str) -> Iterator[Block]:
        """Yield the messages of a protocol, each block whole."""
        for number, file in self._rows.items() if protocol == ROWS else ():
            with local_copy(file) as path:
                yield from open_file(file.uri, str(path), number, self._asked.limits).rows(self._asked.port)
        packets = Packed.concatenate(self._pieces)
        yield from (block for block in messages_in(packets, self._decided) if block.protocol == protocol)

    def discover(
        self, protocol: str, orchestrator: ProtocolDiscoveryOrchestrator, progress: Progress, clock: Clock
    ) -> DiscoveredProtocol:
        """Find the specification of a protocol."""
        by_capture: dict[str, list[MessageBatch]] = {}
        for block in self.blocks(protocol):
            by_capture.setdefault(self.report.facts[block.file].sha256[:16], []).append(block.batch)
        batches = {capture: MessageBatch.concatenate(some) for capture, some in by_capture.items()}
        result = orchestrator.discover(batches, known=self.known[protocol], progress=progress, clock=clock)
        return DiscoveredProtocol(result, MessageBatch.concatenate(list(batches.values())))

    def _read(self, number: int, file: InputFile, asked: Asked, head: Head) -> None:
        with local_copy(file) as path:
            reader = open_file(file.uri, str(path), number, asked.limits)
            if not reader.of_packets:
                reader.survey(asked.port)
                self._rows[number] = file
            for piece in packets_of(reader, head):
                self._pieces.append(piece)
            self.report.facts[number] = reader.facts


@contextmanager
def read_set(
    files: Sequence[InputFile], asked: Asked, report: Report, on: str | None = None, told: Told | None = None
) -> Iterator[Reading]:
    """
    Give a capture set that is read: with Ray Data where it has more than ``bulk_bytes`` of the settings, else here.

    Args:
        report: takes what becomes of the files, also where an error ends the reading.
        on: the address of a Ray, ``auto`` for the one on this machine, ``local`` or None for one of its own; not
            looked at where this process is connected to a Ray already.

    Raises:
        InputError: there are no messages, or no such Ray. NotFoundError: there is no protocol of that name.
    """
    settings = ServiceSettings(ray_address=None if on == "local" else on)
    if sum(file.size for file in files) <= settings.bulk_bytes:
        yield LocalReading(files, asked, report, told)
        return
    import ray

    with ExitStack() as stack:
        if not ray.is_initialized():
            stack.enter_context(ray_cluster(settings))
        from .client_reading import ClientReading
        from .ray_reading import RayReading

        client = ray.util.client.ray.is_connected()  # type: ignore[no-untyped-call]
        reads = ClientReading if client else RayReading
        yield reads(files, asked, report, told)


def packets_of(reader: FileReader, head: Head) -> Iterator[Packed]:
    """Yield the packets of a file; those that belong to the head are kept there too."""
    if not reader.of_packets:
        return
    before = 0
    for piece in reader.packets():
        if not head.full:
            head.pieces.append(piece)
            head.counted += reader.facts.packets - before
        before = reader.facts.packets
        yield piece
