"""
Reads capture sets on a Ray that this process reaches as a client (``ray://``).

Ray Data runs only inside a cluster: its driver is an actor there, and what it reads comes here some blocks at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray

from ..cluster.inputs import InputFile
from ..discovery.capture_set import Asked, Block
from ..discovery.captured import DiscoveredProtocol
from ..discovery.errors import QbitelError
from ..discovery.orchestrator import Known, ProtocolDiscoveryOrchestrator
from ..discovery.stages import Clock, Progress
from .fleet import errors_of
from .ray_reading import RayReading
from .reading import Report, Told

_AT_ONCE = 8 << 20  # bytes of messages that are fetched together
_LOOK_S = 0.5  # between two looks at how far it is


class _Driver:
    """Drives Ray Data in the cluster; one thread works, the other says how far it is."""

    def __init__(self) -> None:
        self._bytes = 0
        self._stage: tuple[str, float] | None = None
        self._reading: RayReading
        self._blocks: Iterator[Block]

    def read(self, files: Sequence[InputFile], asked: Asked) -> tuple[Report, dict[str, Known], QbitelError | None]:
        """Read a set; return what became of its files, its protocols, and what ended the reading."""
        report = Report()
        try:
            self._reading = RayReading(files, asked, report, self._tell)
        except QbitelError as error:
            return report, {}, error
        return report, self._reading.known, None

    def begin(self, protocol: str) -> None:
        """Begin with the blocks of a protocol."""
        self._blocks = self._reading.blocks(protocol)

    def some(self) -> list[Block]:
        """Return the next blocks; none at the end."""
        blocks: list[Block] = []
        size = 0
        while size < _AT_ONCE and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            size += block.batch.table.nbytes
        return blocks

    def discover(self, protocol: str, orchestrator: ProtocolDiscoveryOrchestrator) -> DiscoveredProtocol:
        """Find the specification of a protocol."""
        return self._reading.discover(protocol, orchestrator, self._at, time.perf_counter)

    def state(self) -> tuple[int, tuple[str, float] | None]:
        """Return how many bytes were read, and the stage of the discovery."""
        return self._bytes, self._stage

    def _tell(self, size: int) -> None:
        self._bytes += size

    def _at(self, stage: str, fraction: float) -> None:
        self._stage = stage, fraction


class ClientReading:
    """
    A capture set read by the Ray that this process is a client of; its workers must reach the files.

    Raises:
        InputError: there are no messages. NotFoundError: there is no protocol of the name that was asked for.
    """

    def __init__(self, files: Sequence[InputFile], asked: Asked, report: Report, told: Told | None = None) -> None:
        # No share of a core: on a node of one core it would keep that from Ray's shuffle, which takes whole ones.
        driver: Any = ray.remote(_Driver).options(num_cpus=0, max_concurrency=2)
        self._driver = driver.remote()
        self.report = report
        tell = None if told is None else _differences(told)
        found, self.known, error = self._answer(self._driver.read.remote(list(files), asked), tell)
        report.facts.update(found.facts)
        report.dead += found.dead
        if error is not None:
            raise error

    def blocks(self, protocol: str) -> Iterator[Block]:
        """Yield the messages of a protocol, each block whole."""
        self._answer(self._driver.begin.remote(protocol))
        coming = self._driver.some.remote()
        while blocks := self._answer(coming):
            coming = self._driver.some.remote()
            yield from blocks

    def discover(
        self, protocol: str, orchestrator: ProtocolDiscoveryOrchestrator, progress: Progress, clock: Clock
    ) -> DiscoveredProtocol:
        """Find the specification of a protocol in the cluster; ``clock`` stays here, the seconds are the driver's."""

        def tell(_: int, stage: tuple[str, float] | None) -> None:
            if stage:
                progress(*stage)

        found: DiscoveredProtocol = self._answer(self._driver.discover.remote(protocol, orchestrator), tell)
        return found

    def _answer(self, call: Any, tell: Callable[[int, Any], None] | None = None) -> Any:
        with errors_of("the reading"):
            while tell:
                ready, _ = ray.wait([call], timeout=_LOOK_S)
                tell(*ray.get(self._driver.state.remote()))
                if ready:
                    break
            return ray.get(call)


def _differences(told: Told) -> Callable[[int, Any], None]:
    before = 0

    def tell(size: int, _: Any) -> None:
        nonlocal before
        told(size - before)
        before = size

    return tell
