"""Industrial request and response: a function code, what is asked for, and values that answer exactly that."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from . import identity, numbers, structures
from .message import Emit, Message, World, choose

HEADER: list[tuple[float, structures.Factory]] = [
    (4, identity.transaction), (3, numbers.zeros), (3, numbers.enumeration), (2, numbers.constant), (2, numbers.flags),
    (1, identity.counter), (1, identity.session), (1, numbers.version), (1, numbers.bit_fields),
]  # fmt: skip
ITEMS: list[tuple[float, structures.Factory]] = [
    (4, numbers.quantity), (2, numbers.walk), (2, numbers.floating), (1, numbers.signed), (1, numbers.enumeration),
]  # fmt: skip
ACTIONS = ("read", "read", "read", "write", "write", "command", "status")


@dataclass
class Function:
    """One function: its code, how addresses and counts are written, and the items that it moves."""

    code: int
    action: str
    area: Emit | None
    address: int
    count: int
    item: Emit
    items: int
    whole: bool
    tail: list[Emit]


@dataclass
class Exchange:
    """``error``: added to the code of a refused request; ``marks``: a byte that tells requests from answers."""

    header: list[Emit]
    code_width: int
    sized: int
    functions: list[Function]
    weights: list[float]
    refused: float
    marks: tuple[int, int] | None
    trailer: list[Emit]

    def emit(self, message: Message) -> int:
        """Write a request, or the answer to the last one of the flow, and return its type."""
        memory, where = message.world.memory, (self.code_width, message.world.flow)
        waiting = memory.pop(where, None)
        message.world.direction = 1 if waiting is None else 2
        if waiting is None:
            index = message.rng.choices(range(len(self.functions)), self.weights)[0]
            count = message.rng.randint(1, self.functions[index].items)
            memory[where] = (index, count)
        else:
            index, count = waiting  # type: ignore[misc]
        function = self.functions[index]
        refuse = waiting is not None and message.rng.random() < self.refused
        _all(self.header, message)
        if self.marks:
            message.put(bytes([self.marks[message.world.direction - 1]]), "type")
        message.integer(function.code + (0x80 if refuse else 0), self.code_width, "type")
        if refuse:
            message.put(bytes([message.rng.choice([1, 2, 3, 4, 6, 11])]))
        else:
            self._body(function, count, message)
        _all(self.trailer, message)
        return 3 * index + (2 if refuse else message.world.direction - 1)

    def _body(self, function: Function, count: int, message: Message) -> None:
        asks, writes = message.world.direction == 1, function.action == "write"
        if function.action == "command":
            _all(function.tail if asks else function.tail[:1], message)
            return
        if asks or writes:
            self._place(function, count, message)
        if asks == writes:
            self._values(function, count, message)
        if not asks and function.action == "status":
            _all(function.tail, message)

    def _place(self, function: Function, count: int, message: Message) -> None:
        """Write which items are meant."""
        if function.area:
            function.area(message)
        start = message.rng.choice([0, 1, 16, 100, 107, 1000, message.rng.randrange(5000)])
        message.integer(start, function.address)
        message.integer(count, function.count, "count")

    def _values(self, function: Function, count: int, message: Message) -> None:
        inside = Message(message.world)
        for _ in range(count):
            function.item(inside)
        inside.finish()
        if self.sized:
            message.integer(inside.size(0), self.sized, "length")
        if function.whole:
            message.put(inside.payload(), "payload")
            return
        message.take(inside)


def _all(fields: list[Emit], message: Message) -> None:
    for one in fields:
        one(message)


def _function(rng: Random, world: World, code: int) -> Function:
    return Function(
        code=code,
        action=rng.choice(ACTIONS),
        area=numbers.enumeration(rng, world) if rng.random() < 0.3 else None,
        address=world.width(rng, [1, 2, 2, 2, 3, 4]),
        count=world.width(rng, [1, 2, 2]),
        item=choose(rng, ITEMS)(rng, world),
        items=rng.choice([1, 1, 2, 4, 10, 30]),
        whole=rng.random() < 0.4,
        tail=[choose(rng, structures.SCALARS)(rng, world) for _ in range(rng.randint(1, 4))],
    )


def make(rng: Random, world: World) -> Exchange:
    """Draw a header and the functions."""
    world.offset = 0
    header = [choose(rng, HEADER)(rng, world) for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 6]))]
    if rng.random() < 0.7:
        header.insert(rng.randint(0, len(header)), structures.length_of_rest(rng, world))
    n = rng.choice([2, 3, 4, 6, 8, 12])
    codes = rng.sample(range(1, rng.choice([17, 40, 120])), n)
    return Exchange(
        header=header,
        code_width=rng.choice([1, 1, 1, 2]),
        sized=rng.choice([0, 1, 1, 2]),
        functions=[_function(rng, world, code) for code in codes],
        weights=[rng.gammavariate(0.7, 1) + 1e-3 for _ in range(n)],
        refused=rng.choice([0, 0.03, 0.2]),
        marks=rng.choice([None, None, (0, 1), (0x32, 0x33), (1, 3), (0, 0x80)]),
        trailer=[structures.checksum(rng, world)] if rng.random() < 0.3 else [],
    )
