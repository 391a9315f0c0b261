"""Work of a request in a thread: bounded in time, and stopped at its next step when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..discovery.batch import MessageBatch
from .problems import ProblemError

Answer = TypeVar("Answer")
CHUNK = 4096
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


async def within(seconds: float, work: Callable[[Steps], Answer]) -> Answer:
    """
    Run work in a thread and wait so long for it; given up, also by its client, it ends at its next step.

    Raises:
        ProblemError: 504, it took longer.
    """
    steps = Steps()
    task = asyncio.create_task(asyncio.to_thread(work, steps))
    # Also where nobody waits any more, its end is looked at: asyncio would complain of an error that nobody saw.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        return await asyncio.wait_for(asyncio.shield(task), seconds)
    except TimeoutError:
        hint = "send fewer messages at a time"
        raise ProblemError(504, f"the request took more than {seconds:g} s", hint=hint) from None
    finally:
        steps.stop()
