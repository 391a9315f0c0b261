"""StreamParser: messages out of a byte stream as it comes, and back into step where it is damaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from ..framing.sizes import Rule, rule_of, size_at
from ..spec import (
    DelimiterFraming,
    DirectedFraming,
    FixedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
    ProtocolSpec,
)
from .generator import Parser
from .limits import Limits
from .tree import ParseTree

MAX_MESSAGE = 1 << 20
"""Bytes of the longest message of a stream, if nothing else is said; a length above is a loss of step."""
_IN_STEP = 3  # messages in a row whose lengths make sense


@dataclass(frozen=True)
class Skipped:
    """Bytes of the stream in which no message was found: ``length`` bytes from offset ``position``."""

    position: int
    length: int


class StreamParser:
    """
    Cuts a byte stream by the framing of a specification and parses its messages; how it is fed makes no difference.

    With a length framing, or a header that tells the length, a place where the magic or the length makes no sense is a
    loss of step. The next message is looked for byte after byte: where three that make sense follow each other or, at
    the end of the stream, where whole ones reach up to it or one fits its layout. With delimiters and fixed sizes the
    next border is the next message. Datagram and segment framing take each piece that is fed for one message.

    Args:
        spec: the specification, or its parser. max_message: bytes of the longest message.
        direction: which way the stream flows, as in ``MessageBatch``, where each direction has its own framing.

    Attributes:
        events: what was skipped, in order; skipped: bytes in all; position: offset of the next byte to be read.
    """

    def __init__(
        self,
        spec: ProtocolSpec | Parser,
        limits: Limits | None = None,
        max_message: int = MAX_MESSAGE,
        direction: int = CLIENT_TO_SERVER,
    ) -> None:
        self.parser = spec if isinstance(spec, Parser) else Parser(spec, limits)
        self.framing = _of_direction(self.parser.spec.framing, direction)
        self._rule = rule_of(self.framing) if isinstance(self.framing, (LengthFraming, HeaderFraming)) else None
        self.max_message = max_message
        self.events: list[Skipped] = []
        self.position = 0
        self._buffer = bytearray()
        self._in_step = True
        self._known = 0  # bytes at the front of the buffer that hold no delimiter
        self._ended = False

    @property
    def skipped(self) -> int:
        """Bytes in which no message was found."""
        return sum(event.length for event in self.events)

    def feed(self, data: bytes) -> list[ParseTree]:
        """Take the next bytes and return the messages that are whole now; ``ParseTree.position`` is their offset."""
        self._buffer += data
        return self._cut()

    def finish(self) -> list[ParseTree]:
        """End the stream; return what is left, the last message perhaps ``partial``. Then the stream may go on."""
        self._ended = True
        found = self._cut()
        self._ended = False
        if self._in_step and self._buffer:
            found.append(self._take(len(self._buffer), partial=True))
        self._skip(len(self._buffer))
        self._in_step = True
        return found

    def _cut(self) -> list[ParseTree]:
        found = []
        while (size := self._next()) > 0:
            found.append(self._take(size))
        return found

    def _take(self, size: int, partial: bool = False) -> ParseTree:
        tree = self.parser.parse(bytes(self._buffer[:size]))
        tree.position, tree.partial = self.position, partial
        self.position += size
        del self._buffer[:size]
        return tree

    def _skip(self, size: int) -> None:
        """Give up bytes at the front of the buffer; those next to each other are one event."""
        last = self.events[-1] if self.events else None
        if last is not None and last.position + last.length == self.position:
            self.events[-1] = Skipped(last.position, last.length + size)
        elif size:
            self.events.append(Skipped(self.position, size))
        self.position += size
        self._known = 0
        del self._buffer[:size]

    def _next(self) -> int:
        """Return the bytes of the message at the front of the buffer, 0 where more has to come first."""
        if self._rule is not None:
            return self._next_by_rule(self._rule)
        if isinstance(self.framing, DelimiterFraming):
            return self._next_by_delimiter(self.framing.delimiter, self.framing.opening)
        if isinstance(self.framing, FixedFraming):
            return self.framing.size if len(self._buffer) >= self.framing.size else 0
        return len(self._buffer)

    def _next_by_delimiter(self, delimiter: bytes, opening: bytes) -> int:
        # What was searched before has no delimiter, but perhaps the beginning of one at its end.
        kept = len(delimiter) - 1
        while (begin := self._behind(opening)) >= 0:
            at = self._buffer.find(delimiter, max(self._known - kept, begin))
            if at < 0:
                break
            size = at + len(delimiter)
            self._known = 0
            if self._in_step and size <= self.max_message:
                return size
            self._skip(size)
            self._in_step = True
        if len(self._buffer) > self.max_message + kept or not self._in_step:
            self._skip(max(len(self._buffer) - kept, 0))
            self._in_step = False
        self._known = len(self._buffer)
        return 0

    def _behind(self, opening: bytes) -> int:
        """Return where the delimiter may stand first: behind the opening; -1 where that is not whole yet."""
        if not opening or not self._in_step:
            return 0
        front = self._buffer[: len(opening)]
        if front == opening:
            return len(opening)
        return -1 if not self._ended and opening.startswith(front) else 0

    def _next_by_rule(self, rule: Rule) -> int:
        if self._in_step:
            size = self._size_at(rule, 0)
            if size > 0:
                return size if size <= len(self._buffer) else 0
            if size < 0:
                return 0
            self._in_step = False
            self._skip(min(1, len(self._buffer)))
        return self._search(rule)

    def _search(self, rule: Rule) -> int:
        """Look for the next message; return its size once it is at the front of the buffer."""
        at, in_step = 0, None
        magic = rule.magic.tobytes()
        while at < len(self._buffer):
            if magic:
                at = self._next_magic(magic, at)
            in_step = self._makes_sense(rule, at)
            if in_step or in_step is None:
                break
            at += 1
        self._in_step = at < len(self._buffer) and bool(in_step)
        self._skip(at)
        return self._next_by_rule(rule) if self._in_step else 0

    def _next_magic(self, magic: bytes, start: int) -> int:
        """Return the next place where the magic stands, or may stand once more bytes come."""
        at = self._buffer.find(magic, start)
        return at if at >= 0 else max(len(self._buffer) - len(magic) + 1, start)

    def _size_at(self, rule: Rule, at: int) -> int:
        """Return the size told at a place, 0 where it makes no sense, -1 where the buffer ends before it is told."""
        known = len(self._buffer) - at
        magic = rule.magic.tobytes()[:known]
        if self._buffer[at : at + len(magic)] != magic:
            return 0
        told = np.frombuffer(self._buffer, np.uint8)
        told.flags.writeable = False  # the kernels' one kind of array; it must not outlive this call
        size = int(size_at(told, at, len(told), rule.numbers, rule.end, rule.name, self.max_message))
        # a header that does not end is no header
        return 0 if size < 0 and known > self.max_message else size

    def _makes_sense(self, rule: Rule, begin: int) -> bool | None:
        """Return whether messages follow each other from a place on, None where the buffer is too short to tell."""
        at = begin
        for _ in range(_IN_STEP):
            size = self._size_at(rule, at)
            if size == 0:
                return False
            if size < 0 or at + size > len(self._buffer):
                return self._suffices(rule, begin, at) if self._ended else None
            at += size
        return True

    def _suffices(self, rule: Rule, begin: int, at: int) -> bool:
        """Whether at the end of the stream the whole messages from ``begin`` to ``at`` are enough to go on with."""
        if at == begin:
            return False
        first = self._size_at(rule, begin)
        return at == len(self._buffer) or self.parser.parse(bytes(self._buffer[begin : begin + first])).ok


def _of_direction(framing: Framing, direction: int) -> Framing:
    if not isinstance(framing, DirectedFraming):
        return framing
    return framing.server_to_client if direction == SERVER_TO_CLIENT else framing.client_to_server
