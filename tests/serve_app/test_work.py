"""Work that nobody waits for any more ends."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from qbitel.discovery.batch import MessageBatch
from qbitel.serve_app.body_limit import BodyLimit
from qbitel.serve_app.problems import ProblemError
from qbitel.serve_app.work import CHUNK, THREADS, WAITING, Steps, set_threads, within


def test_work_that_takes_too_long_is_a_504_and_its_thread_ends() -> None:
    """After the time-out the thread stops at its next step, and does not run on."""
    ended = threading.Event()

    def work(steps: Steps) -> None:
        try:
            while True:
                steps.check()
        finally:
            ended.set()

    async def ask() -> None:
        with pytest.raises(ProblemError) as caught:
            await within(0.05, work)
        assert caught.value.status == 504

    asyncio.run(ask())
    assert ended.wait(5)


def test_work_of_a_client_that_has_gone_ends() -> None:
    """Cancelling the request, as a server does when its client closes the connection, stops the thread too."""
    begun, ended = threading.Event(), threading.Event()

    def work(steps: Steps) -> None:
        begun.set()
        try:
            while True:
                steps.check()
        finally:
            ended.set()

    async def ask() -> None:
        request = asyncio.create_task(within(60, work))
        await asyncio.to_thread(begun.wait, 5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(ask())
    assert ended.wait(5)


def test_an_answer_and_an_error_come_through() -> None:
    """What the work returns or raises is what the caller gets."""
    assert asyncio.run(within(5, lambda steps: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(within(5, lambda steps: 1 // 0))


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_chunks_are_the_batch_in_order(count: int) -> None:
    """The parts of a batch are all of it, in order; an empty batch is one empty part."""
    batch = MessageBatch.from_payloads([i.to_bytes(4, "big") for i in range(count)])
    parts = list(Steps().chunks(batch))
    assert [p for part in parts for p in part.payloads()] == batch.payloads()
    assert len(parts) == max(1, -(-count // CHUNK))


def test_no_more_work_waits_than_is_allowed() -> None:
    """One thread and two that may wait: the fourth request is refused at once, and there is room again afterwards."""
    leave = threading.Event()
    set_threads(1, 2)

    async def ask() -> None:
        held = [asyncio.create_task(within(30, lambda steps: leave.wait(30))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as caught:
            await within(30, lambda steps: None)
        assert caught.value.status == 503
        leave.set()
        assert await asyncio.gather(*held) == [True] * 3
        assert await within(30, lambda steps: 7) == 7

    try:
        asyncio.run(ask())
    finally:
        set_threads(THREADS, WAITING)


def test_bodies_together_are_bounded() -> None:
    """While one body of 60 bytes is worked on, another does not fit below 100; afterwards it does."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        begun.set()
        await leave.wait()
        await PlainTextResponse("done")(scope, receive, send)

    async def ask() -> None:
        limited = BodyLimit(app, limit=80, together=100)
        transport = httpx.ASGITransport(limited)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            first = asyncio.create_task(client.post("/", content=b"x" * 60))
            await begun.wait()
            refused = await client.post("/", content=b"x" * 60)
            assert (refused.status_code, refused.json()["retry"]) == (503, True)
            leave.set()
            assert (await first).status_code == 200
            assert (await client.post("/", content=b"x" * 60)).status_code == 200

    asyncio.run(ask())
