"""What all endpoints share: the settings, the catalog, the workers, and the specifications."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cached_property, lru_cache
from typing import Annotated, Any, cast

from cachetools import LRUCache
from fastapi import Depends, Request

from ..actors.streams import Streams
from ..cluster.cache import Cache, tags_of
from ..cluster.catalog import Catalog
from ..cluster.database import OutcomeUnknownError
from ..cluster.dependency import UnavailableError
from ..cluster.health import Health
from ..cluster.observability.names import JOBS_WAITING, MODEL, SHARD_LAG
from ..cluster.settings import ServiceSettings
from ..cluster.tenants import tenant_of_stream
from ..cluster.unknowns import UnknownNames
from ..discovery.batch import MessageBatch
from ..discovery.classifier import ProtocolClassifier
from ..discovery.errors import NotFoundError
from .answers import Answers
from .problems import problem
from .specifications import FRESH_S, Specifications

logger = logging.getLogger("qbitel.service")

KNOWN_TENANTS = 64
KNOWN_OWNERS = 4096
WARM = 8  # specifications that are compiled before the first request


Start = Callable[[str], Awaitable[Sequence[str]]]


def _task_name(job: str) -> str:
    return f"discovery {job}"


class Service:
    """
    The state of one gateway process.

    Args:
        start: runs a waiting discovery in a worker, and returns what ``run_job`` does when it has ended.
    """

    def __init__(self, settings: ServiceSettings, catalog: Catalog, start: Start) -> None:
        self.settings = settings
        self.catalog = catalog
        self.specifications = Specifications(catalog)
        self.answers = Answers(Cache(settings.cache_bytes, settings.cache_age_s, settings.redis_address))
        self.unknown = lru_cache(KNOWN_TENANTS)(self._unknown)
        self.streams = Streams(settings.streams, f"{socket.gethostname()}:{os.getpid()}")
        self.parts = Health(settings.health_fresh_s, settings.health_patience_s)
        self.started = False
        self._start = start
        self._owners_lock = threading.Lock()
        self._owners: LRUCache[str, str] = LRUCache(KNOWN_OWNERS)
        self._tasks: set[asyncio.Task[None]] = set()

    def dispatch(self, job: str) -> asyncio.Task[None]:
        """Hand a waiting discovery to the workers; the task ends when the discovery has ended."""
        task = asyncio.create_task(self._run(job), name=_task_name(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, job: str) -> None:
        from ray.exceptions import RayError

        try:
            for tag in tags_of(await self._start(job)):
                # Before it is answered: what was answered of a specification tells of its older document.
                await asyncio.to_thread(self.answers.cache.drop, tag)
        except RayError:
            # The worker died. The discovery falls silent, and the watch below lets it wait again.
            logger.exception("discovery %s lost its worker", job)

    async def watch(self) -> None:
        """Hand out discoveries that wait or whose worker has fallen silent, for as long as the process lives."""
        settings = self.settings
        lost = problem(500, "its worker was lost", code="worker-lost", hint="the service's log tells more")
        document = lost.model_dump(mode="json")
        while True:
            try:
                await self._look_after(document)
            except (UnavailableError, OutcomeUnknownError):
                logger.warning("the catalog does not answer: discoveries that wait go on waiting")
            await asyncio.sleep(min(5.0, settings.heartbeat_timeout_s / 2))

    async def keep_fresh(self) -> None:
        """Compare what is held with the catalog, for as long as the process lives."""
        while True:
            await asyncio.sleep(FRESH_S)
            await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        for tag in tags_of(self.specifications.refresh()):
            self.answers.cache.drop(tag)
        self.answers.cache.report()

    async def _look_after(self, lost: dict[str, Any]) -> None:
        settings = self.settings
        await asyncio.to_thread(self.catalog.requeue_silent, settings.heartbeat_timeout_s, settings.attempts, lost)
        waiting = await asyncio.to_thread(self.catalog.waiting)
        JOBS_WAITING.record(len(waiting))
        handed_out = {task.get_name() for task in self._tasks}
        for job in waiting:
            if _task_name(job) not in handed_out:
                self.dispatch(job)
        for job in await asyncio.to_thread(self.catalog.forget_jobs, settings.keep_jobs):
            (settings.uploads / job).unlink(missing_ok=True)
        for stream, lag in (await asyncio.to_thread(self.streams.state.manifest.lags)).items():
            SHARD_LAG.record(lag, stream=stream)

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Classify once, so that no request waits for weights and kernels; watch while the application runs."""
        found = await asyncio.to_thread(self.classifier.classify, MessageBatch.from_payloads([b"\0"]))
        MODEL.record(1, model="classifier", version=found.model[:12])
        await asyncio.to_thread(self.specifications.warm, WARM)
        always = [asyncio.create_task(self.watch()), asyncio.create_task(self.keep_fresh())]
        # What is held from here on is held for good: to look through all of it for garbage stops a process for a fifth
        # of a second, and every request that comes meanwhile.
        gc.collect()
        gc.freeze()
        self.started = True
        try:
            yield
        finally:
            self.started = False
            gc.unfreeze()
            for task in always:
                task.cancel()
            await asyncio.to_thread(self.streams.close)
            await asyncio.to_thread(self.answers.cache.close)
            self.catalog.close()

    def owner(self, stream: str) -> str | None:
        """Return whose a stream is, as its name says or as the manifest does; None where there is none."""
        owner = tenant_of_stream(stream)
        if owner:
            return owner
        with self._owners_lock:
            known = self._owners.get(stream)
        if known is None:
            try:
                known = self.streams.stream(stream).tenant
            except NotFoundError:
                return None
            with self._owners_lock:
                self._owners[stream] = known  # a stream has one tenant for its life
        return known

    def _unknown(self, tenant: str) -> UnknownNames:
        return UnknownNames(self.catalog.engine, tenant)

    @cached_property
    def classifier(self) -> ProtocolClassifier:
        """
        The classifier, with the weights that the settings name.

        Raises:
            InputError: they are none. LimitError: they are too large.
        """
        return ProtocolClassifier.load(self.settings.classifier_weights)


def service_of(request: Request) -> Service:
    """Return the service that a request came to; where microseconds count, it is called rather than depended on."""
    return cast(Service, request.app.state.service)


async def _service_of(request: Request) -> Service:
    return service_of(request)  # a coroutine, since FastAPI calls functions in a thread


def tenant_of(request: Request) -> str:
    """Return whose data a request may see; the guard has said so."""
    return cast(str, request.scope["tenant"])


async def _tenant_of(request: Request) -> str:
    return tenant_of(request)


ServiceOf = Annotated[Service, Depends(_service_of)]
TenantOf = Annotated[str, Depends(_tenant_of)]
