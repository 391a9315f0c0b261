"""Structures: tagged values, records, name lists, numbers of varying width, checksums, lengths."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random

from . import identity, numbers, strings
from .message import Emit, Message, World, choose, sequence

Factory = Callable[[Random, World], Emit]

SCALARS: list[tuple[float, Factory]] = [
    (4, numbers.quantity), (2, numbers.enumeration), (1, numbers.floating), (1, identity.ipv4), (1, numbers.zeros),
    (1, numbers.flags), (0.5, numbers.walk), (0.5, identity.mac), (0.5, numbers.signed), (0.5, numbers.bit_fields),
]  # fmt: skip
VALUES: list[tuple[float, Factory]] = [
    (4, numbers.quantity), (2, identity.ipv4), (2, numbers.enumeration), (1, identity.timestamp), (1, identity.ipv6),
    (1, identity.mac), (1, numbers.floating),
]  # fmt: skip
RANDOM_VALUES: list[tuple[float, Factory]] = [(2, strings.opaque), (1, identity.identifier)]


def tagged(rng: Random, world: World) -> Emit:
    """Elements of tag, length, value; padded, nested, ended by a bare tag, or with lengths that count the header."""
    tag_width, length_width = rng.choice([(1, 1), (1, 1), (1, 1), (2, 2), (2, 2), (1, 2), (2, 1), (4, 4), (4, 2)])
    header = (tag_width + length_width) if rng.random() < 0.2 else 0
    align, most = rng.choice([1, 1, 1, 4]) if not world.aligned else rng.choice([1, 4, 4]), rng.choice([1, 2, 4, 8])
    swap, nest, end = rng.random() < 0.08, rng.random() < 0.2, rng.random() < 0.2
    tags = [_member(rng, world, min(254, 1 << 8 * tag_width)) for _ in range(rng.randint(2, 9))]

    def head(message: Message, tag: int, stops: list[int]) -> None:
        at = message.mark() + 2

        def size(done: Message) -> bytes:
            return done.world.number(done.size(at, stops[0]) + header, length_width)

        if swap:
            message.later(length_width, "length", size)
        message.integer(tag, tag_width, "tag")
        if not swap:
            message.later(length_width, "length", size)

    def element(message: Message, depth: int) -> None:
        tag, value = message.rng.choice(tags)
        at, stops = message.mark() + 2, []  # type: tuple[int, list[int]]
        head(message, tag, stops)
        if nest and depth < 2 and message.rng.random() < 0.3:
            for _ in range(message.rng.randint(1, 3)):
                element(message, depth + 1)
            stops.append(message.mark())
            return
        value(message)
        stops.append(message.mark())
        message.put(bytes(-message.size(at, stops[0]) % align), "padding")

    def emit(message: Message) -> None:
        for _ in range(message.rng.randint(0 if end else 1, most)):
            element(message, 0)
        if end:
            message.put(b"\xff" * tag_width, "tag")

    return emit


def _member(rng: Random, world: World, top: int) -> tuple[int, Emit]:
    kind = rng.random()
    if kind < 0.55:
        value = choose(rng, VALUES)(rng, world)
    elif kind < 0.75:
        value = strings.bare
    elif kind < 0.85:
        value = choose(rng, RANDOM_VALUES)(rng, world)
    else:
        value = sequence([choose(rng, SCALARS)(rng, world) for _ in range(rng.randint(2, 3))])
    return rng.randrange(rng.choice([16, min(top, 64), top])), value


def records(rng: Random, world: World) -> Emit:
    """An array of records, with a count before it or to the end."""
    members = [choose(rng, SCALARS)(rng, world) for _ in range(rng.choice([1, 1, 1, 2, 3, 4, 6]))]
    width, most, named = rng.choice([0, 1, 1, 1, 2, 2, 4]), rng.choice([1, 2, 4, 8, 16]), rng.random() < 0.12
    in_bytes = rng.random() < 0.25

    def emit(message: Message) -> None:
        n, at = message.rng.randint(1, most), message.mark() + 1
        stops: list[int] = []
        if width and in_bytes:
            message.later(width, "length", lambda m: m.world.number(m.size(at, stops[0]), width))
        elif width:
            message.integer(n, width, "count")
        for _ in range(n):
            for member in members:
                member(message)
            if named:
                message.put(strings.word_bytes(message.rng) + b"\0", "string")
        stops.append(message.mark())

    return emit


def names(rng: Random, world: World) -> Emit:
    """Questions and answers: label sequences, each followed by fixed fields."""
    name = strings.labels(rng, world)
    members = [choose(rng, SCALARS)(rng, world) for _ in range(rng.choice([1, 2, 2, 3]))]
    most, tail = rng.choice([1, 1, 2, 4]), rng.random() < 0.5
    sized = strings.sized_opaque(rng, world)

    def emit(message: Message) -> None:
        for _ in range(message.rng.randint(1, most)):
            name(message)
            for member in members:
                member(message)
            if tail and message.world.direction == 2:
                sized(message)

    return emit


def varint(value: int) -> bytes:
    """Return a number in seven-bit groups, low group first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def keyed_varints(rng: Random, world: World) -> Emit:
    """Protocol-buffer-like: a key of number and wire type, then a varint, fixed or counted value."""
    kinds = [rng.choice([0, 0, 2, 2, 5, 1]) for _ in range(rng.randint(1, 8))]
    rare = [rng.choice([1, 1, 0.5]) for _ in kinds]

    def emit(message: Message) -> None:
        for number, (kind, share) in enumerate(zip(kinds, rare, strict=True), 1):
            if message.rng.random() > share:
                continue
            message.put(varint(number << 3 | kind), "tag")
            if kind == 0:
                message.put(varint(int(message.rng.expovariate(1 / 300))))
            elif kind == 2:
                text = strings.content(message.rng)
                message.put(varint(len(text)), "length")
                message.put(text, "string")
            else:
                message.put(message.rng.randbytes(4 if kind == 5 else 8))

    return emit


