"""One simulated message under construction: leaf fields in order, some of them filled in when the rest is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

Order = Literal["big", "little"]
Emit = Callable[["Message"], None]
Region = tuple[int, int]


@dataclass
class World:
    """
    What messages of one simulated protocol share while they are drawn.

    Attributes:
        rng: the one source of chance; order: byte order of its numbers.
        alike: how often a field is drawn as wide as the one before it; aligned: whether numbers stand at multiples of
            their width.
        clock: seconds since 1970 of the current message; flow, direction (1 asks, 2 answers): its place.
        memory: per-protocol and per-flow state of fields (counters, echoed ids), keyed by the field.
        offset, last: bytes drawn of the part that is being drawn, and the width of the last field.
    """

    rng: Random
    order: Order
    alike: float = 0.0
    aligned: bool = False
    clock: float = 0.0
    flow: int = 0
    direction: int = 1
    memory: dict[object, object] = field(default_factory=dict)
    offset: int = 0
    last: int = 0

    def width(self, rng: Random, choices: Sequence[int]) -> int:
        """Draw the width of the next field, in the manner of this protocol where the choices allow it."""
        fits = [width for width in choices if not self.aligned or self.offset % min(width & -width, 4) == 0]
        drawn = rng.choice(fits or [min(choices)])
        if self.last in fits and rng.random() < self.alike:
            drawn = self.last
        self.offset, self.last = self.offset + drawn, drawn
        return drawn

    def number(self, value: int, width: int) -> bytes:
        """Return ``value`` modulo its range in ``width`` bytes of the protocol's order."""
        return (value % (1 << 8 * width)).to_bytes(width, self.order)


class Message:
    """
    Leaf fields (bytes, label) in order.

    ``later`` leaves room for a value that depends on others; ``finish`` fills these in, lengths before checksums.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self.parts: list[bytes] = []
        self.labels: list[str] = []
        self.numbers: list[bool] = []
        self._later: list[tuple[int, int, Callable[[Message], bytes]]] = []

    def put(self, data: bytes, label: str = "", number: bool = False) -> None:
        """Append one leaf field, a ``number`` in the protocol's byte order or not; an empty one leaves no trace."""
        self.parts.append(data)
        self.labels.append(label)
        self.numbers.append(number)

    def integer(self, value: int, width: int, label: str = "") -> None:
        """Append a number in the protocol's byte order."""
        self.put(self.world.number(value, width), label, number=True)

    def take(self, inside: Message) -> None:
        """Append the leaf fields of a finished message."""
        for part, label, number in zip(inside.parts, inside.labels, inside.numbers, strict=True):
            self.put(part, label, number)

    def later(self, width: int, label: str, compute: Callable[[Message], bytes], rank: int = 0) -> None:
        """Append ``width`` bytes that ``compute`` gives at the end; lower ranks come first."""
        self._later.append((rank, len(self.parts), compute))
        self.put(bytes(width), label, number=True)

    def mark(self) -> int:
        """Return the index of the next leaf, for ``size``."""
        return len(self.parts)

    def size(self, start: int, stop: int | None = None) -> int:
        """Return the bytes of the leaves from ``start`` up to ``stop``."""
        return sum(len(part) for part in self.parts[start:stop])

    def finish(self) -> None:
        """Fill in what waited for the rest."""
        for _, index, compute in sorted(self._later, key=lambda entry: (entry[0], -entry[1])):
            self.parts[index] = compute(self)
        self._later.clear()

    def payload(self) -> bytes:
        """Return the bytes of the message."""
        return b"".join(self.parts)

    def truth(self) -> tuple[list[int], list[tuple[int, int, str]]]:
        """Return inner boundaries, and (start, length, label) of the labelled leaves."""
        boundaries, semantics, at = [], [], 0
        for part, label in zip(self.parts, self.labels, strict=True):
            if not part:
                continue
            if at:
                boundaries.append(at)
            if label:
                semantics.append((at, len(part), label))
            at += len(part)
        return boundaries, semantics

    def ordered(self) -> list[tuple[int, int]]:
        """Return (start, length) of the numbers of several bytes, which tell the byte order."""
        made, at = [], 0
        for part, number in zip(self.parts, self.numbers, strict=True):
            if number and len(part) > 1:
                made.append((at, len(part)))
            at += len(part)
        return made


def sequence(fields: list[Emit]) -> Emit:
    """Return a field group that emits its members in order."""

    def emit(message: Message) -> None:
        for one in fields:
            one(message)

    return emit


def choose(rng: Random, table: list[tuple[float, Callable[..., Emit]]]) -> Callable[..., Emit]:
    """Draw one factory of a (weight, factory) table."""
    return rng.choices([factory for _, factory in table], [weight for weight, _ in table])[0]
