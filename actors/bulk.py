"""Feeds inputs, files or folders of them, into a stream; what cannot be read is put aside and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ..cluster.dead_letters import DeadLetter
from ..cluster.inputs import InputFile, list_inputs
from ..discovery.analyst import AnalystLabels
from ..discovery.capture_set import Asked
from ..discovery.captured import DiscoveredProtocol, the_one
from ..discovery.errors import InputError, QbitelError
from ..discovery.orchestrator import ProtocolDiscoveryOrchestrator
from ..discovery.settings import DiscoverySettings
from ..discovery.stages import Clock, Progress
from .feed import StreamFeed
from .ingest import Ingested, keyed
from .reading import Report, Told, read_set

Shown = Callable[[int], AbstractContextManager[Told]]
"""Shows how far a reading of so many bytes is."""


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
            with shown(sum(file.size for file in files)) as told, read_set(files, asked, report, self.on, told) as read:
                known, facts = the_one(read.known), report.facts
                return self.feed.add(known, keyed(read.blocks(known.protocol), lambda file: facts[file].sha256))
        except InputError:
            if len(report.dead) < len(files):
                raise
            return None  # each file has a letter of its own
        finally:
            self.dead += report.dead


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
