"""ProtocolDiscoveryOrchestrator: runs the stages from messages to a specification, and tells what each one did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from .batch import MessageBatch
from .confirmation import Confirmation, confirm
from .errors import CancelledError, QbitelError
from .proposal import propose
from .sample import Sample
from .settings import DiscoverySettings
from .spec import Capture, Evidence, Framing, ProtocolSpec, Provenance
from .spec.diff import Change, diff
from .statistics import MessageStatistics

ENGINE = "qbitel 0.1.0"
STAGES = (
    "statistics", "types", "relations", "boundaries", "layout", "semantics", "confirm", "grammar",
)  # fmt: skip
CHUNK = 1 << 16

Progress = Callable[[str, float], None]
Cancel = Callable[[], bool]
Clock = Callable[[], float]


@dataclass
class StageReport:
    """What one stage did: ``message`` says why it failed or what it found, ``hint`` what to do about a failure."""

    name: str
    status: Literal["ok", "failed", "skipped"] = "skipped"
    seconds: float | None = None
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class DiscoveryResult:
    """
    A specification, the statistics it was read from, and a report of each stage.

    Attributes:
        spec: partial (``spec.partial`` is not empty and ``spec.id`` is None) where a stage failed.
        notes: lines for a person, for instance that no structure was found.
    """

    spec: ProtocolSpec
    statistics: MessageStatistics
    stages: tuple[StageReport, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass
class StageRunner:
    """Runs stages one after another: reports progress, stops on a cancel token, keeps the first failure."""

    progress: Progress | None = None
    cancel: Cancel | None = None
    clock: Clock | None = None
    reports: dict[str, StageReport] = field(default_factory=lambda: {name: StageReport(name) for name in STAGES})
    failed: StageReport | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[StageReport]:
        """Run the body as that stage; an error of the engine ends it as failed and is raised again as ``StageFailed``."""
        self.check()
        report = self.reports[name]
        self.tell(name, 0.0)
        start = self.clock() if self.clock else None
        try:
            yield report
            report.status = "ok"
        except CancelledError:
            raise
        except QbitelError as error:
            report.status, report.message, report.hint = "failed", str(error), error.hint
            self.failed = report
            raise StageFailed(name) from error
        finally:
            if self.clock and start is not None:
                report.seconds = (report.seconds or 0.0) + self.clock() - start
        self.tell(name, 1.0)

    def tell(self, name: str, fraction: float) -> None:
        """Report the progress of a stage, from 0 to 1."""
        if self.progress:
            self.progress(name, fraction)

    def check(self) -> None:
        """Raise CancelledError where the caller's token is set."""
        if self.cancel and self.cancel():
            raise CancelledError("the discovery was cancelled")


class StageFailed(Exception):
    """A stage failed; its report says why. Never leaves the orchestrator."""


