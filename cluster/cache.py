"""
Answers that were given before, in two tiers: the memory of a process, and a Redis that processes share.

What is kept is data with its SHA-256, under a key that stands for all that an answer follows from. Tags name what an
answer tells of: when that changes, its answers are dropped here, in Redis, and in the processes that listen there.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cachetools import TTLCache
from redis import Redis
from redis.exceptions import RedisError

from ..discovery.errors import InputError
from .dependency import Dependency, UnavailableError, fell_back
from .observability.names import CACHE_BYTES, CACHE_ENTRIES, CACHE_REQUESTS

logger = logging.getLogger("qbitel.service")

MEMORY, REDIS = "memory", "redis"
LARGEST_SHARE = 8
"""An answer larger than one eighth of the room is not kept: it would displace many."""
_PREFIX, _DROPPED = "qbitel:answer:", "qbitel:dropped"
_SOCKET_S = 0.5
_LISTEN_S = 1.0
_OVERHEAD = 300  # bytes of an entry beside its answer


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer.

    Attributes:
        kind: media type. tags: what it tells of; at most a few.
    """

    body: bytes
    kind: str
    tags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return len(self.body) + _OVERHEAD

    def to_bytes(self) -> bytes:
        """Return it with a digest before it."""
        head = json.dumps({"kind": self.kind, "tags": self.tags, "headers": self.headers}).encode()
        kept = len(head).to_bytes(4, "big") + head + self.body
        return sha256(kept).digest() + kept

    @classmethod
    def from_bytes(cls, kept: bytes) -> Answer:
        """
        Return what ``to_bytes`` made.

        Raises:
            InputError: it is something else, or was changed.
        """
        digest, rest = kept[:32], kept[32:]
        if len(rest) < 4 or sha256(rest).digest() != digest:
            raise InputError("a cached answer is not what was put there", where=REDIS, hint="it is made anew")
        end = 4 + int.from_bytes(rest[:4], "big")
        head = json.loads(rest[4:end])
        headers = tuple((str(name), str(value)) for name, value in head["headers"])
        return cls(rest[end:], str(head["kind"]), tuple(head["tags"]), headers)


def fingerprint(*parts: bytes | str) -> str:
    """Return the SHA-256 of parts and of where each begins: no two lists of parts have the same."""
    digest = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


