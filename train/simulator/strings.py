"""Strings and opaque bytes: counted, terminated, padded, in two-byte characters, random."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from random import Random

from .message import Emit, Message, World

VOCABULARY = """
admin user root status get set temp sensor pump valve config host name alpha node device read write data log file index
time event session token public private open close start stop main default local example com org net www mail test group
item value point alarm motor level flow tank unit line batch recipe door meter phase grid relay
"""
WORDS = VOCABULARY.split()


def word_bytes(rng: Random, most: int = 3) -> bytes:
    """Return a name, a path, or a number as text."""
    kind = rng.random()
    if kind < 0.15:
        return str(rng.randrange(10 ** rng.randint(1, 8))).encode()
    glue = rng.choice(["-", "_", "", ".", "", "/", " ", "\\"])
    text = glue.join(rng.choices(WORDS, k=rng.randint(1, most)))
    return (text.upper() if kind < 0.3 else text.title() if kind < 0.45 else text).encode()


def content(rng: Random) -> bytes:
    """Return the content of a string field: text or bytes, sometimes none."""
    kind = rng.random()
    if kind < 0.08:
        return b""
    return rng.randbytes(rng.randrange(1, 12)) if kind < 0.2 else word_bytes(rng)


def bare(message: Message) -> None:
    """Write a string alone."""
    message.put(content(message.rng), "string")


def counted(rng: Random, world: World) -> Emit:
    """A length, then that many bytes; the length may include itself."""
    width, self_counted = world.width(rng, [1, 1, 1, 2, 2, 4]), rng.random() < 0.1
    align = 4 if rng.random() < (0.5 if world.aligned else 0.05) else 1

    def emit(message: Message) -> None:
        text = content(message.rng)
        message.integer(len(text) + (width if self_counted else 0), width, "length")
        message.put(text, "string")
        message.put(bytes(-len(text) % align), "padding")

    return emit


def terminated(rng: Random, world: World) -> Emit:
    """Text up to a zero byte, which is part of the field."""
    return lambda message: message.put(word_bytes(message.rng) + b"\0", "string")


def padded(rng: Random, world: World) -> Emit:
    """Text in a field of fixed width, the rest zeros or blanks."""
    width, fill = rng.choice([8, 12, 16, 16, 20, 32, 64]), rng.choice([b"\0", b"\0", b" "])
    empty = rng.choice([0, 0, 0.5])

    def emit(message: Message) -> None:
        text = b"" if message.rng.random() < empty else word_bytes(message.rng)
        message.put(text[:width].ljust(width, fill), "string")

    return emit


def wide(rng: Random, world: World) -> Emit:
    """UTF-16, little endian, counted or ended by a zero character."""
    width = rng.choice([0, 2, 2, 4])
    halved = rng.random() < 0.5

    def emit(message: Message) -> None:
        text = word_bytes(message.rng).decode().encode("utf-16-le")
        if width:
            message.integer(len(text) // (2 if halved else 1), width, "length")
        else:
            text += b"\0\0"
        message.put(text, "string")

    return emit


def labels(rng: Random, world: World) -> Emit:
    """A name as counted labels that end with a zero byte: one field."""
    names = [b"".join(bytes([len(w)]) + w.encode() for w in rng.choices(WORDS, k=rng.randint(1, 4))) for _ in range(12)]
    pointer = rng.choice([0, 0, 0.4])

    def emit(message: Message) -> None:
        draw = message.rng
        if draw.random() < pointer:
            message.put(bytes([0xC0, draw.choice([12, 12, 12, draw.randrange(12, 90)])]), "name")
        else:
            message.put(draw.choice(names) + b"\0", "name")

    return emit


def _pixels(rng: Random, size: int) -> bytes:
    """Few colours in runs."""
    colours = [rng.randbytes(rng.choice([1, 2, 3, 4])) for _ in range(rng.randint(1, 5))]
    data = b""
    while len(data) < size:
        data += rng.choice(colours) * rng.randint(1, 12)
    return data[:size]


def _samples(rng: Random, size: int) -> bytes:
    """A waveform around its middle."""
    middle, spread = rng.choice([0x55, 0x80, 0xD5, 0xFF]), rng.choice([3, 12, 40])
    return bytes(int(rng.gauss(middle, spread)) & 255 for _ in range(size))


def _prose(rng: Random, size: int) -> bytes:
    """Words, lines or markup that the carrier does not read."""
    glue = rng.choice([b" ", b" ", b"\r\n", b"><", b", "])
    data = b""
    while len(data) < size:
        data += rng.choice(WORDS).encode() + glue
    return data[:size]


def _deflated(rng: Random, size: int) -> bytes:
    """Compressed words, with the header of their format."""
    return zlib.compress(_prose(rng, 4 * size + 40), rng.choice([1, 6, 9]))[:size]


def _ramp(rng: Random, size: int) -> bytes:
    """A few bytes and then a sequence that fills the packet, as echo requests have it."""
    first, period = rng.choice([(97, 23), (97, 26), (0, 256), (16, 256), (48, 10), (32, 95)])
    stamp = rng.randbytes(3) + bytes(rng.choice([1, 5]))
    front = rng.choice([b"", stamp, 2 * stamp])
    return (front + bytes((first + i % period) & 255 for i in range(size)))[:size]


def _table(rng: Random, size: int) -> bytes:
    """Numbers of a file or of memory: steps around a level, small ones, zeros."""
    width, order = rng.choice([2, 2, 4]), rng.choice([">", "<"])
    level, spread = rng.choice([0, 20, 300, 20000]), rng.choice([1, 9, 200])
    values = [max(0, int(rng.gauss(level, spread))) for _ in range(-(-size // width))]
    return struct.pack(f"{order}{len(values)}{'H' if width == 2 else 'I'}", *(v & 0xFFFF for v in values))[:size]


def _code(rng: Random, size: int) -> bytes:
    """Frequent short sequences among bytes that are rare, as in programs and media."""
    common = [rng.randbytes(rng.choice([1, 1, 2, 3])) for _ in range(10)] + [bytes(2), b"\xff"]
    noise, data = rng.choice([0.2, 0.5, 0.8]), b""
    while len(data) < size:
        data += rng.randbytes(rng.choice([1, 2, 4])) if rng.random() < noise else rng.choice(common)
    return data[:size]


OPAQUE: list[tuple[float, Callable[[Random, int], bytes]]] = [
    (5, lambda rng, size: rng.randbytes(size)),
    (1, lambda rng, size: bytes(rng.choices(range(32, 127), k=size))),
    (1, lambda rng, size: bytes(rng.choices(range(4), k=size))),
    (1, lambda rng, size: bytes(size)),
    (1, lambda rng, size: base64.b64encode(rng.randbytes(size))[:size]),
    (1, _pixels), (1, _samples), (1, _prose), (1, _deflated), (0.7, _ramp), (0.8, _table), (1.5, _code),
]  # fmt: skip


def draw_opaque(rng: Random) -> Callable[[Random, int], bytes]:
    """Draw a kind of content that its carrier does not read."""
    return rng.choices([kind for _, kind in OPAQUE], [weight for weight, _ in OPAQUE])[0]


def opaque(rng: Random, world: World) -> Emit:
    """Bytes without structure of their own: ciphertext, media, text, zeros; fixed or varying length."""
    kind, top = draw_opaque(rng), rng.choice([4, 16, 40, 120, 300, 900])
    fixed = rng.randint(1, top) if rng.random() < 0.3 else None

    def emit(message: Message) -> None:
        message.put(kind(message.rng, fixed or message.rng.randint(1, top)), "payload")

    return emit


def sized_opaque(rng: Random, world: World) -> Emit:
    """A length, then bytes without structure of their own."""
    width, top, kind = world.width(rng, [1, 2, 2, 4]), rng.choice([8, 16, 32, 64, 200]), draw_opaque(rng)

    def emit(message: Message) -> None:
        size = message.rng.randint(0, top)
        message.integer(size, width, "length")
        message.put(kind(message.rng, size), "payload")

    return emit


def bulk(rng: Random, world: World) -> Emit:
    """Long content to the end of the message, often as much as fits a packet, after its length or not."""
    kind, top = draw_opaque(rng), rng.choice([64, 200, 600, 1400])
    width, full = rng.choice([0, 0, 2, 4]), rng.choice([0, 0.3, 0.9])

    def emit(message: Message) -> None:
        size = top if message.rng.random() < full else message.rng.randint(1, top)
        if width:
            message.integer(size, width, "length")
        message.put(kind(message.rng, size), "payload")

    return emit
