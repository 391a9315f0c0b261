"""Every metric there is; docs/metrics.md is written from this table."""

from __future__ import annotations

from .metrics import Label, Metric

_MILLISECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

DEPENDENCIES = ("catalog", "redis", "storage", "model-server", "http", "ray")
_DEPENDENCY = Label("dependency", DEPENDENCIES)
_ROUTE = Label("route")
_STATUS = Label("status", ("2xx", "3xx", "4xx", "5xx"))
_OPERATION = Label("operation", ("parse", "validate", "classify", "discover", "append"))
_TIER = Label("tier", ("memory", "redis"))
_ROLE = Label("role", ("gateway", "worker", "model-server", "shard"))

HTTP_SECONDS = Metric(
    "qbitel_http_request_seconds", "histogram", "Time to the last byte of an answer", (_ROUTE, _STATUS), _MILLISECONDS
)
HTTP_REQUESTS = Metric("qbitel_http_requests_total", "counter", "Requests answered", (_ROUTE, _STATUS))
HTTP_IN_FLIGHT = Metric("qbitel_http_in_flight", "gauge", "Requests that are being answered in a process")
HTTP_SLOW = Metric("qbitel_http_slow_total", "counter", "Requests that took longer than slow_request_s", (_ROUTE,))
HTTP_PROBLEMS = Metric("qbitel_http_problems_total", "counter", "Problems answered", (Label("code"),))
TENANT_REQUESTS = Metric("qbitel_tenant_requests_total", "counter", "Requests of a tenant", (Label("tenant"), _STATUS))

MESSAGES = Metric("qbitel_messages_total", "counter", "Messages worked on", (_OPERATION,))
STAGE_SECONDS = Metric(
    "qbitel_stage_seconds", "histogram", "Time of a stage of an operation", (_OPERATION, Label("stage")),
    _MILLISECONDS,
)  # fmt: skip
CPU_SECONDS = Metric("qbitel_cpu_seconds_total", "counter", "Processor time spent on an operation", (_OPERATION,))
COST = Metric("qbitel_cost_total", "counter", "Price of that time, at core_hour_price an hour", (_OPERATION,))

JOBS = Metric(
    "qbitel_jobs_total", "counter", "Jobs that ended", (Label("status", ("done", "partial", "failed", "cancelled")),)
)
JOBS_RETRIED = Metric("qbitel_jobs_retried_total", "counter", "Jobs begun again after their worker was lost")
JOBS_WAITING = Metric("qbitel_jobs_waiting", "gauge", "Jobs that wait for a worker, as a gateway sees it")
JOB_SECONDS = Metric("qbitel_job_seconds", "histogram", "Time of a job from its start to its end", (), _SECONDS)
JOB_WAIT_SECONDS = Metric("qbitel_job_wait_seconds", "histogram", "Time a job waited for a worker", (), _SECONDS)

CONFIDENCE = Metric("qbitel_classify_confidence", "histogram", "Probability of the first candidate", (), _SHARES)
UNKNOWN = Metric("qbitel_classify_unknown_total", "counter", "Classifications that ended as unknown")
MODEL = Metric("qbitel_model_info", "gauge", "1 for the weights in use", (Label("model"), Label("version")))

CACHE_REQUESTS = Metric(
    "qbitel_cache_requests_total", "counter", "Look-ups", (_TIER, Label("outcome", ("hit", "miss", "error")))
)
CACHE_ENTRIES = Metric("qbitel_cache_entries", "gauge", "Answers in a process's cache", (_TIER,))
CACHE_BYTES = Metric("qbitel_cache_bytes", "gauge", "Their size", (_TIER,))

POOL_SIZE = Metric("qbitel_pool_size", "gauge", "Calls that a process makes at once at most", (_DEPENDENCY,))
POOL_IN_USE = Metric("qbitel_pool_in_use", "gauge", "Calls that a process is making", (_DEPENDENCY,))
POOL_WAIT_SECONDS = Metric(
    "qbitel_pool_wait_seconds", "histogram", "Time waited for one of them", (_DEPENDENCY,), _MILLISECONDS
)
THREADS_BUSY = Metric("qbitel_threads_busy", "gauge", "Threads of a gateway that work on requests")
DEPENDENCY_SECONDS = Metric(
    "qbitel_dependency_seconds", "histogram", "Time of a call",
    (_DEPENDENCY, Label("outcome", ("ok", "failed", "refused"))), _MILLISECONDS,
)  # fmt: skip
RETRIES = Metric(
    "qbitel_retries_total", "counter", "Calls made again, or not for want of budget",
    (_DEPENDENCY, Label("outcome", ("again", "no-budget"))),
)  # fmt: skip
BREAKER_STATE = Metric("qbitel_breaker_state", "gauge", "0 closed, 1 half-open, 2 open", (_DEPENDENCY,))
BREAKER_OPENED = Metric("qbitel_breaker_opened_total", "counter", "Times a breaker opened", (_DEPENDENCY,))
FALLBACKS = Metric("qbitel_fallbacks_total", "counter", "Answers given without a dependency", (_DEPENDENCY,))
COMPONENT_UP = Metric("qbitel_component_up", "gauge", "1 ok, 0.5 degraded, 0 down", (Label("component"),))

SHARD_LAG = Metric(
    "qbitel_shard_lag_segments", "gauge", "Segments behind the newest snapshot, most of any shard", (Label("stream"),)
)
FENCED = Metric("qbitel_fenced_writes_total", "counter", "Segments refused since their shard has a newer epoch")

MEMORY = Metric("qbitel_process_memory_bytes", "gauge", "Resident memory of a process", (_ROLE,))
PROCESSOR = Metric("qbitel_process_cpu_seconds", "gauge", "Processor time of a process since its start", (_ROLE,))
FILES = Metric("qbitel_process_open_files", "gauge", "Open files and sockets of a process", (_ROLE,))
THREADS = Metric("qbitel_process_threads", "gauge", "Threads of a process", (_ROLE,))

METRICS = {each.name: each for each in list(globals().values()) if isinstance(each, Metric)}
"""All of them, by name."""
