"""Traffic without structure: random or encrypted bytes, with a short header or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from . import identity, numbers, strings, structures
from .message import Emit, Message, World, choose

HEADERS: list[tuple[float, structures.Factory]] = [
    (3, numbers.constant), (2, identity.counter), (2, structures.length_of_rest), (2, identity.session),
    (2, numbers.enumeration), (1, numbers.version), (1, identity.timestamp), (1, numbers.flags),
]  # fmt: skip


@dataclass
class Noise:
    """A header, then bytes nobody can read."""

    header: list[Emit]
    least: int
    most: int
    body: Callable[[Random, int], bytes]

    def emit(self, message: Message) -> int:
        """Write one message; there is one type."""
        for one in self.header:
            one(message)
        message.put(self.body(message.rng, message.rng.randint(self.least, self.most)), "payload")
        return 0


def make(rng: Random, world: World) -> Noise:
    """Draw a header of up to five fields and a range of sizes."""
    header = [choose(rng, HEADERS)(rng, world) for _ in range(rng.choice([0, 0, 0, 1, 2, 2, 3, 3, 4, 5]))]
    most = rng.choice([8, 16, 32, 64, 128, 200, 400])
    least = rng.choice([1, most // 2, most, most])
    return Noise(header, least, most, strings.draw_opaque(rng) if header else Random.randbytes)
