"""
Traces by OpenTelemetry: spans of this process go to an OTLP/HTTP collector, and contexts travel as W3C ``traceparent``.

Without a collector no span is recorded, and the caller's trace id still travels and is logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Value = str | int | float | bool

TRACEPARENT = "traceparent"
_EXPORT_S = 5
_W3C = TraceContextTextMapPropagator()


class _Tracing:
    """What this process does with spans; it is set once, when a process of the service starts."""

    provider: TracerProvider | None = None
    tracer: Tracer = NoOpTracer()


def start_tracing(role: str, endpoint: str | None, share: float, version: str) -> None:
    """
    Send the spans of this process to a collector.

    Args:
        endpoint: its URL for traces, for instance ``http://collector:4318/v1/traces``; None: spans are not recorded.
        share: of traces that begin here and are recorded; for others the caller's decision holds.
    """
    stop_tracing()
    if endpoint is None:
        return
    resource = Resource.create({"service.name": f"qbitel-{role}", "service.version": version})
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(share)), resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_S)))
    _Tracing.provider, _Tracing.tracer = provider, provider.get_tracer("qbitel", version)


def stop_tracing() -> None:
    """Send what is left, and record nothing more."""
    if _Tracing.provider is not None:
        _Tracing.provider.shutdown()
    _Tracing.provider, _Tracing.tracer = None, NoOpTracer()


def parent_of(headers: Mapping[str, str]) -> Context:
    """Return the context that a caller has sent, an empty one where it sent none or nonsense."""
    return _W3C.extract(headers, context=Context())


def carried() -> str | None:
    """Return the current span as a ``traceparent``, None outside any."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(TRACEPARENT)


def trace_id() -> str:
    """Return the id of the current trace as 32 hexadecimal digits, empty outside any."""
    context = get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


@contextmanager
def span(
    name: str, parent: str | Context | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value
) -> Iterator[Span]:
    """
    Make the block a span; an error that leaves it is its status, by its type alone.

    Args:
        parent: a ``traceparent`` or a context that came from another process; None: the current span.
    """
    context = parent_of({TRACEPARENT: parent}) if isinstance(parent, str) else parent
    if _Tracing.provider is None:
        # Nothing is recorded here, but the trace goes on behind: its id is in logs and in calls to others.
        found = get_current_span(context) if context is not None else INVALID_SPAN
        with use_span(found) if found is not INVALID_SPAN else _nothing():
            yield found
        return
    made = _Tracing.tracer.start_span(name, context, kind, attributes)
    try:
        with use_span(made, record_exception=False, set_status_on_exception=False):
            yield made
    except BaseException as error:
        made.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        made.end()


def past_span(name: str, parent: Span, begun_ns: int, ended_ns: int, **attributes: Value) -> None:
    """Record what has happened already below a span: times are in nanoseconds since 1970."""
    made = _Tracing.tracer.start_span(name, set_span_in_context(parent), attributes=attributes, start_time=begun_ns)
    made.end(ended_ns)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
