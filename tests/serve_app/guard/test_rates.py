"""A key and a tenant may ask so often and no more; gateways that share a Redis count together."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
import redis

from qbitel.cluster.principals import Principal, Role
from qbitel.cluster.ray_start import free_port
from qbitel.serve_app.guard.rates import AGAIN_S, Rates

from .conftest import Letting, Serving

ANNA, BEN = (Principal(f"key:{n}", "acme", Role.READER) for n in "ab")


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give the address of a Redis of the test's own, and its process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server (CI installs it)")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    address, until = f"redis://127.0.0.1:{port}", monotonic() + 20
    while True:
        try:
            redis.Redis.from_url(address).ping()
            break
        except redis.ConnectionError:
            assert monotonic() < until
            sleep(0.02)
    yield address, process
    process.kill()
    process.wait()


def test_a_key_that_asks_too_often_waits(serving: Serving, letting: Letting) -> None:
    """The third request in a window of two gets 429 and the seconds to wait; another key is not concerned."""
    client, anna, ben = serving(rates_key="2/hour"), letting("reader"), letting("reader")
    answers = [client.get("/v1/protocols", headers=anna) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "rate"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 7200
    assert client.get("/v1/protocols", headers=ben).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_a_keys_own_rates_go_before_those_of_the_settings(serving: Serving, letting: Letting) -> None:
    """A key that was made with limits has these."""
    client, own = serving(rates_key="1/hour"), letting("reader", rates="3/hour")
    assert [client.get("/v1/protocols", headers=own).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_keys_of_a_tenant_share_its_quota(serving: Serving, letting: Letting) -> None:
    """A tenant gains nothing by more keys; another tenant has its own quota."""
    client = serving(rates_tenant="2/day")
    codes = [client.get("/v1/protocols", headers=letting("reader")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert client.get("/v1/protocols", headers=letting("reader", tenant="umbrella")).status_code == 200


def test_gateways_that_share_a_redis_count_together(redis_server: tuple[str, object]) -> None:
    """Two gateways allow together what one would; nobody's count is another's."""

    async def run() -> list[bool]:
        gateways = [Rates("3/hour", "", redis_server[0]) for _ in range(2)]
        waits = [await gateways[n % 2].wait(ANNA) for n in range(5)]
        return [wait is None for wait in [*waits, await gateways[0].wait(BEN)]]

    assert asyncio.run(run()) == [True, True, True, False, False, True]


def test_without_redis_each_gateway_counts_for_itself(redis_server: tuple[str, object]) -> None:
    """A Redis that does not answer stops nobody: the limit holds within each gateway, which says so and asks again."""
    now = [0.0]

    async def run() -> None:
        rates = Rates("2/hour", "", f"redis://127.0.0.1:{free_port()}", lambda: now[0])
        assert [await rates.wait(ANNA) is None for _ in range(3)] == [True, True, False]
        assert rates.alone
        rates._shared = Rates("2/hour", "", redis_server[0])._shared
        now[0] += AGAIN_S
        assert await rates.wait(Principal("key:new", "acme", Role.READER)) is None
        assert not rates.alone

    asyncio.run(run())


def test_wrong_rates_are_refused_by_name(tmp_path: Path) -> None:
    """A rate that nobody can read is refused when the settings are."""
    from pydantic import ValidationError

    from qbitel.cluster.settings import ServiceSettings

    with pytest.raises(ValidationError, match=r"rates_key(.|\n)*is no rate"):
        ServiceSettings(rates_key="often")
