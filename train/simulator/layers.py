"""Layers: a protocol inside another's header, and several messages of a protocol in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from . import ber, binary, exchange, identity, numbers, packed, remote, structures, text
from .message import Emit, Message, World, choose


class Inner(Protocol):
    """A protocol that can be carried."""

    def emit(self, message: Message) -> int:
        """Write one message and return its type."""
        ...


HEADER: list[tuple[float, structures.Factory]] = [
    (3, numbers.constant), (3, numbers.enumeration), (2, identity.counter), (2, identity.transaction),
    (2, numbers.zeros), (2, numbers.flags), (2, identity.session), (1, identity.port), (1, identity.ipv4),
    (1, numbers.version), (1, structures.optional), (0.5, identity.timestamp),
]  # fmt: skip
CARRIED: list[tuple[float, Callable[[Random, World], Inner]]] = [
    (5, binary.make), (2, exchange.make), (2, remote.make), (1, ber.make), (1, packed.make), (0.7, text.make),
]  # fmt: skip
KEEP_ALIVE = -1


@dataclass
class Layered:
    """
    An outer header with its length, then one inner message or several, each finished by itself.

    ``empty``: how often the outer header comes alone; ``each``: whether every inner message has its own header.
    """

    outer: list[Emit]
    length: Emit | None
    inner: Inner
    most: int
    empty: float
    each: bool

    def emit(self, message: Message) -> int:
        """Write one message and return its type."""
        if message.rng.random() < self.empty:
            into(message, self._outer)
            return 0
        kind = 0
        count = message.rng.randint(1, self.most)
        if not self.each:
            self._outer(message)
        for _ in range(count):
            kind = into(message, self._one if self.each else self.inner.emit)
        return kind + 1

    def _outer(self, message: Message) -> int:
        for one in self.outer:
            one(message)
        if self.length:
            self.length(message)
        return 0

    def _one(self, message: Message) -> int:
        self._outer(message)
        return into(message, self.inner.emit)


def into(message: Message, emit: Callable[[Message], int]) -> int:
    """Write what ``emit`` writes as a message of its own, so that its lengths and checksums are about itself."""
    inside = Message(message.world)
    kind = emit(inside)
    inside.finish()
    message.take(inside)
    return kind


def make(rng: Random, world: World) -> Layered:
    """Draw an outer header and what it carries."""
    outer = [choose(rng, HEADER)(rng, world) for _ in range(rng.choice([1, 1, 2, 3, 4, 6]))]
    world.offset = 0
    maker = rng.choices([maker for _, maker in CARRIED], [weight for weight, _ in CARRIED])[0]
    return Layered(
        outer=outer,
        length=structures.length_of_rest(rng, world) if rng.random() < 0.8 else None,
        inner=maker(rng, world),
        most=rng.choice([1, 1, 1, 1, 2, 4]),
        empty=rng.choice([0, 0, 0.1, 0.3]),
        each=rng.random() < 0.7,
    )
