"""Binary families: a header with type, length and ids, a body per type, a trailer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random

from . import identity, numbers, strings, structures
from .message import Emit, Message, World, choose

Table = list[tuple[float, structures.Factory]]

HEADER: Table = [
    (4, numbers.constant), (2, numbers.version), (3, numbers.flags), (2, identity.transaction), (2, identity.counter),
    (2, identity.session), (1, identity.timestamp), (2, numbers.zeros), (2, numbers.quantity), (1, structures.checksum),
    (1, identity.ipv4), (2, numbers.enumeration), (1, identity.mac), (1, numbers.bit_fields), (0.5, identity.uptime),
    (0.5, numbers.sentinel), (0.3, identity.ntp_time), (0.7, structures.optional), (0.4, structures.prefixed_length),
    (1, numbers.row),
]  # fmt: skip
GENERAL: Table = [
    (6, numbers.quantity), (5, numbers.enumeration), (3, numbers.zeros), (2, identity.timestamp), (2, identity.ipv4),
    (1, identity.port), (1, identity.mac), (2, numbers.floating), (1, identity.identifier), (4, strings.counted),
    (1, strings.terminated), (1, strings.padded), (2, structures.tagged), (3, structures.records), (2, strings.opaque),
    (2, strings.sized_opaque), (2, identity.counter), (3, numbers.flags), (2, numbers.constant), (1, structures.names),
    (1, strings.wide), (1, numbers.bit_fields), (1, numbers.signed), (1, identity.transaction), (1, numbers.walk),
    (1, identity.ntp_time), (0.5, identity.split_time), (0.5, identity.uptime), (0.5, identity.ipv6),
    (1, numbers.sentinel), (0.7, identity.session), (2, structures.optional), (1.5, structures.switched),
    (0.5, structures.prefixed_length), (1.5, numbers.row),
]  # fmt: skip
INDUSTRIAL: Table = [
    (6, numbers.quantity), (4, numbers.enumeration), (5, structures.records), (2, numbers.walk), (2, numbers.floating),
    (2, numbers.flags), (2, numbers.zeros), (1, numbers.bit_fields), (1, numbers.signed), (1, structures.tagged),
    (0.5, identity.split_time), (0.5, strings.opaque), (0.5, strings.padded), (1, numbers.row),
]  # fmt: skip
OPTIONS: Table = [
    (6, structures.tagged), (2, numbers.quantity), (1, identity.ipv4), (1, numbers.zeros), (1, identity.mac),
    (1, strings.padded), (1, numbers.enumeration),
]  # fmt: skip
NAMING: Table = [(5, structures.names), (4, numbers.quantity), (2, numbers.flags), (1, numbers.zeros)]
REMOTE: Table = [
    (6, numbers.quantity), (3, strings.counted), (2, strings.sized_opaque), (2, structures.records), (3, strings.wide),
    (2, identity.identifier), (2, numbers.enumeration), (2, identity.session), (2, numbers.sentinel),
    (1, numbers.zeros), (1, identity.timestamp), (1, numbers.flags),
]  # fmt: skip
FIXED: Table = [
    (6, numbers.quantity), (4, numbers.enumeration), (3, numbers.zeros), (3, numbers.flags), (2, identity.counter),
    (2, identity.timestamp), (1, identity.ipv4), (1, identity.mac), (1, numbers.bit_fields), (1, numbers.floating),
    (1, numbers.constant), (1, identity.identifier), (1, strings.padded), (1, numbers.sentinel), (1.5, numbers.row),
]  # fmt: skip
SEALED: Table = [(3, strings.opaque), (3, strings.sized_opaque), (1, identity.counter), (1, numbers.quantity)]
VARINTS: Table = [(6, structures.keyed_varints), (1, numbers.quantity), (1, strings.opaque)]
MIXTURE: list[tuple[float, Table]] = [
    (4.5, GENERAL), (3, INDUSTRIAL), (2, OPTIONS), (1, NAMING), (2, REMOTE), (5, FIXED), (1.2, SEALED), (0.7, VARINTS),
]  # fmt: skip


@dataclass
class Binary:
    """Header, bodies by type, trailer; ``weights``: how often each type occurs."""

    header: list[Emit]
    bodies: list[list[Emit]]
    trailer: list[Emit]
    codes: list[int]
    weights: list[float]
    choice: int = 0

    def emit(self, message: Message) -> int:
        """Write one message and return its type."""
        self.choice = message.rng.choices(range(len(self.bodies)), self.weights)[0]
        message.world.direction = 1 + self.choice % 2
        for one in [*self.header, *self.bodies[self.choice], *self.trailer]:
            one(message)
        return self.choice


def make(rng: Random, world: World) -> Binary:
    """Draw a protocol of one of the binary families."""
    body = rng.choices([table for _, table in MIXTURE], [weight for weight, _ in MIXTURE])[0]
    n = rng.choice([1, 2, 3, 5, 6, 8, 12, 16, 24, 40])
    made = Binary([], [], [], _codes(rng, n), [])
    world.offset = 0
    made.header += [factory(rng, world) for factory in _header(rng, made)]
    start = world.offset
    for _ in range(n):
        world.offset = start
        made.bodies.append(_body(rng, world, body))
    made.trailer += [structures.checksum(rng, world)] if rng.random() < 0.2 else []
    made.weights += [rng.gammavariate(rng.choice([0.3, 0.5, 1, 3]), 1) + 1e-3 for _ in range(n)]
    _complete(rng, world, made)
    return made


def _header(rng: Random, made: Binary) -> list[structures.Factory]:
    """Draw what a header is made of: fields, the code of the type, a length, in any order."""
    factories = [choose(rng, HEADER) for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 5, 6, 8]))]
    if len(made.codes) > 1 or rng.random() < 0.5:
        factories.insert(rng.randint(0, len(factories)), partial(_code, made))
    if rng.random() < 0.65:
        factories.insert(rng.randint(0, len(factories)), structures.length_of_rest)
    return factories


def _code(made: Binary, rng: Random, world: World) -> Emit:
    width = world.width(rng, [1, 1, 1, 1, 2, 2, 4])
    return lambda message: message.integer(made.codes[made.choice], width, "type")


def _complete(rng: Random, world: World, made: Binary) -> None:
    """Add content that the carrier does not read, a trailer, and a field where messages could be empty."""
    for body in rng.sample(made.bodies, min(len(made.bodies), rng.choice([0, 0, 1, 1, 2]))):
        body.append(strings.bulk(rng, world))
    if rng.random() < 0.05:
        made.trailer.append(numbers.constant(rng, world))
    if not made.header and not all(made.bodies):
        made.header.append(numbers.constant(rng, world))


def _body(rng: Random, world: World, table: Table) -> list[Emit]:
    return [choose(rng, table)(rng, world) for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 5, 6, 8, 14]))]


def _codes(rng: Random, n: int) -> list[int]:
    if rng.random() < 0.2:
        return [rng.randrange(256) for _ in range(n)]
    base, step = rng.choice([0, 1, 1, 16, 128]), rng.choice([1, 1, 1, 2, 16])
    return [(base + i * step) % 256 for i in range(n)]
