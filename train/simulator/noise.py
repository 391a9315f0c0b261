"""Traffic without structure: random or encrypted bytes, with a short header or none."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from . import identity, numbers, structures
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

    def emit(self, message: Message) -> int:
        """Write one message; there is one type."""
        for one in self.header:
            one(message)
        message.put(message.rng.randbytes(message.rng.randint(self.least, self.most)), "payload")
        return 0


def make(rng: Random, world: World) -> Noise:
    """Draw a header of up to five fields and a range of sizes."""
    header = [choose(rng, HEADERS)(rng, world) for _ in range(rng.choice([0, 0, 0, 1, 2, 3, 4, 5]))]
    most = rng.choice([16, 64, 128, 200])
    return Noise(header, most if rng.random() < 0.3 else 1, most)
