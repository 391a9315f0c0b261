"""Both tiers of the cache, the second on a real Redis."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import RedisError

from qbitel.cluster.cache import LARGEST_SHARE, MEMORY, REDIS, Answer, Cache, fingerprint
from qbitel.cluster.dependency import noting_fallbacks
from qbitel.cluster.ray_start import free_port
from qbitel.discovery.errors import InputError

ROOM = 1 << 20
ANSWER = Answer(b'{"protocol": "modbus"}', "application/json", ("specification:a",), (("Location", "/v1/x"),))


class Server:
    """A Redis of the tests' own, which can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.address = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        with Redis(port=self.port) as client:
            until(lambda: _answers(client))

    def stop(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(10)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition."""
    waited = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        waited.wait(0.02)
    pytest.fail("it did not come to that")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a running Redis."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server, which .ci/run installs")
    running = Server(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()


@pytest.fixture
def cache(server: Server) -> Iterator[Cache]:
    """Give a cache of both tiers, the second one empty."""
    with Redis(port=server.port) as client:
        client.flushall()
    opened = Cache(ROOM, 60, server.address)
    listening(server, 1)
    yield opened
    opened.close()


def listening(server: Server, count: int) -> None:
    """Wait until so many caches hear what is dropped: what they have in memory before, they forget."""
    with Redis(port=server.port) as client:
        until(lambda: client.pubsub_numsub("qbitel:dropped")[0][1] == count)


@given(body=st.binary(max_size=200), kind=st.text(max_size=20), tags=st.lists(st.text(max_size=10), max_size=3))
def test_an_answer_comes_back_as_it_was(body: bytes, kind: str, tags: list[str]) -> None:
    """Bytes in between, as Redis holds them, are read to the same answer."""
    answer = Answer(body, kind, tuple(tags), (("Location", kind),))
    assert Answer.from_bytes(answer.to_bytes()) == answer


@given(kept=st.binary(max_size=120), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_what_was_changed_is_no_answer(kept: bytes, place: int, bit: int) -> None:
    """A changed bit, and bytes that are something else, are refused."""
    good = bytearray(ANSWER.to_bytes())
    good[place % len(good)] ^= 1 << bit
    for wrong in (bytes(good), kept):
        with pytest.raises(InputError):
            Answer.from_bytes(wrong)


@given(first=st.lists(st.binary(max_size=6), max_size=4), second=st.lists(st.binary(max_size=6), max_size=4))
def test_fingerprints_tell_parts_apart(first: list[bytes], second: list[bytes]) -> None:
    """Two lists of parts have one fingerprint only where they are equal: no bytes move from part to part."""
    assert (fingerprint(*first) == fingerprint(*second)) == (first == second)


def test_memory_is_bounded_and_what_was_used_longest_ago_goes() -> None:
    """Room is bytes, answers' own among them; one that would take most of it is not kept."""
    cache = Cache(40 * Answer(b"x" * 100, "").size, 60)
    for number in range(41):
        cache.keep(str(number), Answer(b"x" * 100, ""))
        cache.look("0")
    assert cache.look("0") is not None and cache.look("1") is None and cache.look("40") is not None
    cache.keep("large", Answer(b"x" * (40 * 400 // LARGEST_SHARE), ""))
    assert cache.look("large") is None


def test_an_answer_is_given_for_its_time_only() -> None:
    """Once it is older, it has to be made again."""
    cache = Cache(ROOM, 0.05)
    cache.keep("key", ANSWER)
    assert cache.look("key") == ANSWER
    until(lambda: cache.look("key") is None)


def test_another_process_finds_the_answer_in_redis(server: Server, cache: Cache) -> None:
    """What one keeps, another recalls, and has in memory from then on; both tiers are counted."""
    cache.keep("key", ANSWER)
    other = Cache(ROOM, 60, server.address)
    listening(server, 2)
    assert other.look("key") is None and other.recall("key") == ANSWER and other.recall("none") is None
    assert other.look("key") == ANSWER
    assert other.counts() == {(MEMORY, "miss"): 1, (MEMORY, "hit"): 1, (REDIS, "hit"): 1, (REDIS, "miss"): 1}
    other.close()


def test_what_is_dropped_is_dropped_everywhere(server: Server, cache: Cache) -> None:
    """A tag that is dropped by one process is dropped from Redis and from the memory of the others."""
    other = Cache(ROOM, 60, server.address)
    listening(server, 2)
    for each in (cache, other):
        each.keep("key", ANSWER)
        each.keep("stays", Answer(b"", "", ("specification:b",)))
    other.drop("specification:a")
    until(lambda: cache.look("key") is None)
    assert cache.recall("key") is None and cache.look("stays") is not None
    other.close()


def test_a_damaged_answer_is_made_again(server: Server, cache: Cache) -> None:
    """Redis's bytes are checked: changed ones count as an error and are no answer."""
    with Redis(port=server.port) as client:
        client.set("qbitel:answer:key", ANSWER.to_bytes()[:-1] + b"?")
    assert cache.recall("key") is None
    assert cache.counts() == {(REDIS, "error"): 1}


def test_memory_goes_on_without_redis_and_forgets_when_it_is_back(server: Server, cache: Cache) -> None:
    """Without Redis answers are kept in memory, and said to be without it; what was dropped meanwhile nobody heard."""
    cache.keep("before", ANSWER)
    server.stop()
    with noting_fallbacks() as noted:
        cache.keep("key", ANSWER)
        assert cache.look("key") == ANSWER and cache.recall("other") is None
    assert noted == {"redis"}
    server.start()
    until(lambda: cache.look("key") is None)
