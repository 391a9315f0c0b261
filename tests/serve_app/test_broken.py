"""What the service stands on is taken away, piece by piece: health says so, answers go on, and it recovers."""

from __future__ import annotations

import asyncio
import base64
import os
import select
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qbitel import MessageBatch, discover
from qbitel.actors.partition.servers import redis
from qbitel.cluster.catalog import Catalog, open_catalog
from qbitel.cluster.health import Component, Health
from qbitel.cluster.ray_start import free_port
from qbitel.cluster.settings import ServiceSettings
from qbitel.discovery.errors import InputError
from qbitel.serve_app.app import build_app
from qbitel.serve_app.job import run_job
from qbitel.serve_app.service import Service

MESSAGES = [b"\xa5\x01" + bytes([n, 2 + n % 5]) + b"x" * (2 + n % 5) for n in range(60)]
BODY = {"messages": [base64.b64encode(message).decode() for message in MESSAGES[:3]]}


class Wire:
    """A TCP connection through here to a server, that can be cut, left hanging, and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._to, self._pairs = (host, port), list[tuple[socket.socket, socket.socket]]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut, self.hangs = False, False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.cut:
                client.close()
                continue
            pair = (client, socket.create_connection(self._to))
            self._pairs.append(pair)
            threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        try:
            while not self.cut:
                for ready in select.select(list(other), [], [], 0.05)[0] if not self.hangs else time.sleep(0.05) or ():
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    other[ready].sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()


@asynccontextmanager
async def serving(settings: ServiceSettings) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """Give a gateway in this process, without workers, and a client of it."""

    async def nowhere(job: str) -> None:
        await asyncio.sleep(3600)

    service = Service(settings, open_catalog(settings.catalog_address), nowhere)
    app = build_app(service)
    async with (
        service.lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60) as client,
    ):
        yield service, client


async def until(client: httpx.AsyncClient, part: str, status: str, seconds: float = 30) -> dict[str, Any]:
    """Return the health of a part as soon as it has a status."""
    deadline = time.monotonic() + seconds
    while True:
        told = (await client.get("/health/discovery")).json()
        if told["components"][part]["status"] == status:
            found: dict[str, Any] = told
            return found
        assert time.monotonic() < deadline, told["components"][part]
        await asyncio.sleep(0.1)


def test_without_the_catalog_what_is_known_is_answered_and_the_rest_may_be_asked_again(
    server_catalog: str, tmp_path: Path
) -> None:
    """Parsing goes on and names what it does without; new discoveries are 503 with a time; then all is well again."""
    host, _, rest = server_catalog.removeprefix("postgresql://qbitel@").partition(":")
    port, _, database = rest.partition("/")
    wire = Wire(host, int(port))
    address = f"postgresql://qbitel@127.0.0.1:{wire.port}/{database}"
    spec = discover(MessageBatch.from_payloads(MESSAGES), protocol="toy")

    async def run() -> None:
        settings = ServiceSettings(data_dir=tmp_path, catalog=address, health_fresh_s=0.1)
        async with serving(settings) as (service, client):
            document = spec.to_bytes()
            await asyncio.to_thread(
                service.catalog.add_specification, str(spec.id), spec.digest, "toy", len(MESSAGES), document
            )
            body = {"protocol": spec.id, **BODY}
            before = await client.post("/v1/parse", json=body)
            assert (before.status_code, before.headers.get("qbitel-fallback")) == (200, None)
            await until(client, "catalog", "ok")
            wire.cut = True
            told = await until(client, "catalog", "down")
            part = told["components"]["catalog"]
            assert (told["status"], bool(part["last_error"]), bool(part["without"])) == ("degraded", True, True)
            assert "qbitel@" not in str(told)
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            for _ in range(100):
                after = await client.post("/v1/parse", json=body)
                assert (after.status_code, after.json()) == (200, before.json())
                if after.headers.get("qbitel-fallback") == "catalog":
                    break
                await asyncio.sleep(0.1)
            assert after.headers["qbitel-fallback"] == "catalog"
            begun = time.monotonic()
            for _ in range(20):
                refused = await client.post("/v1/discoveries", json=BODY)
                assert refused.status_code == 503, refused.text
                problem = refused.json()
                assert (problem["code"], problem["retry"]) == ("unavailable", True)
                assert int(refused.headers["retry-after"]) >= 1
            assert time.monotonic() - begun < 10, "a lost catalog is not waited for again and again"
            wire.cut = False
            told = await until(client, "catalog", "ok")
            assert told["components"]["catalog"]["last_error"]
            again = await client.post("/v1/discoveries", json=BODY, headers={"Prefer": "respond-async"})
            assert again.status_code == 202

    asyncio.run(run())


def test_discovery_that_runs_while_the_catalog_is_lost_ends_with_its_result(
    server_catalog: str, tmp_path: Path, example_captures: Path
) -> None:
    """It is not failed, nor begun again: what it found is written when the catalog is back."""
    host, _, rest = server_catalog.removeprefix("postgresql://qbitel@").partition(":")
    port, _, database = rest.partition("/")
    wire = Wire(host, int(port))
    settings = ServiceSettings(data_dir=tmp_path, catalog=f"postgresql://qbitel@127.0.0.1:{wire.port}/{database}")
    settings.uploads.mkdir()

    def begun(catalog: Catalog) -> None:
        while catalog.waiting():
            time.sleep(0.01)

    (settings.uploads / "job-1").write_bytes((example_captures / "plant.pcapng").read_bytes())

    async def run() -> None:
        catalog = open_catalog(settings.catalog_address)
        catalog.add_job("job-1", {"context": {}, "input": {"name": "plant.pcapng", "bytes": 1}})
        running = asyncio.create_task(run_job("job-1", catalog, settings))
        await asyncio.to_thread(begun, catalog)
        wire.cut = True
        done, _ = await asyncio.wait({running}, timeout=6)
        assert not done
        wire.cut = False
        await asyncio.wait_for(running, 60)
        looking = open_catalog(server_catalog)
        job = looking.job("job-1")
        assert job is not None
        assert (job.status, job.attempts, len(job.results)) == ("done", 1, 1), job.problem
        assert looking.document(job.results[0]["digest"]) is not None
        catalog.close()
        looking.close()

    asyncio.run(run())


def test_object_store_that_is_gone_is_down_and_comes_back(
    object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams take nothing, everything else goes on."""

    wire = Wire("127.0.0.1", int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{wire.port}")

    async def run() -> None:
        settings = ServiceSettings(data_dir=tmp_path, storage=f"{object_store}/broken", health_fresh_s=0.1)
        async with serving(settings) as (_, client):
            await until(client, "storage", "ok")
            wire.cut = True
            told = await until(client, "storage", "down")
            assert (told["status"], told["components"]["catalog"]["status"]) == ("degraded", "ok")
            wire.cut = False
            await until(client, "storage", "ok")

    asyncio.run(run())


def test_without_redis_answers_come_from_memory_or_are_worked_out(tmp_path: Path) -> None:
    """Nothing fails; what is not in memory is worked out and says what it was done without; then it is well again."""
    with redis(tmp_path, free_port()) as address:
        host, _, port = address.partition(":")
        wire = Wire(host, int(port))

        async def run() -> None:
            settings = ServiceSettings(data_dir=tmp_path, redis=f"redis://127.0.0.1:{wire.port}", health_fresh_s=0.1)
            async with serving(settings) as (_, client):
                assert (await until(client, "redis", "ok"))["components"]["redis"]["version"].startswith("redis ")
                before = await client.post("/v1/classify", json=BODY)
                wire.cut = True
                told = await until(client, "redis", "down")
                assert (told["status"], told["components"]["catalog"]["status"]) == ("degraded", "ok")
                kept = await client.post("/v1/classify", json=BODY)
                assert (kept.status_code, kept.json()) == (200, before.json())
                for top in range(4, 16):
                    fresh = await client.post("/v1/classify", json={**BODY, "top": top})
                    assert (fresh.status_code, fresh.headers.get("qbitel-fallback")) == (200, "redis")
                wire.cut = False
                await until(client, "redis", "ok")

        asyncio.run(run())


def test_process_of_no_ray_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Ray there are no workers either; requests are answered all the same."""
    import ray

    async def run() -> None:
        async with serving(ServiceSettings(data_dir=tmp_path, health_fresh_s=0.0)) as (_, client):
            monkeypatch.setattr(ray, "is_initialized", lambda: False)
            told = (await client.get("/health/discovery")).json()
            assert {told["components"][name]["status"] for name in ("ray", "workers")} == {"down"}
            assert (told["status"], (await client.get("/readyz")).status_code) == ("degraded", 200)
            answer = await client.post("/v1/classify", json=BODY)
            assert answer.status_code == 200

    asyncio.run(run())


def test_weights_that_are_gone_leave_the_service_unready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nothing can replace makes it unready and unavailable."""

    async def run() -> None:
        async with serving(ServiceSettings(data_dir=tmp_path, health_fresh_s=0.0)) as (service, client):

            def lost() -> str:
                raise InputError("no weights", where="here")

            service.parts.watch(Component("classifier", lost))
            deep = await client.get("/health/discovery")
            assert (deep.status_code, deep.json()["status"]) == (503, "unavailable")
            assert deep.json()["components"]["classifier"]["last_error"] == "InputError: no weights"
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["code"]) == (503, "down")
            assert "classifier" in ready.json()["detail"]

    asyncio.run(run())


