"""Remote calls with aligned fields, in the manner of XDR (RFC 4506) and NDR: padded opaques, arrays, references."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from . import identity, numbers, strings, structures
from .message import Emit, Message, World, choose

HEADER: list[tuple[float, structures.Factory]] = [
    (4, identity.transaction), (3, numbers.constant), (3, numbers.enumeration), (2, numbers.zeros),
    (2, numbers.version), (2, identity.identifier), (2, numbers.flags), (1, identity.session),
]  # fmt: skip
KINDS = ("number", "number", "number", "code", "flag", "hyper", "opaque", "text", "array", "optional", "time", "handle")


@dataclass
class Argument:
    """One argument: what kind it is, its usual values, its members where it has some."""

    kind: str
    values: list[int]
    width: int
    members: list[Argument]
    handles: list[bytes]


@dataclass
class Remote:
    """
    ``unit``: alignment of everything; ``natural``: smaller numbers align to their own width; ``triple``: counts of
    characters are three numbers (most, offset, actual).
    """

    header: list[Emit]
    calls: list[tuple[list[Argument], list[Argument]]]
    weights: list[float]
    unit: int
    natural: bool
    triple: bool
    wide: bool

    def emit(self, message: Message) -> int:
        """Write a call or its answer and return its type."""
        index = message.rng.choices(range(len(self.calls)), self.weights)[0]
        message.world.direction = message.rng.randint(1, 2)
        for one in self.header:
            one(message)
        message.integer(message.world.direction - 1, self.unit, "type")
        message.integer(index, self.unit, "type")
        message.put(bytes(-message.size(0) % self.unit), "padding")
        for argument in self.calls[index][message.world.direction - 1]:
            self._write(argument, message)
        return 2 * index + message.world.direction - 1

    def _write(self, argument: Argument, message: Message) -> None:
        rng = message.rng
        if argument.kind in ("opaque", "text"):
            self._counted(argument, message)
        elif argument.kind == "array":
            count = rng.choice([0, 1, 1, 2, 3, 5])
            message.integer(count, 4, "count")
            for _ in range(count):
                for member in argument.members:
                    self._write(member, message)
        elif argument.kind == "optional":
            present = rng.random() < 0.6
            message.integer(rng.choice(argument.values) if present else 0, 4)
            for member in argument.members if present else []:
                self._write(member, message)
        elif argument.kind == "handle":
            message.put(rng.choice(argument.handles), "id")
        else:
            self._number(argument, message)

    def _number(self, argument: Argument, message: Message) -> None:
        width = {"hyper": 8, "time": 4}.get(argument.kind, argument.width if self.natural else 4)
        message.put(bytes(-message.size(0) % min(width, self.unit)), "padding")
        if argument.kind == "time":
            message.integer(int(message.world.clock), 4, "timestamp")
            message.integer(message.rng.randrange(1_000_000_000) if message.rng.random() < 0.7 else 0, 4)
        else:
            message.integer(message.rng.choice(argument.values), width)

    def _counted(self, argument: Argument, message: Message) -> None:
        rng = message.rng
        sizes = [0, 4, 8, 16, 20, 32, 200]
        data = strings.content(rng) if argument.kind == "text" else rng.randbytes(rng.choice(sizes))
        size = len(data)
        if argument.kind == "text" and self.wide:
            data, size = data.decode("latin-1").encode("utf-16-le"), len(data)
        message.put(bytes(-message.size(0) % self.unit), "padding")
        if self.triple:
            message.integer(size, 4, "count")
            message.integer(0, 4)
        message.integer(size, 4, "length")
        message.put(data, "string" if argument.kind == "text" else "payload")
        message.put(bytes(-len(data) % self.unit), "padding")


def _argument(rng: Random, depth: int) -> Argument:
    kind = rng.choice(KINDS if depth < 2 else KINDS[:6])
    top = rng.choice([2, 5, 200, 5000, 1 << 20, 1 << 31])
    values = [rng.randrange(top) for _ in range(rng.choice([1, 2, 4, 20]))]
    if kind == "optional":
        values = rng.choice([[1], [0x20000 + 4 * i for i in range(6)]])
    members = [_argument(rng, depth + 1) for _ in range(rng.randint(1, 4))] if kind in ("array", "optional") else []
    handles = [rng.randbytes(rng.choice([20, 20, 16, 8])) for _ in range(3)]
    return Argument(kind, values, rng.choice([1, 1, 2, 2, 4, 4, 4]), members, handles)


def make(rng: Random, world: World) -> Remote:
    """Draw a header and the calls with their answers."""
    n = rng.choice([1, 2, 4, 6, 10, 16])
    sides = [[[_argument(rng, 0) for _ in range(rng.choice([0, 1, 2, 3, 5, 8]))] for _ in range(2)] for _ in range(n)]
    world.offset = 0
    header = [choose(rng, HEADER)(rng, world) for _ in range(rng.choice([1, 2, 3, 4, 6]))]
    if rng.random() < 0.6:
        header.insert(rng.randint(0, len(header)), structures.length_of_rest(rng, world))
    return Remote(
        header=header,
        calls=[(asks, answers) for asks, answers in sides],
        weights=[rng.gammavariate(0.7, 1) + 1e-3 for _ in range(n)],
        unit=rng.choice([4, 4, 4, 2, 1]),
        natural=rng.random() < 0.5,
        triple=rng.random() < 0.25,
        wide=rng.random() < 0.3,
    )