class Cache:
    """
    Both tiers; may be used from any thread.

    Args:
        room: bytes of the memory tier; 0 keeps nothing at all. age_s: how long an answer is kept.
        redis: ``redis://…`` of the second tier; None: there is none. Where it fails, memory goes on alone.
    """

    def __init__(self, room: int, age_s: float, redis: str | None = None) -> None:
        self._room, self._age_s = room, age_s
        self._lock = threading.Lock()
        self._memory: TTLCache[str, Answer] = TTLCache(max(room, 1), age_s, getsizeof=lambda answer: answer.size)
        self._tagged: dict[str, set[str]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._told: Counter[tuple[str, str]] = Counter()
        self._ended = threading.Event()
        self.dependency = Dependency("redis", (RedisError, OSError), patience_s=_SOCKET_S, attempts=1)
        self._redis: Any = None
        self._listener: threading.Thread | None = None
        if redis is not None:
            self._redis = Redis.from_url(redis, socket_timeout=_SOCKET_S, socket_connect_timeout=_SOCKET_S)
            self._listener = threading.Thread(target=self._listen, args=(redis,), name="cache", daemon=True)
            self._listener.start()

    @property
    def shared(self) -> bool:
        """Whether there is a second tier."""
        return self._redis is not None

    def ping(self) -> str:
        """Ask Redis, past its breaker, and return its version; RedisError where it does not answer."""
        found: dict[str, Any] = self._redis.info("server")
        return f"redis {found['redis_version']}"

    def look(self, key: str) -> Answer | None:
        """Return an answer from memory: no network, microseconds."""
        with self._lock:
            found = self._memory.get(key)
            self._counts[MEMORY, "miss" if found is None else "hit"] += 1
            return found

    def recall(self, key: str) -> Answer | None:
        """Return an answer from Redis, and have it in memory from then on."""
        found = self._from_redis(key)
        if found is not None:
            self._remember(key, found)
        return found

    def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer in both tiers, unless it is too large."""
        if answer.size * LARGEST_SHARE <= self._room:
            self._remember(key, answer)
            self._to_redis(key, answer)

    def drop(self, tag: str) -> None:
        """Forget all answers with a tag, here, in Redis, and in the processes that listen there."""
        self._drop_here(tag)
        if self._redis is None:
            return
        try:
            with self.dependency.using():
                keys = self._redis.smembers(f"{_PREFIX}{tag}")
                self._redis.delete(f"{_PREFIX}{tag}", *keys)
                self._redis.publish(_DROPPED, tag)
        except UnavailableError:
            fell_back(REDIS)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how often each tier had an answer and had none, by (tier, outcome), since the start."""
        with self._lock:
            return dict(self._counts)

    def report(self) -> None:
        """Record in the metrics what was counted since the last time: the way of a hit is too short for it."""
        with self._lock:
            new = self._counts - self._told
            self._told = self._counts.copy()
            entries, size = len(self._memory), int(self._memory.currsize)
        for (tier, outcome), count in new.items():
            CACHE_REQUESTS.record(count, tier=tier, outcome=outcome)
        CACHE_ENTRIES.record(entries, tier=MEMORY)
        CACHE_BYTES.record(size, tier=MEMORY)

    def close(self) -> None:
        """Stop to listen and close the connections."""
        self._ended.set()
        if self._listener is not None:
            self._listener.join(5 * _LISTEN_S)
        if self._redis is not None:
            self._redis.close()

    def _remember(self, key: str, answer: Answer) -> None:
        with self._lock:
            self._memory[key] = answer
            for tag in answer.tags:
                self._tagged.setdefault(tag, set()).add(key)
            if sum(map(len, self._tagged.values())) > 4 * len(self._memory) + 64:
                self._sweep_tags()

    def _sweep_tags(self) -> None:
        kept = {tag: {key for key in keys if key in self._memory} for tag, keys in self._tagged.items()}
        self._tagged = {tag: keys for tag, keys in kept.items() if keys}

    def _drop_here(self, tag: str) -> None:
        with self._lock:
            for key in self._tagged.pop(tag, ()):
                self._memory.pop(key, None)

    def _from_redis(self, key: str) -> Answer | None:
        if self._redis is None:
            return None
        outcome, found = "miss", None
        try:
            with self.dependency.using():
                kept = self._redis.get(f"{_PREFIX}{key}")
            if kept is not None:
                found, outcome = Answer.from_bytes(kept), "hit"
        except UnavailableError:
            outcome = "error"
            fell_back(REDIS)
        except InputError as error:
            outcome = "error"
            logger.warning("%s", error)
        with self._lock:
            self._counts[REDIS, outcome] += 1
        return found

    def _to_redis(self, key: str, answer: Answer) -> None:
        if self._redis is None:
            return
        place, age = f"{_PREFIX}{key}", max(1, int(self._age_s))
        try:
            with self.dependency.using():
                pipe = self._redis.pipeline()
                pipe.set(place, answer.to_bytes(), ex=age)
                for tag in answer.tags:
                    pipe.sadd(f"{_PREFIX}{tag}", place)
                    pipe.expire(f"{_PREFIX}{tag}", age)
                pipe.execute()
        except UnavailableError:
            fell_back(REDIS)

    def _listen(self, address: str) -> None:
        """Drop here what others drop. What was said while nobody listened is lost, so all is dropped on returning."""
        while not self._ended.is_set():
            try:
                with Redis.from_url(address, socket_connect_timeout=_SOCKET_S) as own, own.pubsub() as heard:
                    heard.subscribe(_DROPPED)
                    with self._lock:
                        self._memory.clear()
                        self._tagged.clear()
                    while not self._ended.is_set():
                        message = heard.get_message(ignore_subscribe_messages=True, timeout=_LISTEN_S)
                        if message is not None:
                            self._drop_here(message["data"].decode("utf-8", "replace"))
            except (RedisError, OSError):
                self._ended.wait(_LISTEN_S)


def tags_of(specifications: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of an answer that tells of specifications with these ids."""
    return tuple(f"specification:{each}" for each in specifications)
