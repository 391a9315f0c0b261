"""Values that carry their own type and size: in the manner of CBOR (RFC 8949), MessagePack and Thrift."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from . import identity, numbers, strings, structures
from .message import Emit, Message, World, choose

HEADER: list[tuple[float, structures.Factory]] = [
    (3, numbers.constant), (2, identity.transaction), (2, structures.length_of_rest), (2, numbers.enumeration),
    (1, numbers.version), (1, structures.prefixed_length),
]  # fmt: skip


@dataclass
class Value:
    """A value of one kind; ``members``: (key, value) of maps and structures, or the one member of arrays."""

    kind: str
    top: int
    members: list[tuple[bytes, Value]]
    optional: float


def draw(rng: Random, depth: int) -> Value:
    """Draw the shape of a value, a map at depth 0."""
    kinds = ["number", "text", "bytes", "flag", "double", "map", "array"]
    kind = "map" if depth == 0 else rng.choices(kinds, [5, 4, 1, 1, 1, 2, 2] if depth < 3 else [5, 4, 1, 1, 1, 0, 0])[0]
    count = {"map": rng.randint(1, 6), "array": 1}.get(kind, 0)
    members = [(rng.choice(strings.WORDS).encode(), draw(rng, depth + 1)) for _ in range(count)]
    return Value(kind, rng.choice([10, 200, 60000, 1 << 30]), members, rng.choice([1, 1, 0.6]))


def _scalar(value: Value, rng: Random) -> int | bytes | float:
    if value.kind == "number":
        return int(rng.random() ** 3 * value.top)
    if value.kind == "flag":
        return rng.randrange(2)
    if value.kind == "double":
        return rng.gauss(0, 100)
    return strings.word_bytes(rng) if value.kind == "text" else rng.randbytes(rng.randrange(24))


def _head(major: int, number: int) -> bytes:
    """Return the initial byte of CBOR with a number in the shortest form, in one piece."""
    if number < 24:
        return bytes([major << 5 | number])
    for width, code in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if number < 1 << 8 * width:
            return bytes([major << 5 | code]) + number.to_bytes(width, "big")
    raise AssertionError(number)


def concise(value: Value, message: Message, whole: bool) -> None:
    """Write a value as CBOR: one leaf for the head and one for the content, or one for both."""
    if value.kind in ("map", "array"):
        _members(value, message, whole)
        return
    scalar = _scalar(value, message.rng)
    if isinstance(scalar, bytes):
        _counted(message, 3 if value.kind == "text" else 2, scalar, whole)
    elif isinstance(scalar, float):
        _pieces(message, [b"\xfb", struct.pack(">d", scalar)], whole)
    else:
        message.put(_head(0, scalar) if value.kind == "number" else bytes([0xF4 + scalar]))


def _members(value: Value, message: Message, whole: bool) -> None:
    """Write a map of names and values, or an array of one kind of value."""
    keyed_by_name = value.kind == "map"
    chosen = [m for m in value.members if message.rng.random() < m[1].optional]
    if not keyed_by_name:
        chosen = value.members * message.rng.choice([0, 1, 2, 4])
    message.put(_head(5 if keyed_by_name else 4, len(chosen)), "tag")
    for key, member in chosen:
        if keyed_by_name:
            _counted(message, 3, key, whole)
        concise(member, message, whole)


def _counted(message: Message, major: int, data: bytes, whole: bool) -> None:
    _pieces(message, [_head(major, len(data)), data], whole)


def _pieces(message: Message, pieces: list[bytes], whole: bool) -> None:
    if whole:
        message.put(b"".join(pieces), "string")
        return
    message.put(pieces[0], "tag")
    message.put(pieces[1], "string")


def numbered(value: Value, message: Message, whole: bool) -> None:
    """Write a structure as Thrift's binary protocol: type, number, value of each member, and a stop."""
    rng = message.rng
    codes = {"number": 8, "text": 11, "bytes": 11, "flag": 2, "double": 4, "map": 12, "array": 15}
    if value.kind == "map":
        for index, (_, member) in enumerate(value.members, 1):
            if rng.random() < member.optional:
                message.put(bytes([codes[member.kind]]), "tag")
                message.put(index.to_bytes(2, "big"), "tag")
                numbered(member, message, whole)
        message.put(b"\0", "tag")
        return
    if value.kind == "array":
        count = rng.choice([0, 1, 2, 4])
        message.put(bytes([codes[value.members[0][1].kind]]), "tag")
        message.put(count.to_bytes(4, "big"), "count")
        for _ in range(count):
            numbered(value.members[0][1], message, whole)
        return
    scalar = _scalar(value, rng)
    if isinstance(scalar, bytes):
        message.put(len(scalar).to_bytes(4, "big"), "length")
        message.put(scalar, "string")
    elif isinstance(scalar, float):
        message.put(struct.pack(">d", scalar), "float")
    else:
        message.put(scalar.to_bytes(4 if value.kind == "number" else 1, "big"))


def keyed(value: Value, message: Message, whole: bool) -> None:
    """Write a structure in the manner of protocol buffers: key, then varint or counted value, nested."""
    rng = message.rng
    for index, (_, member) in enumerate(value.members, 1):
        if rng.random() > member.optional:
            continue
        if member.kind in ("map", "array"):
            inside = Message(message.world)
            keyed(member, inside, whole)
            message.put(structures.varint(index << 3 | 2), "tag")
            message.put(structures.varint(inside.size(0)), "length")
            message.take(inside)
            continue
        scalar = _scalar(member, rng)
        wire = 2 if isinstance(scalar, bytes) else 1 if isinstance(scalar, float) else 0
        message.put(structures.varint(index << 3 | wire), "tag")
        if isinstance(scalar, bytes):
            message.put(structures.varint(len(scalar)), "length")
            message.put(scalar, "string")
        else:
            message.put(struct.pack("<d", scalar) if isinstance(scalar, float) else structures.varint(scalar))


@dataclass
class Packed:
    """A header, then a value of each type's shape; ``whole``: heads belong to their content."""

    header: list[Emit]
    shapes: list[Value]
    write: Callable[[Value, Message, bool], None]
    whole: bool

    def emit(self, message: Message) -> int:
        """Write one message and return its type."""
        choice = message.rng.randrange(len(self.shapes))
        message.world.direction = 1 + choice % 2
        for one in self.header:
            one(message)
        if len(self.shapes) > 1 and self.header:
            message.put(bytes([choice + 1]), "type")
        self.write(self.shapes[choice], message, self.whole)
        return choice


def make(rng: Random, world: World) -> Packed:
    """Draw a protocol of values that describe themselves."""
    header = [choose(rng, HEADER)(rng, world) for _ in range(rng.choice([0, 1, 2, 3]))]
    shapes = [draw(rng, 0) for _ in range(rng.choice([1, 2, 4, 6]))]
    return Packed(header, shapes, rng.choice([concise, numbered, keyed]), rng.random() < 0.4)
