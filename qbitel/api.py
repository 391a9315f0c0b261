"""The Python face: captures or messages in, specifications out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from time import perf_counter

from .discovery.batch import MessageBatch
from .discovery.captures import Capture, ProtocolGroup, frame_group, read_capture
from .discovery.errors import InputError, NotFoundError
from .discovery.orchestrator import Cancel, DiscoveryResult, Known, Progress, ProtocolDiscoveryOrchestrator
from .discovery.settings import DiscoverySettings
from .discovery.spec import ProtocolSpec

Source = "Capture | MessageBatch | str | PathLike[str] | Iterable[bytes]"


def discover(
    source: Capture | MessageBatch | str | PathLike[str] | Iterable[bytes],
    *,
    protocol: str | None = None,
    settings: DiscoverySettings | None = None,
) -> ProtocolSpec:
    """
    Return the specification of one protocol.

    Args:
        source: messages (bytes or a MessageBatch), a capture, or the path of one.
        protocol: which protocol of a capture that holds several, for instance ``udp_20547``.

    Raises:
        InputError: the source cannot be read or holds no messages.
        NotFoundError: it holds several protocols and none was named, or not the one that was named.
    """
    if isinstance(source, (str, PathLike)):
        source = read_capture(source)
    if isinstance(source, Capture):
        group = pick_group(source, protocol)
        return discover_all([source], only=group.name, settings=settings)[0][0].spec
    batch = source if isinstance(source, MessageBatch) else MessageBatch.from_payloads(source)
    if not len(batch):
        raise InputError("no messages to read")
    known = Known(protocol=protocol or "protocol")
    return ProtocolDiscoveryOrchestrator(settings).discover(batch, known=known, clock=perf_counter).spec