class ProtocolDiscoveryOrchestrator:
    """
    From messages to a specification, in stages with counted budgets.

    The same messages, in any order and any split, with the same settings give the same specification.
    """

    def __init__(self, settings: DiscoverySettings | None = None) -> None:
        self.settings = settings or DiscoverySettings()

    def discover(
        self,
        batch: MessageBatch,
        *,
        protocol: str = "protocol",
        framing: tuple[Framing, Evidence] | None = None,
        capture_hash: str = "",
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Clock | None = None,
    ) -> DiscoveryResult:
        """
        Find the specification of one protocol's messages.

        Args:
            batch: the messages; their order does not matter.
            protocol: a name for the result.
            framing: how the messages were cut from a stream, with its evidence.
            capture_hash: first 16 hexadecimal digits of the capture's SHA-256, for message references.
            progress: called with (stage, fraction); cancel: asked between steps; clock: seconds, for the reports.

        Raises:
            CancelledError: the cancel token was set.
        """
        runner = StageRunner(progress, cancel, clock)
        statistics = MessageStatistics(self.settings)
        try:
            with runner.stage("statistics") as report:
                for done, chunk in _chunks(batch):
                    runner.check()
                    statistics.update(chunk, capture_hash)
                    runner.tell("statistics", done / len(batch))
                report.message = f"{len(batch)} messages"
        except StageFailed:
            pass
        base = ProtocolSpec(protocol=protocol, provenance=self._provenance(statistics))
        if framing is not None:
            base = base.model_copy(update={"framing": framing[0], "evidence": {"framing:stream": framing[1]}})
        return self._infer(base, statistics, [batch], runner)

    def extend(
        self,
        result: DiscoveryResult,
        batch: MessageBatch,
        *,
        capture_hash: str = "",
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Clock | None = None,
    ) -> DiscoveryResult:
        """
        Learn on: add messages of another capture and return the next version of the specification with its changes.

        Counts confirmed over earlier captures stay; the new messages are confirmed and added.
        """
        runner = StageRunner(progress, cancel, clock)
        statistics = MessageStatistics(self.settings).merge(result.statistics)
        with runner.stage("statistics"):
            for _, chunk in _chunks(batch):
                runner.check()
                statistics.update(chunk, capture_hash)
        old = result.spec
        provenance = self._provenance(statistics).model_copy(update={"parent": old.digest})
        base = ProtocolSpec(
            protocol=old.protocol, framing=old.framing, version=old.version + 1, provenance=provenance,
            evidence={k: e for k, e in old.evidence.items() if k == "framing:stream"},
        )  # fmt: skip
        extended = self._infer(base, statistics, [_retained(statistics), batch], runner)
        changes = tuple(diff(old, extended.spec))
        return DiscoveryResult(extended.spec, statistics, extended.stages, extended.notes, changes)

    def _provenance(self, statistics: MessageStatistics) -> Provenance:
        captures = [Capture(hash=h, messages=n) for h, n in statistics.captures()]
        return Provenance(
            captures=captures, statistics_digest=statistics.digest(), settings_digest=self.settings.digest(),
            seed=self.settings.seed, engine=ENGINE,
        )  # fmt: skip

    def _infer(
        self, base: ProtocolSpec, statistics: MessageStatistics, batches: Sequence[MessageBatch], runner: StageRunner
    ) -> DiscoveryResult:
        spec = base
        try:
            sample = statistics.sample()
            for round_number in range(self.settings.confirm_rounds):
                spec = propose(base, sample, self.settings, runner)
                with runner.stage("confirm") as report:
                    confirmation = self._confirm(spec, batches, runner)
                    spec = confirmation.apply(spec, sample)
                    report.message = f"{confirmation.explained} of {confirmation.messages} messages explained"
                wider = confirmation.widen(sample, self.settings)
                if wider is None or round_number + 1 == self.settings.confirm_rounds:
                    break
                sample = wider
            spec = self._with_grammar(spec, sample, runner)
        except StageFailed:
            failed = runner.failed
            assert failed is not None
            reason = f"{failed.name}: {failed.message}"
            spec = spec.model_copy(update={"partial": [*spec.partial, reason]})
        return DiscoveryResult(spec, statistics, tuple(runner.reports.values()), tuple(notes(spec)))

    def _confirm(self, spec: ProtocolSpec, batches: Iterable[MessageBatch], runner: StageRunner) -> Confirmation:
        total = Confirmation.empty(spec, self.settings)
        for batch in batches:
            for done, chunk in _chunks(batch):
                runner.check()
                total = total.merge(confirm(spec, chunk, self.settings))
                runner.tell("confirm", done / max(len(batch), 1))
        return total

    def _with_grammar(self, spec: ProtocolSpec, sample: Sample, runner: StageRunner) -> ProtocolSpec:
        from .grammar import learn_grammar

        with runner.stage("grammar") as report:
            spec = learn_grammar(spec, sample, self.settings)
            report.message = f"{len(spec.grammar.rules)} rules"
        return spec


def notes(spec: ProtocolSpec) -> Iterator[str]:
    """Yield what a person should know before trusting the specification."""
    if spec.measures.messages == 0:
        yield "no messages were read"
    elif not has_structure(spec):
        yield "no structure found: the messages look like random, encrypted or identical bytes; no fields are claimed"
    if 0 < spec.measures.messages < 8:
        yield f"only {spec.measures.messages} message(s): claims rest on very little evidence"
    unexplained = spec.measures.messages - spec.measures.explained
    if unexplained:
        yield f"{unexplained} of {spec.measures.messages} messages do not parse and stay visible as unknown or damaged"


def has_structure(spec: ProtocolSpec) -> bool:
    """Return whether any type has more than one element."""
    return any(len(message_type.elements) > 1 for message_type in spec.types)


def _chunks(batch: MessageBatch) -> Iterator[tuple[int, MessageBatch]]:
    for start in range(0, len(batch), CHUNK):
        chunk = batch.slice(start, CHUNK)
        yield start + len(chunk), chunk


def _retained(statistics: MessageStatistics) -> MessageBatch:
    return MessageBatch.from_payloads([])
