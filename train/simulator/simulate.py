"""``simulate(seed)``: a random protocol, its messages in flows, and the truth about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from ...discovery.batch import MessageBatch
from . import ber, binary, exchange, layers, noise, packed, remote, text
from .message import Message, Order, World

SIZES = (2, 5, 12, 25, 50, 100, 100, 200, 200, 400)
MAX_MESSAGE = 1500
ALIKE = (0.0, 0.2, 0.4, 0.6, 0.8)  # how often a field is as wide as the one before it
ALIGNED = 0.65  # share of the protocols that align their numbers


class Family(Protocol):
    """A drawn protocol."""

    def emit(self, message: Message) -> int:
        """Write one message and return its type."""
        ...


FAMILIES: dict[str, tuple[float, Callable[[Random, World], Family]]] = {
    "binary": (8, binary.make), "exchange": (1.6, exchange.make), "remote": (1.4, remote.make),
    "layers": (3, layers.make), "ber": (1.2, ber.make), "packed": (0.8, packed.make), "text": (3, text.make),
    "noise": (1.6, noise.make),
}  # fmt: skip


@dataclass
class SimulatedProtocol:
    """
    Messages of one protocol with the truth.

    Attributes:
        family: which kind of protocol it is.
        messages: payloads in order of time.
        boundaries: per message, offsets strictly inside it at which a field begins, ascending.
        semantics: per message, (start, length, label).
        types: per message, the index of its type; directions: 1 asks, 2 answers; flows: from 1; times: seconds.
        numbers: per message, (start, length) of the numbers of several bytes; order: theirs.
    """

    family: str
    messages: list[bytes] = field(default_factory=list)
    boundaries: list[list[int]] = field(default_factory=list)
    semantics: list[list[tuple[int, int, str]]] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    directions: list[int] = field(default_factory=list)
    flows: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    numbers: list[list[tuple[int, int]]] = field(default_factory=list)
    order: Order = "big"

    def batch(self) -> MessageBatch:
        """Return the messages with their times, flows and directions."""
        return MessageBatch.from_payloads(self.messages, ts=self.times, flow=self.flows, direction=self.directions)


def simulate(seed: int, messages: int | None = None, family: str | None = None) -> SimulatedProtocol:
    """
    Return a protocol and its messages, the same for the same arguments.

    Args:
        seed: draws the protocol and its messages.
        messages: how many; drawn from a few to some hundred where None.
        family: one of ``FAMILIES``; drawn where None.
    """
    rng = Random(seed)
    family = family or rng.choices(list(FAMILIES), [weight for weight, _ in FAMILIES.values()])[0]
    order: Order = "big" if rng.random() < 0.7 else "little"
    world = World(rng, order, rng.choice(ALIKE), rng.random() < ALIGNED, clock=rng.uniform(1.0e9, 1.8e9))
    protocol = FAMILIES[family][1](rng, world)
    made = SimulatedProtocol(family, order=order)
    flows, pace, repeats = rng.choice([1, 1, 2, 5, 20]), rng.choice([0.01, 1, 30, 1000]), rng.choice([0, 0, 0, 0.3])
    for _ in range(messages or rng.choice(SIZES)):
        world.clock += rng.expovariate(1 / pace)
        world.flow = rng.randrange(flows)
        if made.messages and rng.random() < repeats:
            _repeat(made, rng.randrange(len(made.messages)), world)
        else:
            _add(made, protocol, world)
    return made


def _add(made: SimulatedProtocol, protocol: Family, world: World) -> None:
    message = Message(world)
    kind = protocol.emit(message)
    message.finish()
    boundaries, semantics = message.truth()
    payload = (message.payload() or b"\0")[:MAX_MESSAGE]
    made.messages.append(payload)
    made.boundaries.append([b for b in boundaries if b < len(payload)])
    made.semantics.append([s for s in semantics if s[0] + s[1] <= len(payload)])
    made.types.append(kind)
    made.directions.append(world.direction)
    made.flows.append(world.flow + 1)
    made.times.append(world.clock)
    made.numbers.append([n for n in message.ordered() if sum(n) <= len(payload)])


def _repeat(made: SimulatedProtocol, index: int, world: World) -> None:
    made.messages.append(made.messages[index])
    made.boundaries.append(made.boundaries[index])
    made.semantics.append(made.semantics[index])
    made.types.append(made.types[index])
    made.directions.append(made.directions[index])
    made.flows.append(world.flow + 1)
    made.times.append(world.clock)
    made.numbers.append(made.numbers[index])
