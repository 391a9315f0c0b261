"""ProtocolDiscoveryOrchestrator: runs the stages from messages to a specification, and tells what each one did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .analyst import AnalystLabels
from .batch import MessageBatch, MessageView
from .boundaries import default_segmenter
from .confirmation import Confirmation, Confirmer
from .grammar import learn_grammar
from .parser import Parser
from .privacy import OPEN, Privacy
from .proposal import propose
from .rivals import with_rivals
from .sample import Sample
from .settings import DiscoverySettings
from .spec import Capture, Carrier, DatagramFraming, Evidence, Framing, ProtocolSpec, Provenance, walk
from .spec.diff import Change, diff
from .stages import Cancel, Clock, Progress, StageError, StageReport, StageRunner
from .statistics import MessageStatistics

ENGINE = "qbitel 0.1.0"
CHUNK = 1 << 16
Confirm = Callable[[ProtocolSpec], Confirmation]
"""Confirms a specification on all messages, wherever they are."""


@dataclass(frozen=True)
class Portion:
    """
    Messages to confirm a specification on.

    Attributes:
        view: the messages; captures: capture hash by source index.
        directions: (n, 3) int64, occurrences by direction where a message stands for several; None for once each.
    """

    view: MessageView
    captures: tuple[str, ...]
    directions: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Known:
    """What is known of a protocol before its messages are read: its name, what carries it, how it was framed."""

    protocol: str = "protocol"
    carrier: Carrier | None = None
    framing: Framing = field(default_factory=DatagramFraming)
    framing_evidence: Evidence | None = None

    def base(self) -> ProtocolSpec:
        """Return a specification that holds only this."""
        evidence = {} if self.framing_evidence is None else {"framing:stream": self.framing_evidence}
        return ProtocolSpec(protocol=self.protocol, carrier=self.carrier, framing=self.framing, evidence=evidence)


@dataclass(frozen=True)
class DiscoveryResult:
    """
    A specification, the statistics it was read from, and a report of each stage.

    Attributes:
        spec: partial (``spec.partial`` is not empty and ``spec.id`` is None) where a stage failed.
        notes: lines for a person, for instance that no structure was found. privacy: what of it may be shown.
    """

    spec: ProtocolSpec
    statistics: MessageStatistics
    stages: tuple[StageReport, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    privacy: Privacy = OPEN


class ProtocolDiscoveryOrchestrator:
    """
    From messages to a specification, in stages with counted budgets.

    The same messages, in any order and any split, with the same settings and labels give the same specification.

    Args:
        privacy: which values a specification may hold; rivals, which name values too, are left out where it hides any.
        labels: what an analyst said of messages of the protocol.
    """

    def __init__(
        self,
        settings: DiscoverySettings | None = None,
        privacy: Privacy | None = None,
        labels: AnalystLabels | None = None,
    ) -> None:
        self.settings, self._privacy = settings or DiscoverySettings(), privacy or OPEN
        self.labels = labels or AnalystLabels()

    def discover(
        self,
        messages: MessageBatch | Mapping[str, MessageBatch],
        *,
        known: Known | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Clock | None = None,
    ) -> DiscoveryResult:
        """
        Find the specification of one protocol's messages.

        Args:
            messages: a batch, or one per capture by the capture's hash (first 16 hexadecimal digits of its SHA-256);
                the order does not matter.
            known: what is known before: the protocol's name, its carrier, how it was framed.
            progress: called with (stage, fraction); cancel: asked between steps; clock: seconds, for the reports.

        Raises:
            CancelledError: the cancel token was set.
        """
        batches = {"": messages} if isinstance(messages, MessageBatch) else dict(messages)
        runner = StageRunner(progress, cancel, clock)
        statistics = MessageStatistics(self.settings)
        return self._infer((known or Known()).base(), statistics, batches, _portions(batches), runner)

    def conclude(
        self,
        known: Known,
        statistics: MessageStatistics,
        messages: Mapping[str, MessageBatch] | Confirm,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Clock | None = None,
    ) -> DiscoveryResult:
        """
        Find the specification from statistics that were taken elsewhere (by shards) and confirm it on the messages.

        Args:
            messages: those that were counted, or what confirms a specification where they are.

        Raises:
            CancelledError: the cancel token was set.
        """
        confirm = messages if callable(messages) else _portions(messages)
        return self._infer(known.base(), statistics, None, confirm, StageRunner(progress, cancel, clock))

    def extend(
        self,
        spec: ProtocolSpec,
        statistics: MessageStatistics,
        messages: MessageBatch | Mapping[str, MessageBatch],
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Clock | None = None,
    ) -> DiscoveryResult:
        """
        Learn on: add messages to those a specification was read from, and return its next version with the changes.

        Args:
            spec, statistics: of the earlier result. Of its messages only the sample is left: they are confirmed again
                through it, each distinct payload with its count (all of them where the sample was complete).

        Raises:
            CancelledError: the cancel token was set.
        """
        batches = {"": messages} if isinstance(messages, MessageBatch) else dict(messages)
        runner = StageRunner(progress, cancel, clock)
        earlier = statistics.sample()
        # Merging with nothing makes a copy: the caller's statistics stay as they are.
        merged = statistics.merge(MessageStatistics(statistics.settings))
        known = Known(spec.protocol, spec.carrier, spec.framing, spec.evidence.get("framing:stream"))
        base = known.base()
        provenance = base.provenance.model_copy(update={"parent": spec.digest})
        base = base.model_copy(update={"version": spec.version + 1, "provenance": provenance})
        again = Portion(earlier.view, earlier.capture_hashes, earlier.directions)
        result = self._infer(base, merged, batches, [again, *_portions(batches)], runner)
        return replace(result, changes=tuple(diff(spec, result.spec)))

    def _infer(
        self,
        base: ProtocolSpec,
        statistics: MessageStatistics,
        unread: Mapping[str, MessageBatch] | None,
        messages: Sequence[Portion] | Confirm,
        runner: StageRunner,
    ) -> DiscoveryResult:
        """Run the stages; ``unread`` goes into the statistics first (None: they were taken elsewhere)."""
        runner.keep(base)
        try:
            if unread is not None:
                self._read(statistics, unread, runner)
            spec = runner.keep(base.model_copy(update={"provenance": self._provenance(base, statistics)}))
            spec = self._rounds(spec, statistics.sample(), messages, runner)
        except StageError:
            failed = runner.failed
            assert failed is not None
            spec = runner.found.model_copy(update={"partial": [f"{failed.name}: {failed.message}"]})
        told = tuple(notes(spec, statistics))
        return DiscoveryResult(spec, statistics, tuple(runner.reports.values()), told, privacy=self._privacy)

    def _provenance(self, base: ProtocolSpec, statistics: MessageStatistics) -> Provenance:
        return base.provenance.model_copy(
            update={
                "captures": [Capture(hash=h, messages=n) for h, n in statistics.captures()],
                "statistics_digest": statistics.digest(),
                "settings_digest": self.settings.digest(),
                "labels_digest": self.labels.digest,
                "seed": self.settings.seed,
                "engine": ENGINE,
                "models": {"segmenter": default_segmenter().network.digest},
            }
        )

    def _read(self, statistics: MessageStatistics, batches: Mapping[str, MessageBatch], runner: StageRunner) -> None:
        total = sum(len(batch) for batch in batches.values())
        with runner.stage("statistics") as report:
            done = 0
            for capture_hash, batch in batches.items():
                for start in range(0, len(batch), CHUNK):
                    runner.check()
                    chunk = batch.slice(start, CHUNK)
                    statistics.update(chunk, capture_hash)
                    done += len(chunk)
                    runner.tell("statistics", done / total)
            report.message = f"{total} messages"

    def _rounds(
        self, base: ProtocolSpec, sample: Sample, messages: Sequence[Portion] | Confirm, runner: StageRunner
    ) -> ProtocolSpec:
        spec = base
        for round_number in range(1, self.settings.confirm_rounds + 1):
            spec = propose(base, sample, self.settings, runner.stage, runner.keep, labels=self.labels)
            with runner.stage("confirm") as report:
                confirmer = Confirmer(spec, self.settings)
                confirmation = self._confirm(confirmer, messages, runner)
                spec = runner.keep(confirmation.apply(spec, sample, confirmer.parser))
                wider = confirmation.widen(sample) if round_number < self.settings.confirm_rounds else None
                if wider is None:
                    spec = runner.keep(self._shown(spec, sample, confirmer.parser))
                report.message = f"{confirmation.explained} of {confirmation.messages} messages explained"
            if wider is None:
                break
            sample = wider
        with runner.stage("grammar") as report:
            parser = Parser(spec) if self._privacy.veils else confirmer.parser.of(spec)
            spec = learn_grammar(spec, sample, self.settings, parser)
            report.message = f"{len(spec.grammar.rules)} rules"
        return spec

    def _shown(self, spec: ProtocolSpec, sample: Sample, parser: Parser) -> ProtocolSpec:
        if self._privacy.veils:
            return self._privacy.veil(spec, sample)
        return with_rivals(spec, sample, parser.of(spec))

    def _confirm(
        self, confirmer: Confirmer, messages: Sequence[Portion] | Confirm, runner: StageRunner
    ) -> Confirmation:
        if callable(messages):
            return messages(confirmer.spec)
        total: Confirmation | None = None
        count = sum(len(portion.view) for portion in messages)
        done = 0
        for portion in messages:
            for start in range(0, len(portion.view), CHUNK):
                runner.check()
                rows = slice(start, start + CHUNK)
                weights = None if portion.directions is None else portion.directions[rows]
                view = portion.view.take(rows)
                found = confirmer.confirm(view, portion.captures, weights)
                total = total.merge(found) if total is not None else found
                done += len(view)
                runner.tell("confirm", done / count)
        return total or confirmer.empty()


def _portions(batches: Mapping[str, MessageBatch]) -> list[Portion]:
    return [Portion(batch.view(), (capture_hash,)) for capture_hash, batch in batches.items()]


def notes(spec: ProtocolSpec, statistics: MessageStatistics) -> Iterator[str]:
    """Yield what a person should know before trusting the specification."""
    if spec.measures.messages > 1 and statistics.distinct()[0] == 1:
        yield "all messages are identical: nothing varies, so little can be claimed"
    if spec.measures.messages == 0:
        yield "no messages were read"
    elif not has_structure(spec):
        yield "no structure found: the messages look like random, encrypted or identical bytes; no fields are claimed"
    if 0 < spec.measures.messages < 8:
        count = "one message" if spec.measures.messages == 1 else f"{spec.measures.messages} messages"
        yield f"only {count}: claims rest on very little evidence"
    unexplained = spec.measures.messages - spec.measures.explained
    if unexplained:
        yield f"{unexplained} of {spec.measures.messages} messages do not parse and stay visible as unknown or damaged"
    yield from _spent(spec, statistics)


def _spent(spec: ProtocolSpec, statistics: MessageStatistics) -> Iterator[str]:
    """Yield the budgets that ended something: what lies beyond them was not looked for."""
    settings, cut = statistics.settings, int(statistics.lengths.totals[2])
    if cut:
        yield f"{cut} messages were read up to byte {settings.max_message_bytes} (setting max_message_bytes)"
    if len(spec.types) >= settings.max_types:
        yield f"there may be more than {len(spec.types)} types: rarer ones share the last (setting max_types)"
    full = [message_type.name for message_type in spec.types if len(message_type.elements) >= settings.max_fields]
    if full:
        yield f"what follows {settings.max_fields} fields is not divided: {', '.join(full[:4])} (setting max_fields)"


def has_structure(spec: ProtocolSpec) -> bool:
    """Return whether any type has more than one element, a repeat's and a field's own elements included."""
    return any(
        len(list(walk(message_type.elements))) > 1 or any(getattr(e, "group", None) for e in message_type.elements)
        for message_type in spec.types
    )
