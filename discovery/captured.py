"""From captures to messages to specifications: groups of the same name are framed and read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .analyst import AnalystLabels
from .batch import MessageBatch
from .captures import Capture, ProtocolGroup, messages_of
from .errors import InputError, NotFoundError
from .framing import infer_framing
from .orchestrator import DiscoveryResult, Known, ProtocolDiscoveryOrchestrator
from .settings import DiscoverySettings
from .spec import Carrier, DatagramFraming, Evidence, Framing
from .stages import Cancel, Clock, Progress

Protocol = TypeVar("Protocol")


@dataclass(frozen=True)
class CapturedProtocol:
    """The messages of one protocol group, by capture hash, and how they were framed."""

    known: Known
    batches: dict[str, MessageBatch]

    @property
    def messages(self) -> MessageBatch:
        """Return all messages, capture after capture."""
        return MessageBatch.concatenate(list(self.batches.values()))


@dataclass(frozen=True)
class DiscoveredProtocol:
    """What was found of one protocol, and the messages it was found in."""

    result: DiscoveryResult
    messages: MessageBatch


def protocols_in(
    captures: Sequence[Capture], only: str | None = None, framing: Framing | None = None
) -> list[CapturedProtocol]:
    """
    Frame the protocol groups of captures; groups of the same name in several captures are one protocol.

    Args:
        only: the name of the one group to read.
        framing: a known framing, for instance of an earlier specification; inferred from the streams where None.

    Raises:
        NotFoundError: no group has the name ``only``.
        InputError: the captures hold no messages at all.
    """
    by_name: dict[str, list[tuple[Capture, ProtocolGroup]]] = {}
    for capture in captures:
        for group in capture.groups:
            by_name.setdefault(group.name, []).append((capture, group))
    if only is not None:
        if only not in by_name:
            raise NotFoundError(f"no protocol group '{only}'", hint=f"there are: {', '.join(sorted(by_name)[:12])}")
        by_name = {only: by_name[only]}
    if not by_name:
        raise InputError("no messages", where=", ".join(c.source for c in captures[:4]), hint=_why_none(captures))
    return [_framed(members, framing) for _, members in sorted(by_name.items())]


def the_one(protocols: Mapping[str, Protocol]) -> Protocol:
    """
    Return the only one of protocols, by what a person is told of each.

    Raises:
        NotFoundError: there are several.
    """
    if len(protocols) > 1:
        hint = f"name one of: {', '.join(list(protocols)[:12])}"
        raise NotFoundError(f"the input holds {len(protocols)} protocols", hint=hint)
    return next(iter(protocols.values()))


def _why_none(captures: Sequence[Capture]) -> str:
    packets = sum(capture.counters.packets for capture in captures)
    filtered = sum(capture.counters.filtered for capture in captures)
    if filtered:
        return f"{filtered} of {packets} packets are of other ports than the one that was asked for"
    known = f"{packets} packets, and none carries a payload that this reader knows"
    # What was damaged or left out is the reason, where anything was.
    told = [warning for capture in captures for warning in capture.warnings][:3]
    return "; ".join([known, *told] if packets else told)


def _framed(members: Sequence[tuple[Capture, ProtocolGroup]], framing: Framing | None) -> CapturedProtocol:
    # The framing is a property of the protocol: the capture with the most bytes of it shows it best.
    known = known_of(max((group for _, group in members), key=lambda group: group.size), framing)
    batches: dict[str, MessageBatch] = {}
    for capture, group in members:
        batch = messages_of(group, known.framing)
        key = capture.hash
        batches[key] = MessageBatch.concatenate([batches[key], batch]) if key in batches else batch
    return CapturedProtocol(known, batches)


def known_of(group: ProtocolGroup, framing: Framing | None = None) -> Known:
    """Return what a group says of its protocol; its framing is inferred from the streams where none is given."""
    evidence: Evidence | None = None
    if framing is None:
        framing = DatagramFraming()
        if group.stream:
            framing, evidence = infer_framing(group.streams)
    return Known(group.name, carrier_of(group.transport, group.port), framing, evidence)


def carrier_of(transport: str, port: int | None) -> Carrier | None:
    """Return what carries a group, where a port or a protocol number says so."""
    if port is None or transport not in ("udp", "tcp", "ethertype", "ip"):
        return None
    return Carrier(kind=transport, number=port)


def discover_captures(
    captures: Sequence[Capture],
    *,
    only: str | None = None,
    settings: DiscoverySettings | None = None,
    labels: Mapping[str, AnalystLabels] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    clock: Clock | None = None,
) -> list[DiscoveredProtocol]:
    """
    Find the specification of every protocol group of the captures, in the order of their names.

    Args:
        labels: what an analyst said of messages, by the name of the group.

    Raises:
        NotFoundError, InputError: as ``protocols_in``.
        CancelledError: the cancel token was set.
    """
    found = []
    for protocol in protocols_in(captures, only):
        orchestrator = ProtocolDiscoveryOrchestrator(settings, labels=(labels or {}).get(protocol.known.protocol))
        result = orchestrator.discover(
            protocol.batches, known=protocol.known, progress=progress, cancel=cancel, clock=clock
        )
        found.append(DiscoveredProtocol(result, protocol.messages))
    return found
