"""Whether the service lives, has started, can work, and how each part of it is."""

from __future__ import annotations

from importlib import metadata
from time import monotonic
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from ..cluster import migrations
from ..cluster.health import Component, Seen
from ..cluster.health import Health as Parts
from ..discovery.errors import NotFoundError
from .models import ComponentHealth, DeepHealth, Health
from .problems import ProblemError, problem_responses
from .service import Service, ServiceOf

VERSION = metadata.version("qbitel")
_APPLICATION, _WORKERS = "qbitel", "DiscoveryWorker"

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process answers")
async def healthz() -> Health:
    """Answer, without looking at anything else: where this fails, the process is to be replaced."""
    return Health(status="ok", version=VERSION)


@router.head("/startupz", include_in_schema=False)
@router.get("/startupz", summary="The process has started", responses=problem_responses(503))
async def startupz(request: Request) -> Health:
    """Answer once weights are loaded, kernels are compiled and the catalog has its tables; 503 until then."""
    if not service_started(request):
        raise ProblemError(503, "starting", code="starting")
    return Health(status="ok", version=VERSION)


def service_started(request: Request) -> bool:
    """Return whether the service has started, and is not stopping."""
    service: Service = request.app.state.service
    return service.started


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The service can work", responses=problem_responses(503))
async def readyz(request: Request, service: ServiceOf) -> Health:
    """
    Say whether requests shall be sent here: 503 where it starts or stops, or a part is down that it cannot be without.

    What it can do without is no reason to send nobody: all replicas would be out of service at once. It is `degraded`.
    """
    if not service_started(request):
        raise ProblemError(503, "starting or stopping", code="starting")
    seen = await service.parts.see()
    needed = [
        name for name, each in seen.items() if each.status == "down" and not service.parts.component(name).without
    ]
    if needed:
        raise ProblemError(503, f"down: {', '.join(sorted(needed))}", code="down", hint="/health/discovery tells more")
    return Health(status=_whole(seen), version=VERSION)


@router.get(
    "/health/discovery",
    summary="How each part of the service is",
    response_model=DeepHealth,
    responses={503: {"description": "A part is down that it cannot be without", "model": DeepHealth}},
)
async def health(service: ServiceOf) -> JSONResponse:
    """Look at each part, at most every two seconds: latency, version, last error, and what is done without it."""
    seen = await service.parts.see()
    told = {name: _told(service.parts.component(name), each) for name, each in sorted(seen.items())}
    lost = any(each.status == "down" and not each.without for each in told.values())
    found = DeepHealth(status="unavailable" if lost else _whole(seen), version=VERSION, components=told)
    return JSONResponse(found.model_dump(mode="json"), 503 if lost else 200)


def watch_parts(parts: Parts, service: Service) -> None:
    """Let the parts that every service stands on be looked at."""
    catalog, state = service.catalog, service.settings.streams
    parts.watch(
        Component("catalog", lambda: _catalog(service), "answers from memory; nothing new is kept", catalog.guard)
    )
    parts.watch(Component("storage", lambda: _storage(state.storage), "streams take no messages", state.storage.guard))
    parts.watch(Component("ray", _ray, "requests are answered here; discoveries wait"))
    parts.watch(Component("workers", _workers, "discoveries wait"))
    cache = service.answers.cache
    if cache.shared:
        parts.watch(Component("redis", cache.ping, "each process caches for itself", cache.dependency))
    parts.watch(Component("classifier", lambda: f"weights {service.classifier.model.digest[:12]}"))


def _whole(seen: dict[str, Seen]) -> Any:
    return "ok" if all(each.status == "ok" for each in seen.values()) else "degraded"


def _told(component: Component, seen: Seen) -> ComponentHealth:
    now = monotonic()
    ago = None if seen.failed_at is None else round(now - seen.failed_at, 3)
    return ComponentHealth(
        status=seen.status, version=seen.version, latency_s=round(seen.seconds, 6), last_error=seen.error,
        last_error_s=ago, age_s=round(now - seen.at, 3), without=component.without,
        breaker=None if component.guard is None else component.guard.breaker.state.name.lower().replace("_", "-"),
    )  # fmt: skip


def _catalog(service: Service) -> str:
    engine = service.catalog.engine
    with engine.connect() as connection:
        return f"{engine.dialect.name}, step {migrations.revision(connection)}"


def _storage(storage: Any) -> str:
    storage.names()
    return str(storage.uri.split("://")[0]) if "://" in storage.uri else "folder"


def _ray() -> str:
    import ray

    if not ray.is_initialized():  # asking would start one
        raise NotFoundError("this process is of no Ray")
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return f"{ray.__version__}, {len(nodes)} nodes"


def _workers() -> str:
    from ray import serve

    _ray()
    found = serve.status().applications[_APPLICATION].deployments[_WORKERS]
    running = sum(count for state, count in found.replica_states.items() if str(state) == "RUNNING")
    if not running:
        raise NotFoundError(f"no worker runs ({found.status.value.lower()})")
    return f"{running} running"
