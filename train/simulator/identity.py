"""Who, which and when: transaction ids, sessions, addresses, counters, times."""

from __future__ import annotations

from random import Random

from .message import Emit, Message, World

NTP_EPOCH = 2_208_988_800


def transaction(rng: Random, world: World) -> Emit:
    """An id drawn by the asker and echoed by the answer."""
    width, key = world.width(rng, [1, 2, 2, 2, 4, 4, 8]), object()

    def emit(message: Message) -> None:
        where = (key, message.world.flow)
        if message.world.direction == 1 or where not in message.world.memory:
            message.world.memory[where] = message.rng.randbytes(width)
        message.put(message.world.memory[where], "transaction_id")  # type: ignore[arg-type]

    return emit


def session(rng: Random, world: World) -> Emit:
    """Bytes fixed for a flow, or one of a small pool."""
    width = world.width(rng, [2, 4, 4, 8, 16])
    pool = [rng.randbytes(width) for _ in range(rng.choice([1, 1, 2, 4, 8, 30]))]
    if rng.random() < 0.3:
        pool = [world.number(rng.randrange(1, 3000), width) for _ in pool]
    per_flow = rng.random() < 0.6

    def emit(message: Message) -> None:
        index = message.world.flow if per_flow else message.rng.randrange(len(pool))
        message.put(pool[index % len(pool)], "session_id")

    return emit


def counter(rng: Random, world: World) -> Emit:
    """A sequence number per flow or for all, by steps."""
    width, key = world.width(rng, [1, 2, 2, 2, 4, 4, 4, 8]), object()
    start = rng.choice([0, rng.randrange(200), rng.randrange(60000), rng.randrange(1 << 31)])
    step, skip, shared = rng.choice([1, 1, 1, 1, 2, 160, 1000]), rng.choice([0, 0, 0.2]), rng.random() < 0.4

    def emit(message: Message) -> None:
        where = key if shared else (key, message.world.flow, message.world.direction)
        more = step * (1 + (message.rng.randrange(3) if message.rng.random() < skip else 0))
        value = int(message.world.memory.get(where, start)) + more  # type: ignore[call-overload]
        message.world.memory[where] = value
        message.integer(value, width, "counter")

    return emit


def ipv4(rng: Random, world: World) -> Emit:
    """Addresses of one or two networks."""
    world.width(rng, [4])
    count = rng.choice([1, 1, 2])
    nets = [bytes([rng.choice([10, 172, 192, rng.randrange(1, 224)]), rng.randrange(256)]) for _ in range(count)]
    subnets = [rng.randrange(256) for _ in range(rng.choice([1, 1, 3]))]
    hosts = [rng.randrange(1, 255) for _ in range(rng.choice([1, 2, 5, 40]))]
    zero = rng.choice([0, 0, 0.3])

    def emit(message: Message) -> None:
        draw = message.rng
        data = draw.choice(nets) + bytes([draw.choice(subnets), draw.choice(hosts)])
        message.put(bytes(4) if draw.random() < zero else data, "address")

    return emit


def ipv6(rng: Random, world: World) -> Emit:
    """Addresses of one network, many zeros in the middle."""
    net = b"\x20\x01" + rng.randbytes(4) if rng.random() < 0.5 else b"\xfe\x80" + bytes(4)
    hosts = [bytes(2) + rng.randbytes(8) if rng.random() < 0.6 else bytes(9) + rng.randbytes(1) for _ in range(4)]
    return lambda message: message.put(net + message.rng.choice(hosts), "address")


def mac(rng: Random, world: World) -> Emit:
    """Hardware addresses of one or two makers."""
    world.width(rng, [6])
    makers = [rng.randbytes(3) for _ in range(rng.choice([1, 2]))]
    pool = [rng.choice(makers) + rng.randbytes(3) for _ in range(rng.choice([1, 2, 4, 20]))]
    return lambda message: message.put(message.rng.choice(pool), "address")


def port(rng: Random, world: World) -> Emit:
    """A port number, ephemeral or one of a few."""
    world.width(rng, [2])
    few = [rng.choice([53, 80, 443, 502, 8080, 20000]) for _ in range(2)]

    def emit(message: Message) -> None:
        draw = message.rng
        message.integer(draw.choice(few) if draw.random() < 0.4 else draw.randrange(1024, 65536), 2, "port")

    return emit


def identifier(rng: Random, world: World) -> Emit:
    """A 16-byte unique id of a small or large pool."""
    pool = [rng.randbytes(16) for _ in range(rng.choice([1, 2, 4, 30]))]
    return lambda message: message.put(message.rng.choice(pool), "id")


def timestamp(rng: Random, world: World) -> Emit:
    """The current time in one of the usual units."""
    unit, width = rng.choice([(1, 4), (1, 4), (1, 8), (1000, 8), (1_000_000, 8), (1000, 6), (10_000_000, 8)])
    world.width(rng, [width])
    return lambda message: message.integer(int(message.world.clock * unit), width, "timestamp")


def ntp_time(rng: Random, world: World) -> Emit:
    """Seconds since 1900 and a binary fraction, always in network order, sometimes unset."""
    unset = rng.choice([0, 0, 0.3])

    def emit(message: Message) -> None:
        seconds = int(message.world.clock + message.rng.random() * 5) + NTP_EPOCH
        data = seconds.to_bytes(4, "big") + message.rng.randbytes(4)
        message.put(bytes(8) if message.rng.random() < unset else data, "timestamp")

    return emit


def split_time(rng: Random, world: World) -> Emit:
    """Seconds, then micro- or nanoseconds, as two fields."""
    top = rng.choice([1_000_000, 1_000_000_000])

    def emit(message: Message) -> None:
        message.integer(int(message.world.clock), 4, "timestamp")
        message.integer(message.rng.randrange(top), 4)

    return emit


def uptime(rng: Random, world: World) -> Emit:
    """Milliseconds or ticks since a start."""
    unit, width, base = rng.choice([100, 1000]), world.width(rng, [4, 4, 2]), world.clock - rng.randrange(10, 1_000_000)
    return lambda message: message.integer(int((message.world.clock - base) * unit), width, "timestamp")