def test_part_that_hangs_is_down_in_time_and_takes_one_thread(tmp_path: Path) -> None:
    """A look that never ends is not waited for, and is not begun again while it hangs."""
    begun, leave = [], threading.Event()

    def hang() -> str:
        begun.append(1)
        leave.wait(30)
        return "1"

    async def run() -> None:
        parts = Health(fresh_s=0.0, patience_s=0.05)
        parts.watch(Component("slow", hang))
        for _ in range(3):
            seen = (await parts.see())["slow"]
            assert (seen.status, seen.error) == ("down", "no answer in 0.05 s")
        assert len(begun) == 1
        leave.set()
        for _ in range(100):
            if (seen := (await parts.see())["slow"]).status == "ok":
                break
            await asyncio.sleep(0.05)
        assert (seen.status, seen.error) == ("ok", "no answer in 0.05 s")

    asyncio.run(run())


def test_looks_are_shared_while_they_are_fresh() -> None:
    """A hundred that ask at once cost one look."""
    looks = []
    look: Callable[[], str] = lambda: looks.append(1) or "1"  # noqa: E731

    async def run() -> None:
        parts = Health(fresh_s=60.0, patience_s=1.0)
        parts.watch(Component("part", look))
        await asyncio.gather(*(parts.see() for _ in range(100)))

    asyncio.run(run())
    assert len(looks) == 1