def length_of_rest(rng: Random, world: World) -> Emit:
    """A length of the message, of what follows, or of either with a bias, in bytes or words."""
    width = world.width(rng, [1, 2, 2, 2, 2, 4, 4, 3])
    after, bias = rng.random() < 0.65, rng.choice([0, 0, 0, 0, 1, 2, 4, -1, -2])
    unit = rng.choice([1, 1, 1, 1, 1, 2, 4])

    def emit(message: Message) -> None:
        at = message.mark() + 1

        def compute(done: Message) -> bytes:
            size = done.size(at) if after else done.size(0)
            return done.world.number(max(0, size + bias) // unit, width)

        message.later(width, "length", compute)

    return emit


def checksum(rng: Random, world: World) -> Emit:
    """A sum, exclusive or, ones' complement sum or CRC-32 of everything, with zeros in its own place."""
    width = world.width(rng, [1, 2, 2, 2, 4])
    rule = CHECKSUMS[rng.choice(RULES[width])]

    def emit(message: Message) -> None:
        def compute(done: Message) -> bytes:
            return done.world.number(rule(done.payload()), width)

        message.later(width, "checksum", compute, rank=1)

    return emit


def _xor(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


def _internet(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


RULES = {1: ["crc", "sum", "xor"], 2: ["crc", "sum", "internet"], 4: ["crc"]}
CHECKSUMS: dict[str, Callable[[bytes], int]] = {"crc": zlib.crc32, "sum": sum, "xor": _xor, "internet": _internet}


def prefixed_length(rng: Random, world: World) -> Emit:
    """The length of what follows as a varint, or in 7 bits with 2 or 8 more bytes for more."""
    as_varint = rng.random() < 0.6

    def emit(message: Message) -> None:
        at = message.mark() + 1

        def compute(done: Message) -> bytes:
            size = done.size(at)
            if as_varint:
                return varint(size)
            return bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")

        message.later(1, "length", compute)

    return emit


def optional(rng: Random, world: World) -> Emit:
    """Flags, and for each of some bits a field that is there where it is set."""
    width = world.width(rng, [1, 1, 1, 2])
    bits = rng.sample(range(8 * width), rng.randint(1, 4))
    shares = [rng.choice([0.1, 0.5, 0.9]) for _ in bits]
    members = [choose(rng, SCALARS)(rng, world) for _ in bits]
    other = rng.choice([0, 0, rng.randrange(1 << 8 * width)])
    for bit in bits:
        other &= ~(1 << bit)

    def emit(message: Message) -> None:
        present = [message.rng.random() < share for share in shares]
        message.integer(other | sum(1 << bit for bit, there in zip(bits, present, strict=True) if there), width)
        for member, there in zip(members, present, strict=True):
            if there:
                member(message)

    return emit


def switched(rng: Random, world: World) -> Emit:
    """A code, and fields that depend on it."""
    width = world.width(rng, [1, 1, 1, 2, 4])
    codes = rng.sample(range(1, 40), rng.randint(2, 6))
    cases = [[choose(rng, SCALARS)(rng, world) for _ in range(rng.randint(0, 3))] for _ in codes]

    def emit(message: Message) -> None:
        case = message.rng.randrange(len(codes))
        message.integer(codes[case], width)
        for member in cases[case]:
            member(message)

    return emit
