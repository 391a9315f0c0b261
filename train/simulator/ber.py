"""BER-like families: nested tag, length, value with short and long lengths, after an optional fixed header."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from . import identity, numbers, strings, structures
from .message import Emit, Message, World, choose

PREFIXES: list[tuple[float, structures.Factory]] = [
    (2, identity.transaction), (2, structures.length_of_rest), (2, numbers.constant), (1, numbers.zeros),
]  # fmt: skip
TAGS = {"integer": 2, "octets": 4, "object": 6, "enumerated": 10, "boolean": 1, "null": 5}


@dataclass
class Node:
    """One element: its tag, and its children or the kind of its value."""

    tag: int
    kind: str
    children: list[Node]
    optional: float
    repeat: int
    values: list[bytes]


def _node(rng: Random, depth: int) -> Node:
    inner = depth == 0 or (depth < 4 and rng.random() < 0.5)
    optional, repeat = rng.choice([1, 1, 1, 0.7]), rng.choice([1, 1, 1, 3])
    if inner:
        tag = rng.choice([0x30, 0x30, 0x31, 0x60 + rng.randrange(12), 0xA0 + rng.randrange(8)])
        return Node(tag, "", [_node(rng, depth + 1) for _ in range(rng.randint(1, 4))], optional, repeat, [])
    kinds = ["integer", "text", "octets", "object", "enumerated", "boolean", "null"]
    kind = rng.choices(kinds, [5, 3, 2, 2, 1, 1, 1])[0]
    tag = rng.choice([4, 12, 19, 22, 26, 0x80, 0x81]) if kind == "text" else TAGS[kind]
    if kind == "integer" and rng.random() < 0.3:
        tag = 0x80 + rng.randrange(8)
    values = [b"\x2b\x06\x01" + bytes(rng.choices(range(128), k=rng.randint(2, 7))) for _ in range(4)]
    return Node(tag, kind, [], optional, repeat, values)


def _value(node: Node, rng: Random) -> bytes:
    if node.kind == "integer":
        number = int(rng.expovariate(1 / rng.choice([3, 100, 30000])))
        return number.to_bytes(max(1, (number.bit_length() + 8) // 8), "big")
    simple: dict[str, bytes] = {
        "text": strings.content(rng), "octets": rng.randbytes(rng.randrange(20)), "object": rng.choice(node.values),
        "null": b"",
    }  # fmt: skip
    return simple.get(node.kind, bytes([rng.randrange(3)]))


def _emit(node: Node, message: Message, long_form: int) -> None:
    if node.kind:
        _head(message, node.tag, len(value := _value(node, message.rng)), 0)
        message.put(value, "string" if node.kind == "text" else "")
        return
    inside = Message(message.world)
    for child in node.children:
        if message.rng.random() < child.optional:
            for _ in range(message.rng.randint(1, child.repeat)):
                _emit(child, inside, long_form)
    _head(message, node.tag, inside.size(0), long_form)
    message.take(inside)


def _head(message: Message, tag: int, size: int, long_form: int) -> None:
    message.put(bytes([tag]), "tag")
    width = long_form or (0 if size < 128 else 1 if size < 256 else 2)
    if width:
        message.put(bytes([0x80 | width]))
    message.put(size.to_bytes(max(1, width), "big"), "length")


@dataclass
class Ber:
    """Message trees; ``long_form``: bytes of every constructed length, 0 for the shortest form."""

    prefix: list[Emit]
    trees: list[Node]
    long_form: int

    def emit(self, message: Message) -> int:
        """Write one message and return its type."""
        choice = message.rng.randrange(len(self.trees))
        message.world.direction = 1 + choice % 2
        for one in self.prefix:
            one(message)
        _emit(self.trees[choice], message, self.long_form)
        return choice


def make(rng: Random, world: World) -> Ber:
    """Draw a protocol of nested elements."""
    prefix = [choose(rng, PREFIXES)(rng, world) for _ in range(rng.choice([0, 0, 0, 1, 2, 3]))]
    trees = [_node(rng, 0) for _ in range(rng.choice([1, 2, 3, 4, 6]))]
    return Ber(prefix, trees, rng.choice([0, 0, 0, 0, 4]))
