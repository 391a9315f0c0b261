"""Run one discovery: read the capture, discover each protocol in it, write progress and results to the catalog."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic, perf_counter, sleep, time_ns
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span

from ..actors.discovery import Watch
from ..actors.streams import Streams
from ..cluster.catalog import CANCELLED, DONE, FAILED, PARTIAL, Catalog, Job
from ..cluster.dependency import UnavailableError
from ..cluster.observability.cost import spending
from ..cluster.observability.logs import telling
from ..cluster.observability.names import JOB_SECONDS, JOB_WAIT_SECONDS, JOBS, JOBS_RETRIED, MESSAGES, STAGE_SECONDS
from ..cluster.observability.traces import past_span, span, trace_id
from ..cluster.payload_scan import PayloadScan
from ..cluster.privacy import read_hash_key
from ..cluster.settings import ServiceSettings
from ..discovery.captured import protocols_in
from ..discovery.captures import Capture, CaptureLimits, read_capture
from ..discovery.errors import CancelledError, QbitelError
from ..discovery.orchestrator import DiscoveryResult, ProtocolDiscoveryOrchestrator
from ..discovery.settings import DiscoverySettings
from ..discovery.stages import STAGES
from .models import Context
from .problems import Problem, problem, problem_of_error
from .webhook import notify

TICK_S = 0.1
BEAT_S = 2.0


class DiscoveryRun:
    """One discovery in a thread of its own: ``execute`` runs there, all else is called from outside."""

    def __init__(self, job: Job, catalog: Catalog, settings: ServiceSettings) -> None:
        self.job, self.catalog, self.settings = job, catalog, settings
        self.stop = threading.Event()
        self.warnings: list[str] = []
        self.stored: list[str] = []
        self.partial = False
        self._lock = threading.Lock()
        self._protocol: str | None = None
        self._counts = (0, 0)
        self._stages: dict[str, dict[str, Any]] = {}
        self._begun: dict[str, float] = {}
        self._span: Span = INVALID_SPAN

    def execute(self) -> None:
        """
        Read the capture and discover every protocol in it.

        Raises:
            QbitelError: the capture cannot be read, or the run was stopped.
        """
        with span("discovery", job=self.job.id, attempt=self.job.attempts) as self._span, spending("discover"):
            self._execute()

    def _execute(self) -> None:
        if "stream" in self.job.request:
            self._execute_stream(self.job.request["stream"], self.job.request["window"])
            return
        context = Context.model_validate(self.job.request["context"])
        capture = self._capture(context)
        self.warnings = list(capture.warnings)
        protocols = protocols_in([capture], context.only)
        if context.protocol and len(protocols) == 1:
            protocols = [replace(protocols[0], known=replace(protocols[0].known, protocol=context.protocol))]
        scan = PayloadScan(self.settings.scan_rules, seconds=self.settings.scan_s)
        batches = (batch for protocol in protocols for batch in protocol.batches.values())
        self.warnings += scan.scan(batches, self.stop.is_set).lines()
        orchestrator = ProtocolDiscoveryOrchestrator(DiscoverySettings(seed=context.seed))
        for number, protocol in enumerate(protocols):
            self._next(protocol.known.protocol, number, len(protocols))
            result = orchestrator.discover(
                protocol.batches,
                known=protocol.known,
                progress=self._tell,
                cancel=self.stop.is_set,
                clock=perf_counter,
            )
            self._keep(result)
        with self._lock:
            self._counts = (len(protocols), len(protocols))

    def _execute_stream(self, name: str, window: str) -> None:
        streams = Streams(self.settings.streams, f"discovery {self.job.id}")
        self._next(name, 0, 1)
        watch = Watch(self._tell, self.stop.is_set, perf_counter)
        self._keep(streams.discover(name, window, watch, read_hash_key(None)))
        with self._lock:
            self._counts = (1, 1)

    def _capture(self, context: Context) -> Capture:
        most, expanded = self.settings.max_body_bytes, self.settings.max_expanded_bytes
        try:
            return read_capture(
                self.settings.uploads / self.job.id,
                port=context.port,
                format=context.format,
                group=context.group,
                limits=CaptureLimits(input_bytes=2 * most, expanded_bytes=expanded),
            )
        except QbitelError as error:
            # The client knows the capture by the name that it gave, not by the file it was kept in.
            raise type(error)(error.what, where=self.job.request["input"]["name"], hint=error.hint) from error

    def progress(self) -> dict[str, Any]:
        """Return how far it has come, as a document."""
        with self._lock:
            total, finished = self._counts
            stages = [dict(stage) for stage in self._stages.values()]
            return {"protocol": self._protocol, "protocols": total, "finished": finished, "stages": stages}

    def _next(self, protocol: str, number: int, total: int) -> None:
        with self._lock:
            self._protocol, self._counts = protocol, (total, number)
            self._stages = {name: {"name": name, "status": "waiting", "fraction": 0.0} for name in STAGES}
            self._begun = {}

    def _tell(self, stage: str, fraction: float) -> None:
        now = perf_counter()
        with self._lock:
            ended = self._stages[stage]["status"] == "ok"
            begun = self._begun.setdefault(stage, now)
            status = "ok" if fraction >= 1 else "running"
            self._stages[stage].update(status=status, fraction=round(fraction, 3), seconds=round(now - begun, 4))
        if status == "ok" and not ended:
            STAGE_SECONDS.record(now - begun, operation="discover", stage=stage)
            end_ns = time_ns()
            past_span(stage, self._span, end_ns - int(1e9 * (now - begun)), end_ns, protocol=self._protocol or "")

    def _keep(self, result: DiscoveryResult) -> None:
        spec = result.spec
        MESSAGES.record(spec.measures.messages, operation="discover")
        self.partial = self.partial or bool(spec.partial)
        # Each of them writes the whole document anew.
        document, found = spec.to_bytes(), spec.id
        digest = sha256(document).hexdigest()
        if found is not None and "stream" not in self.job.request:
            origin: dict[str, Any] = {"version": spec.version, "parent": spec.provenance.parent}
            stored = (found, digest, spec.protocol, spec.measures.messages, document)
            catalog = self.catalog.of(self.job.tenant)
            self._written(lambda: catalog.add_specification(*stored, **origin))
            self.stored.append(found)
        stages = [stage_document(report) for report in result.stages]
        with self._lock:
            self._stages = {stage["name"]: stage for stage in stages}
        kept = {
            "protocol": spec.protocol, "id": found, "digest": digest, "partial": spec.partial,
            "notes": list(result.notes), "stages": stages, "spec": json.loads(document),
        }  # fmt: skip
        self._written(lambda: self.catalog.add_result(self.job.id, kept, self.job.attempts))

    def _written(self, write: Callable[[], object]) -> None:
        """Write to the catalog; while that does not answer, wait for it: what was found is not thrown away for it."""
        while not self.stop.is_set():
            try:
                write()
                return
            except UnavailableError as error:
                self.stop.wait(min(error.retry_after, BEAT_S))


def stage_document(report: Any) -> dict[str, Any]:
    """Return a stage's report as a document."""
    return {
        "name": report.name, "status": report.status, "fraction": 1.0 if report.status == "ok" else 0.0,
        "seconds": None if report.seconds is None else round(report.seconds, 4),
        "message": report.message, "hint": report.hint,
    }  # fmt: skip


