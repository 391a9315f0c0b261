"""Work of a request in a thread: bounded in time, and stopped at its next step when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from ..cluster.observability.names import THREADS_BUSY
from ..discovery.batch import MessageBatch
from .problems import ProblemError

Answer = TypeVar("Answer")
CHUNK = 4096
THREADS, WAITING = 4, 64
"""More threads do no more work under one interpreter, and the loop waits longer: ``benchmarks.threads``."""
SMALL = 2048
"""Bytes of a body that are parsed in less time than it takes to hand them to a thread and back."""


class StoppedError(Exception):
    """The request was given up; ends the thread and is seen by nobody."""


class Steps:
    """Tells work in a thread whether to go on."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Let the work end at its next step."""
        self._stop.set()

    def check(self) -> None:
        """
        Go on.

        Raises:
            StoppedError: nobody waits for the answer.
        """
        if self._stop.is_set():
            raise StoppedError

    def chunks(self, batch: MessageBatch) -> Iterator[MessageBatch]:
        """Yield a batch in parts, with a step before each; an empty batch is one part."""
        for start in range(0, max(len(batch), 1), CHUNK):
            self.check()
            yield batch.slice(start, CHUNK)


class _Pool:
    """The threads that work on requests; those that wait for a database are others, and are not held up by these."""

    def __init__(self, threads: int, waiting: int) -> None:
        self.most = threads + waiting
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self.taken = 0


_pool = _Pool(THREADS, WAITING)


def set_threads(threads: int, waiting: int) -> None:
    """Let so many threads work on requests, and so many requests wait for one; for processes that begin."""
    global _pool
    _pool.threads.shutdown(wait=False)
    _pool = _Pool(threads, waiting)


def _submit(work: Callable[[Steps], Answer], steps: Steps) -> asyncio.Future[Answer]:
    pool = _pool
    if pool.taken >= pool.most:
        raise ProblemError(503, f"{pool.most} requests are worked on or wait already", hint="try again later")
    pool.taken += 1
    THREADS_BUSY.record(min(pool.taken, THREADS))
    task = asyncio.get_running_loop().run_in_executor(pool.threads, copy_context().run, work, steps)

    def ended(done: asyncio.Future[Answer]) -> None:
        pool.taken -= 1
        THREADS_BUSY.record(min(pool.taken, THREADS))
        # Also where nobody waits any more, its end is looked at: asyncio would complain of an error that nobody saw.
        done.cancelled() or done.exception()

    task.add_done_callback(ended)
    return task


async def within(seconds: float, work: Callable[[Steps], Answer]) -> Answer:
    """
    Run work in a thread and wait so long for it; given up, also by its client, it ends at its next step.

    Raises:
        ProblemError: 504, it took longer; 503, too many wait already.
    """
    steps = Steps()
    task = _submit(work, steps)
    try:
        return await asyncio.wait_for(asyncio.shield(task), seconds)
    except TimeoutError:
        hint = "send fewer messages at a time"
        raise ProblemError(504, f"the request took more than {seconds:g} s", hint=hint) from None
    finally:
        steps.stop()
