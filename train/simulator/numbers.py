"""Numbers: constants, enumerations, flags, quantities, floating point."""

from __future__ import annotations

import struct
from random import Random

from .message import Emit, Message, World


def constant(rng: Random, world: World) -> Emit:
    """Magic bytes: random, letters, or one small number."""
    width = world.width(rng, [1, 1, 2, 2, 4, 4, 3, 8])
    kind = rng.random()
    if kind < 0.4:
        data = rng.randbytes(width)
    elif kind < 0.7:
        data = bytes(rng.choices(range(65, 91), k=width))
    else:
        data = world.number(rng.randrange(256), width)
    return lambda message: message.put(data, "constant")


def zeros(rng: Random, world: World) -> Emit:
    """Reserved bytes."""
    data = bytes(world.width(rng, [1, 1, 1, 2, 2, 2, 3, 4, 4, 8, 16]))
    return lambda message: message.put(data, "padding")


def enumeration(rng: Random, world: World) -> Emit:
    """One of a few codes, the first most often."""
    width = world.width(rng, [1, 1, 1, 1, 2, 2, 4])
    top = rng.choice([4, 16, 255, 300])
    codes = [rng.randrange(min(top, 1 << 8 * width)) for _ in range(rng.choice([1, 2, 2, 3, 6, 12]))]
    weights = [1.0 / (1 + i) ** rng.choice([0.3, 1, 2]) for i in range(len(codes))]

    def emit(message: Message) -> None:
        message.integer(message.rng.choices(codes, weights)[0], width)

    return emit


def version(rng: Random, world: World) -> Emit:
    """A version: one byte, or major and minor."""
    parts = [rng.randrange(1, 6), rng.randrange(4)][: rng.choice([1, 1, 2])]

    def emit(message: Message) -> None:
        for part in parts:
            message.put(bytes([part]), "constant")

    return emit


def flags(rng: Random, world: World) -> Emit:
    """Independent bits, each set now and then."""
    width = world.width(rng, [1, 1, 1, 2, 2, 4])
    bits = [(1 << rng.randrange(8 * width), rng.choice([0.02, 0.3, 0.5, 0.95])) for _ in range(rng.randint(1, 5))]

    def emit(message: Message) -> None:
        message.integer(sum({bit for bit, share in bits if message.rng.random() < share}), width)

    return emit


def bit_fields(rng: Random, world: World) -> Emit:
    """Small numbers packed into one or two bytes."""
    width = world.width(rng, [1, 1, 2])
    cuts = sorted(rng.sample(range(1, 8 * width), rng.randint(1, 3)))
    tops = [rng.choice([1, 2, 3, 4, 16]) for _ in cuts]

    def emit(message: Message) -> None:
        value = 0
        for cut, top in zip(cuts, tops, strict=True):
            value |= message.rng.randrange(top) << cut
        message.integer(value, width)

    return emit


def quantity(rng: Random, world: World) -> Emit:
    """A count or measure, small numbers most often, sometimes the same all along."""
    width = world.width(rng, [1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 3])
    top = min(rng.choice([3, 4, 20, 255, 1000, 70000, 1e6]), 256.0**width - 1)
    fixed = int(rng.random() ** 2 * top) if rng.random() < 0.3 else None

    def emit(message: Message) -> None:
        value = int(min(message.rng.expovariate(3 / top), top)) if fixed is None else fixed
        message.integer(value, width)

    return emit


def row(rng: Random, world: World) -> Emit:
    """Some numbers of one width and use side by side, counts for the most part; many of them are always zero."""
    width, count = world.width(rng, [1, 1, 2, 2, 2, 4, 4]), rng.randint(2, 6)
    world.offset += (count - 1) * width
    top = min(rng.choice([2, 3, 8, 60, 255, 5000]), 256**width - 1)
    shares = [rng.choice([0, 0, 0.1, 0.5, 1, 1]) for _ in range(count)]
    fixed = [rng.random() < 0.3 for _ in range(count)]
    values = [rng.randint(1, top) for _ in range(count)]

    def emit(message: Message) -> None:
        for share, same, value in zip(shares, fixed, values, strict=True):
            there = message.rng.random() < share
            message.integer((value if same else message.rng.randint(1, top)) if there else 0, width)

    return emit


def signed(rng: Random, world: World) -> Emit:
    """A measure around zero in two's complement."""
    width, spread = world.width(rng, [1, 2, 2, 4]), rng.choice([4, 20, 1000])
    return lambda message: message.integer(int(message.rng.gauss(0, spread)), width)


def walk(rng: Random, world: World) -> Emit:
    """A sensor value that drifts."""
    width, key = world.width(rng, [2, 2, 4]), object()
    start, step = rng.randrange(100, 20000), rng.choice([2, 20, 200])

    def emit(message: Message) -> None:
        value = int(message.world.memory.get(key, start)) + message.rng.randint(-step, step)  # type: ignore[call-overload]
        message.world.memory[key] = value
        message.integer(value, width)

    return emit


def floating(rng: Random, world: World) -> Emit:
    """IEEE 754, single or double precision."""
    code = (">" if world.order == "big" else "<") + rng.choice("ffd")
    mean, spread = rng.gauss(0, 100), rng.choice([0.1, 5, 100])
    zero = rng.choice([0, 0, 0.4])

    def emit(message: Message) -> None:
        value = 0.0 if message.rng.random() < zero else message.rng.gauss(mean, spread)
        message.put(struct.pack(code, value), "float")

    return emit


def sentinel(rng: Random, world: World) -> Emit:
    """A number that is mostly all ones or zero."""
    width, rare = world.width(rng, [2, 4, 4, 8]), rng.choice([0, 0.05, 0.3])
    usual = rng.choice([0, -1])

    def emit(message: Message) -> None:
        message.integer(message.rng.randrange(1000) if message.rng.random() < rare else usual, width)

    return emit
