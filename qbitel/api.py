"""The Python face: captures or messages in, specifications out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .discovery.analyst import AnalystLabels, MessageLabel
from .discovery.batch import MessageBatch
from .discovery.captured import CapturedProtocol, DiscoveredProtocol, discover_captures, protocols_in, the_one
from .discovery.captures import Capture, read_capture
from .discovery.captures.grouping import Grouping
from .discovery.errors import InputError, NotFoundError
from .discovery.orchestrator import Known, ProtocolDiscoveryOrchestrator
from .discovery.settings import DiscoverySettings
from .discovery.spec import ProtocolSpec
from .discovery.stages import Cancel, Progress
from .discovery.statistics import StatisticalAnalyzer
from .results import INDEX, StoredProtocol, open_results, protocols_of


def discover(
    source: Capture | MessageBatch | str | PathLike[str] | Iterable[bytes],
    *,
    protocol: str | None = None,
    settings: DiscoverySettings | None = None,
    labels: Iterable[MessageLabel] = (),
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ProtocolSpec:
    """
    Return the specification of one protocol.

    Where a stage failed, ``spec.partial`` says which and why, ``spec.id`` is None, and what was found before it stays;
    ``ProtocolDiscoveryOrchestrator.discover`` also reports each stage, with what to do about a failure.

    Args:
        source: messages (bytes or a MessageBatch), a capture, or the path of one.
        protocol: which protocol of a capture that holds several, for instance ``udp_20547``.
        settings: the seed and the budgets (messages, bytes, fields, rounds), all of them counts.
        labels: what is known of single messages: the name of their type, where their fields begin.
        progress: called with the name of the stage and the fraction of it that is done, 0 to 1.
        cancel: asked between steps; the discovery ends where it returns True.

    Raises:
        InputError: the source cannot be read or holds no messages, or no byte tells named types apart.
        LimitError: the source passes a limit of bytes, packets or messages.
        NotFoundError: it holds several protocols and none was named, or not the one that was named.
        CancelledError: ``cancel`` returned True.
    """
    if isinstance(source, (str, PathLike)):
        source = read_capture(Path(source))
    orchestrator = ProtocolDiscoveryOrchestrator(settings, labels=AnalystLabels.of(labels))
    if isinstance(source, Capture):
        chosen = _only(protocols_in([source], protocol))
        return orchestrator.discover(chosen.batches, known=chosen.known, progress=progress, cancel=cancel).spec
    batch = source if isinstance(source, MessageBatch) else MessageBatch.from_payloads(source)
    if not len(batch):
        raise InputError("no messages to read")
    known = Known(protocol or "protocol")
    return orchestrator.discover(batch, known=known, progress=progress, cancel=cancel).spec


def _only(protocols: Sequence[CapturedProtocol]) -> CapturedProtocol:
    return the_one({f"{p.known.protocol} ({len(p.messages)})": p for p in protocols})


@dataclass(frozen=True)
class Discovered:
    """What was found in captures: every protocol, and what the readers had to say."""

    protocols: tuple[DiscoveredProtocol, ...]
    warnings: tuple[str, ...]


def discover_all(
    sources: Sequence[str | PathLike[str]],
    *,
    only: str | None = None,
    port: int | None = None,
    form: str | None = None,
    group: Grouping | None = None,
    settings: DiscoverySettings | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    extend: Path | None = None,
    labels: Mapping[str, AnalystLabels] | None = None,
) -> Discovered:
    """
    Find the specification of every protocol in capture files.

    Args:
        only, port: read only this protocol group, only flows with this port.
        form: format of the files where it should not be found out.
        group: by ``port`` or ``transport``; regroups and reframes the rows of tables.
        progress, cancel: as ``discover`` takes them; stages begin anew with each protocol.
        extend: a result folder to learn on: protocols that it holds are extended by these captures, with the settings
            that they were begun with; others are begun.
        labels: what an analyst said of messages, by protocol.

    Raises:
        InputError: a file cannot be read, or none holds messages.
        LimitError: a file passes a limit of bytes or packets.
        NotFoundError: there is no group named ``only``.
        CancelledError: ``cancel`` returned True.
    """
    captures, warnings = _read_once([read_capture(Path(s), port=port, format=form, group=group) for s in sources])
    watched: dict[str, Any] = {"progress": progress, "cancel": cancel, "clock": perf_counter}
    if extend is None:
        found = discover_captures(captures, only=only, settings=settings, labels=labels, **watched)
    else:
        known = labels or {}
        found = [
            _extended(extend, p, ProtocolDiscoveryOrchestrator(settings, labels=known.get(p.known.protocol)), watched)
            for p in protocols_in(captures, only)
        ]
    return Discovered(tuple(found), warnings)


def _read_once(captures: Sequence[Capture]) -> tuple[list[Capture], tuple[str, ...]]:
    """Return the captures but for copies of others, whose messages would count twice, and the warnings of all."""
    first: dict[str, Capture] = {}
    warnings = []
    for capture in captures:
        if capture.sha256 in first:
            warnings.append(f"{capture.source}: the same capture as {first[capture.sha256].source}: it was left out")
        else:
            first[capture.sha256] = capture
            warnings += [f"{capture.source}: {warning}" for warning in capture.warnings]
    return list(first.values()), tuple(warnings)


def _extended(
    folder: Path, protocol: CapturedProtocol, orchestrator: ProtocolDiscoveryOrchestrator, watched: Mapping[str, Any]
) -> DiscoveredProtocol:
    name = protocol.known.protocol
    if not (folder / INDEX).exists() or name not in protocols_of(folder):
        result = orchestrator.discover(protocol.batches, known=protocol.known, **watched)
        return DiscoveredProtocol(result, protocol.messages)
    stored = open_results(folder, name)
    seen = {capture.hash for capture in stored.spec.provenance.captures}
    fresh = {capture: batch for capture, batch in protocol.batches.items() if capture not in seen}
    if not fresh:
        hint = "the same messages are not counted twice"
        raise InputError(f"{name} has been learned from these captures before", where=str(folder), hint=hint)
    statistics = stored.statistics()
    # What was counted under one seed and budgets is read under them.
    orchestrator = ProtocolDiscoveryOrchestrator(statistics.settings, labels=orchestrator.labels)
    result = orchestrator.extend(stored.spec, statistics, fresh, **watched)
    return DiscoveredProtocol(result, MessageBatch.concatenate([stored.messages(), protocol.messages]))


def relabel(stored: StoredProtocol, labels: AnalystLabels, progress: Progress | None = None) -> DiscoveredProtocol:
    """
    Read a stored protocol's statistics again under an analyst's labels, and return its next version with the changes.

    Of its messages only the sample is left, and is what it is confirmed on.

    Raises:
        InputError: the statistics cannot be read.
    """
    statistics = stored.statistics()
    orchestrator = ProtocolDiscoveryOrchestrator(statistics.settings, labels=labels)
    result = orchestrator.extend(stored.spec, statistics, {}, progress=progress, clock=perf_counter)
    return DiscoveredProtocol(result, stored.messages())


def load_messages(
    source: str | PathLike[str], spec: ProtocolSpec, port: int | None = None
) -> tuple[MessageBatch, tuple[str, ...]]:
    """
    Read the messages of a specification's protocol from a file, framed as the specification says, and the warnings.

    Args:
        port: only flows with this one.

    Raises:
        InputError: the file cannot be read.
        NotFoundError: it holds several protocols and none of the specification's name.
    """
    capture = read_capture(Path(source), port=port)
    names = {group.name for group in capture.groups}
    if not names:
        return MessageBatch.from_payloads([]), (*capture.warnings, f"{source}: there are no messages in it")
    only = spec.protocol if spec.protocol in names else None
    if only is None and len(names) > 1:
        hint = f"--port reads one of: {', '.join(sorted(names)[:12])}"
        raise NotFoundError(f"{len(names)} protocols and no {spec.protocol}", where=str(source), hint=hint)
    chosen = _only(protocols_in([capture], only, spec.framing))
    warnings = list(capture.warnings)
    # Rows of a table say nothing of their protocol; a port does.
    if only is None and chosen.known.carrier is not None:
        warnings.append(f"{source} holds {chosen.known.protocol}: its messages are read as {spec.protocol}")
    return chosen.messages, tuple(warnings)


def digest_of(
    source: str | PathLike[str],
    *,
    shards: int = 1,
    shuffle: int | None = None,
    port: int | None = None,
    protocol: str | None = None,
    settings: DiscoverySettings | None = None,
) -> dict[str, Any]:
    """
    Return ``digest`` of the statistics and ``spec_id``, computed over so many shards and in a shuffled order.

    ``warnings`` says what of the capture was damaged or left out: the digest is of the rest.

    Raises:
        InputError, NotFoundError: as ``discover``.
    """
    settings = settings or DiscoverySettings()
    capture = read_capture(Path(source), port=port)
    chosen = _only(protocols_in([capture], protocol))
    ((capture_hash, batch),) = chosen.batches.items()
    if shuffle is not None:
        batch = batch.take(np.random.default_rng(shuffle).permutation(len(batch)).astype(np.int64))
    statistics = StatisticalAnalyzer(settings).analyze_sharded(batch, shards, capture_hash)
    result = ProtocolDiscoveryOrchestrator(settings).conclude(chosen.known, statistics, {capture_hash: batch})
    found = {"digest": statistics.digest(), "spec_id": result.spec.id, "shards": shards, "messages": len(batch)}
    return {**found, "warnings": capture.warnings}
