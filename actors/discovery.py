"""
A discovery from a stream: proposed from the merge of its shards' statistics, confirmed by every shard on its journal.

What is proposed and what it is confirmed on are the same messages: those up to the positions that the statistics hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from ..cluster.manifest import Stream
from ..cluster.privacy import StreamPrivacy
from ..cluster.state import State
from ..discovery.confirmation import Confirmation, Confirmer
from ..discovery.errors import InputError
from ..discovery.orchestrator import Clock, Confirm, DiscoveryResult, Known, Progress, ProtocolDiscoveryOrchestrator
from ..discovery.privacy import HashKey
from ..discovery.settings import DiscoverySettings
from ..discovery.spec import DatagramFraming, Framing, ProtocolSpec
from ..discovery.statistics import MessageStatistics
from .journals import confirm_journal, read_journal

if TYPE_CHECKING:
    from .fleet import Fleet

FRAMING: TypeAdapter[Framing] = TypeAdapter(Framing)


def known_of(stream: Stream) -> Known:
    """Return what a stream says of its messages."""
    framing = DatagramFraming() if stream.framing is None else FRAMING.validate_python(stream.framing)
    return Known(stream.name, framing=framing)


def discover_journal(
    state: State, stream: Stream, progress: Progress | None = None, clock: Clock | None = None,
    key: HashKey | None = None,
) -> DiscoveryResult:  # fmt: skip
    """
    Find the specification of a stream in this process, from its journal; nobody who feeds it is disturbed.

    Raises:
        InputError: the stream holds no messages, some were erased meanwhile, its values are hashed and there is no
            key, or an object is missing or damaged.
    """
    statistics, positions = read_journal(state, stream)

    def confirm(spec: ProtocolSpec) -> Confirmation:
        return confirm_journal(state, stream, positions, Confirmer(spec, statistics.settings))

    return _concluded(state, stream, statistics, confirm, progress, clock, key)


def discover_fleet(
    fleet: Fleet, stream: Stream, progress: Progress | None = None, clock: Clock | None = None,
    key: HashKey | None = None,
) -> DiscoveryResult:  # fmt: skip
    """
    Find the specification of a stream by the holders of its shards.

    Raises:
        InputError: the stream holds no messages, a shard is with nobody, or an object is missing or damaged.
    """
    statistics, positions = fleet.statistics(stream)

    def confirm(spec: ProtocolSpec) -> Confirmation:
        return fleet.confirm(stream, spec, positions)

    return _concluded(fleet.state, stream, statistics, confirm, progress, clock, key)


def _concluded(
    state: State, stream: Stream, statistics: MessageStatistics, confirm: Confirm, progress: Progress | None,
    clock: Clock | None, key: HashKey | None,
) -> DiscoveryResult:  # fmt: skip
    if statistics.empty:
        raise InputError("no messages in it", where=stream.name, hint="qbitel ingest adds some")
    privacy = StreamPrivacy.of(stream.privacy).shown(key)
    orchestrator = ProtocolDiscoveryOrchestrator(DiscoverySettings.model_validate(stream.settings), privacy)
    result = orchestrator.conclude(known_of(stream), statistics, confirm, progress=progress, clock=clock)
    if state.manifest.stream(stream.name).erasures != stream.erasures:
        raise InputError("messages were erased while it was read", where=stream.name, hint="try again")
    return result
