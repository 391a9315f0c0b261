"""Feeds inputs, files or folders of them, into a stream; what cannot be read is put aside and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from ..cluster.dead_letters import DeadLetter
from ..cluster.inputs import InputFile, list_inputs
from ..discovery.analyst import AnalystLabels
from ..discovery.capture_set import BLOCK_BITS, Asked, Block, FileFacts
from ..discovery.captured import DiscoveredProtocol, the_one
from ..discovery.errors import InputError, QbitelError
from ..discovery.orchestrator import ProtocolDiscoveryOrchestrator
from ..discovery.settings import DiscoverySettings
from ..discovery.stages import Clock, Progress
from .feed import StreamFeed
from .ingest import Ingested, keyed
from .reading import Report, Told, read_set

Shown = Callable[[str, int], AbstractContextManager[Told]]
"""Shows how far a work, by its title, on so many bytes is."""


@dataclass
class Bulk:
    """
    What is fed, and what became of it.

    Attributes:
        port, protocol: only flows with this port, only the protocol of this name. on: the Ray that reads, as of
            ``read_set``. dead: what was not read, and why. tried: addresses of all files and inputs.
    """

    feed: StreamFeed
    port: int | None = None
    protocol: str | None = None
    on: str | None = None
    dead: list[DeadLetter] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def add(self, source: str, shown: Shown) -> Ingested | None:
        """Add the messages of a file, or of all files below a folder or prefix; None where nothing could be read."""
        self.tried.add(source)
        try:
            files = list_inputs(source)
            self.tried.update(file.uri for file in files)
            return self._read(files, shown)
        except QbitelError as error:
            self.dead.append(DeadLetter(source, str(error)))
            return None

    def _read(self, files: Sequence[InputFile], shown: Shown) -> Ingested | None:
        asked, report = Asked(self.port, self.protocol, self.feed.framing), Report()
        try:
            with ExitStack() as stack:
                size = sum(file.size for file in files)
                with shown("reading", size) as told:
                    read = stack.enter_context(read_set(files, asked, report, self.on, told))
                known, facts = the_one(read.known), report.facts
                told = stack.enter_context(shown("adding", size))
                blocks = _told_of(read.blocks(known.protocol), files, facts, told)
                return self.feed.add(known, keyed(blocks, lambda file: facts[file].sha256))
        except InputError:
            if len(report.dead) < len(files):
                raise
            return None  # each file has a letter of its own
        finally:
            self.dead += report.dead


def _told_of(
    blocks: Iterable[Block], files: Sequence[InputFile], facts: Mapping[int, FileFacts], told: Told
) -> Iterator[Block]:
    """Yield blocks, and tell after each how many of its file's bytes it stands for."""
    for block in blocks:
        yield block
        packets = facts[block.file].packets
        share = min(1 << BLOCK_BITS, packets - (block.number << BLOCK_BITS)) / packets
        told(int(files[block.file].size * share))


def discover_set(
    source: str, asked: Asked, report: Report, on: str | None, settings: DiscoverySettings, progress: Progress,
    clock: Clock, labels: Mapping[str, AnalystLabels] | None = None,
) -> list[DiscoveredProtocol]:  # fmt: skip
    """
    Find the specification of every protocol of a file, or of all files below a folder or prefix, by name.

    Args:
        report: takes what becomes of the files. on: the Ray that reads, as of ``read_set``.
        labels: what an analyst said of messages, by protocol.

    Raises:
        InputError: nothing can be read, or no such Ray. NotFoundError: there is no protocol of the name asked for.
    """
    told = labels or {}
    with read_set(list_inputs(source), asked, report, on) as read:
        return [
            read.discover(name, ProtocolDiscoveryOrchestrator(settings, labels=told.get(name)), progress, clock)
            for name in sorted(read.known)
        ]
