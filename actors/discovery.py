"""
A discovery from a stream: proposed from the merge of its shards' statistics, confirmed by every shard on its journal.

What is proposed and what it is confirmed on are the same messages: those up to the positions that the statistics hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..cluster.buckets import ALL_TIME, Span
from ..cluster.manifest import Stream
from ..cluster.privacy import StreamPrivacy
from ..cluster.state import State
from ..discovery.analyst import AnalystLabels
from ..discovery.confirmation import Confirmation, Confirmer
from ..discovery.errors import InputError
from ..discovery.orchestrator import Confirm, DiscoveryResult, Known, ProtocolDiscoveryOrchestrator
from ..discovery.privacy import HashKey
from ..discovery.settings import DiscoverySettings
from ..discovery.spec import ProtocolSpec
from ..discovery.spec.base import NOT_IN_NAMES
from ..discovery.stages import Cancel, Clock, Progress
from ..discovery.statistics import MessageStatistics
from .feed import framing_of
from .journals import confirm_journal, read_journal

if TYPE_CHECKING:
    from .fleet import Fleet


def known_of(stream: Stream) -> Known:
    """Return what a stream says of its messages; what a protocol's name cannot hold of the stream's is underscored."""
    name = NOT_IN_NAMES.sub("_", stream.name)[:63]
    return Known(f"_{name}" if name[0].isdigit() else name, framing=framing_of(stream))


@dataclass(frozen=True)
class Watch:
    """Who is told how far a discovery is, who may stop it, and what times its stages."""

    progress: Progress | None = None
    cancel: Cancel | None = None
    clock: Clock | None = None


@dataclass(frozen=True)
class Wanted:
    """
    What is wanted of a stream.

    Attributes:
        span: the window: only messages of this part of the event time are read.
        key: the tenant's, where values are hashed. labels: what an analyst said of messages.
    """

    span: Span = ALL_TIME
    key: HashKey | None = None
    labels: AnalystLabels | None = None


WHOLE, UNWATCHED = Wanted(), Watch()


def discover_journal(state: State, stream: Stream, wanted: Wanted = WHOLE, watch: Watch = UNWATCHED) -> DiscoveryResult:
    """
    Find the specification of a stream in this process, from its journal; nobody who feeds it is disturbed.

    Raises:
        InputError: the stream holds no messages, some were erased meanwhile, its values are hashed and there is no
            key, or an object is missing or damaged.
    """
    statistics, positions = read_journal(state, stream, wanted.span)

    def confirm(spec: ProtocolSpec) -> Confirmation:
        return confirm_journal(state, stream, positions, Confirmer(spec, statistics.settings), wanted.span)

    return _concluded(state, stream, statistics, confirm, wanted, watch)


def discover_fleet(fleet: Fleet, stream: Stream, wanted: Wanted = WHOLE, watch: Watch = UNWATCHED) -> DiscoveryResult:
    """
    Find the specification of a stream by the holders of its shards.

    Raises:
        InputError: the stream holds no messages, a shard is with nobody, or an object is missing or damaged.
    """
    statistics, positions = fleet.statistics(stream, wanted.span)

    def confirm(spec: ProtocolSpec) -> Confirmation:
        return fleet.confirm(stream, spec, positions, wanted.span)

    return _concluded(fleet.state, stream, statistics, confirm, wanted, watch)


def _concluded(
    state: State, stream: Stream, statistics: MessageStatistics, confirm: Confirm, wanted: Wanted, watch: Watch
) -> DiscoveryResult:
    if statistics.empty:
        raise InputError("no messages in it, or none in this window", where=stream.name, hint="qbitel ingest adds some")
    kept = StreamPrivacy.of(stream.privacy)
    settings = DiscoverySettings.model_validate(stream.settings)
    orchestrator = ProtocolDiscoveryOrchestrator(settings, kept.shown(wanted.key), wanted.labels)
    if kept.statistics_only:
        confirm = _by_sample(statistics)
    result = orchestrator.conclude(
        known_of(stream), statistics, confirm, progress=watch.progress, cancel=watch.cancel, clock=watch.clock
    )
    if state.manifest.stream(stream.name).erasures != stream.erasures:
        raise InputError("messages were erased while it was read", where=stream.name, hint="try again")
    return result if not kept.statistics_only else _unconfirmed(result)


def _by_sample(statistics: MessageStatistics) -> Confirm:
    """Confirm on the sample, each distinct message as often as it occurred: no others are kept."""
    sample = statistics.sample()
    if not len(sample.view):
        what = f"{statistics.total} messages, none of them in the sample that is kept"
        raise InputError(what, where="sample", hint="more messages, or a stream with a larger --sample-share")

    def confirm(spec: ProtocolSpec) -> Confirmation:
        confirmer = Confirmer(spec, statistics.settings)
        return confirmer.confirm(sample.view, sample.capture_hashes, sample.directions)

    return confirm


def _unconfirmed(result: DiscoveryResult) -> DiscoveryResult:
    counted, total = result.spec.measures.messages, result.statistics.total
    told = f"unconfirmed: only statistics are kept; claims are counted on a sample of {counted} of {total} messages"
    return replace(result, spec=result.spec.model_copy(update={"unconfirmed": True}), notes=(*result.notes, told))