async def run_job(job_id: str, catalog: Catalog, settings: ServiceSettings) -> list[str]:
    """
    Run a waiting discovery to its end, which is written to the catalog whatever it is.

    Returns:
        ids of the specifications that have a newer document since.
    """
    job = await asyncio.to_thread(catalog.claim, job_id)
    if job is None:
        return []
    run, begun = DiscoveryRun(job, catalog, settings), perf_counter()
    JOB_WAIT_SECONDS.record((datetime.now(UTC) - job.created).total_seconds())
    if job.attempts > 1:
        JOBS_RETRIED.record()
    parent = job.trace if not trace_id() else None  # handed out again by another gateway: still of that request
    with span("job", parent, job=job.id), telling(job=job.id, trace_id=trace_id()):
        await _run(run)
        if "webhook" in job.request:
            ended = await asyncio.to_thread(catalog.job, job.id)
            if ended is not None and ended.attempts == job.attempts:  # else a later attempt tells of its own end
                await notify(ended, settings)
    JOB_SECONDS.record(perf_counter() - begun)
    return run.stored


async def _run(run: DiscoveryRun) -> None:
    work = asyncio.create_task(asyncio.to_thread(run.execute))
    stopped = await _attend(run, work)
    if stopped is not None:
        # The thread ends at its next step; what it still writes changes nothing, for the discovery has ended.
        run.stop.set()
        await asyncio.to_thread(_finish, run, *stopped)
    status: str = FAILED
    found: Problem | None = problem(500, "the discovery failed", code="internal", hint="the service's log tells more")
    try:
        await work
        status, found = (PARTIAL if run.partial else DONE), None
    except QbitelError as error:
        status = CANCELLED if isinstance(error, CancelledError) else FAILED
        found = problem_of_error(error)
    finally:
        await asyncio.to_thread(_finish, run, status, found)


async def _attend(run: DiscoveryRun, work: asyncio.Task[None]) -> tuple[str, Problem | None] | None:
    """Write progress until the work ends (None) or must not go on (the status and problem to end with)."""
    deadline = monotonic() + run.settings.discovery_timeout_s
    written: dict[str, Any] = {}
    beat = monotonic()
    while not (await asyncio.wait({work}, timeout=TICK_S))[0]:
        now, progress = monotonic(), run.progress()
        if now > deadline:
            detail = f"the discovery took more than {run.settings.discovery_timeout_s:g} s"
            hint = "send fewer messages, or raise the service's setting discovery_timeout_s"
            return FAILED, problem(504, detail, hint=hint)
        if progress != written or now - beat > BEAT_S:
            if not await asyncio.to_thread(_beat, run, progress):
                return CANCELLED, None
            written, beat = progress, now
    return None


def _beat(run: DiscoveryRun, progress: dict[str, Any]) -> bool:
    """Write progress and say whether to go on; without the catalog it goes on, for nobody can have stopped it."""
    try:
        return run.catalog.beat(run.job.id, progress, run.job.attempts)
    except UnavailableError:
        return True


def _finish(run: DiscoveryRun, status: str, found: Problem | None) -> None:
    document = None if found is None else found.model_dump(mode="json")
    end: dict[str, Any] = {
        "progress": run.progress(),
        "warnings": run.warnings,
        "problem": document,
        "attempt": run.job.attempts,
    }
    until = monotonic() + run.settings.discovery_timeout_s
    while True:
        try:
            if run.catalog.finish(run.job.id, status, **end):
                JOBS.record(status=status)
            return
        except UnavailableError as error:
            if monotonic() > until:
                raise
            sleep(min(error.retry_after, BEAT_S))
