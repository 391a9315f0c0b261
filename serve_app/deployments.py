"""Ray Serve's deployments: the gateway that answers HTTP, and the workers that run discoveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig
from ray.serve.handle import DeploymentHandle

from ..cluster.catalog import Catalog, open_catalog
from ..cluster.observability.process import observe_process
from ..cluster.observability.traces import carried, span
from ..cluster.settings import ServiceSettings, load_settings
from ..cluster.threads import pin_threads
from .app import build_app
from .job import run_job
from .service import Service
from .work import set_threads

Given = ServiceSettings | Mapping[str, Any]
"""The settings, or those that go before what a replica's own machine says: then no secret travels with a deployment."""


def _settled(given: Given) -> ServiceSettings:
    return given if isinstance(given, ServiceSettings) else load_settings(**given)


@serve.deployment
class DiscoveryWorker:
    """Runs discoveries that wait in the catalog: one thread each, beside the loop that answers Ray."""

    def __init__(self, given: Given) -> None:
        self._settings = settings = _settled(given)
        observe_process("worker", settings)
        pin_threads()
        self._catalog: Catalog = open_catalog(settings.catalog_address)

    async def run(self, job: str, trace: str | None = None) -> list[str]:
        """Run a discovery to its end, as ``run_job`` does; nothing happens where another worker has taken it."""
        with span("DiscoveryWorker.run", trace, SpanKind.SERVER):
            return await run_job(job, self._catalog, self._settings)


@serve.deployment
@serve.ingress()
class Gateway:
    """Answers HTTP; parses and validates itself, and hands discoveries to the workers."""

    def __init__(self, given: Given, workers: DeploymentHandle[Any]) -> None:
        self._settings = _settled(given)
        self._workers = workers

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the ASGI application; Ray Serve calls this in the replica."""

        async def start(job: str) -> list[str]:
            with span("DiscoveryWorker.run", kind=SpanKind.CLIENT):
                found: list[str] = await self._workers.run.remote(job, carried())
                return found

        observe_process("gateway", self._settings)
        pin_threads()
        set_threads(self._settings.request_threads, self._settings.request_waiting)
        return build_app(Service(self._settings, open_catalog(self._settings.catalog_address), start))


def build(arguments: dict[str, str]) -> Application:
    """
    Return the Serve application of a cluster: ``import_path: qbitel.serve_app.deployments:build`` of a RayService.

    Args:
        arguments: settings that go before those of the pods; all others, secrets too, each replica finds in its own.

    Raises:
        InputError: a setting cannot be.
    """
    return application(load_settings(**arguments), arguments)


def application(settings: ServiceSettings, given: Given | None = None) -> Application:
    """
    Return the Serve application, with the share of the machine that the settings give to each part.

    Args:
        given: what replicas are given in place of these settings.
    """
    given = settings if given is None else given
    workers = (
        cast(Any, DiscoveryWorker)
        .options(
            num_replicas=settings.workers,
            max_ongoing_requests=settings.worker_slots,
            graceful_shutdown_timeout_s=settings.drain_s,
            ray_actor_options={"num_cpus": settings.worker_cpus},
        )
        .bind(given)
    )
    gateway: Application = (
        cast(Any, Gateway)
        .options(
            num_replicas=settings.gateways,
            max_ongoing_requests=settings.gateway_slots,
            max_queued_requests=settings.max_queued,
            backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
            graceful_shutdown_timeout_s=settings.drain_s,
            ray_actor_options={"num_cpus": settings.gateway_cpus},
        )
        .bind(given, workers)
    )
    return gateway
