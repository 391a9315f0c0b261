"""StreamParser: messages out of a byte stream as it comes, and back into step where it is damaged."""

from __future__ import annotations

from dataclasses import dataclass

from ..spec import DelimiterFraming, FixedFraming, LengthFraming, ProtocolSpec
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

    With a length framing, a place where the magic or the length makes no sense is a loss of step. The next message is
    looked for byte after byte: where three that make sense follow each other or, at the end of the stream, where whole
    ones reach up to it or one fits its layout. With delimiters and fixed sizes the next border is the next message.
    Datagram and segment framing take each piece that is fed for one message.

    Args:
        spec: the specification, or its parser. max_message: bytes of the longest message.

    Attributes:
        events: what was skipped, in order; skipped: bytes in all; position: offset of the next byte to be read.
    """

    def __init__(
        self, spec: ProtocolSpec | Parser, limits: Limits | None = None, max_message: int = MAX_MESSAGE
    ) -> None:
        self.parser = spec if isinstance(spec, Parser) else Parser(spec, limits)
        self.framing = self.parser.spec.framing
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
        if isinstance(self.framing, LengthFraming):
            return self._next_by_length(self.framing)
        if isinstance(self.framing, DelimiterFraming):
            return self._next_by_delimiter(self.framing.delimiter)
        if isinstance(self.framing, FixedFraming):
            return self.framing.size if len(self._buffer) >= self.framing.size else 0
        return len(self._buffer)

    def _next_by_delimiter(self, delimiter: bytes) -> int:
        # What was searched before has no delimiter, but perhaps the beginning of one at its end.
        kept = len(delimiter) - 1
        while (at := self._buffer.find(delimiter, max(self._known - kept, 0))) >= 0:
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

    def _next_by_length(self, framing: LengthFraming) -> int:
        if self._in_step:
            size = self._size_at(framing, 0)
            if size > 0:
                return size if size <= len(self._buffer) else 0
            if size < 0:
                return 0
            self._in_step = False
            self._skip(min(1, len(self._buffer)))
        return self._search(framing)

    def _search(self, framing: LengthFraming) -> int:
        """Look for the next message; return its size once it is at the front of the buffer."""
        at = 0
        while at < len(self._buffer):
            if framing.magic:
                at = self._next_magic(framing.magic, at)
            in_step = self._makes_sense(framing, at)
            if in_step or in_step is None:
                break
            at += 1
        self._in_step = at < len(self._buffer) and bool(in_step)
        self._skip(at)
        return self._next_by_length(framing) if self._in_step else 0

    def _next_magic(self, magic: bytes, start: int) -> int:
        """Return the next place where the magic stands, or may stand once more bytes come."""
        at = self._buffer.find(magic, start)
        return at if at >= 0 else max(len(self._buffer) - len(magic) + 1, start)

    def _size_at(self, framing: LengthFraming, at: int) -> int:
        """Return the size told at a place, 0 where it makes no sense, -1 where the buffer ends before it is told."""
        head = framing.offset + framing.width
        known = len(self._buffer) - at
        magic = framing.magic[:known]
        if self._buffer[at : at + len(magic)] != magic:
            return 0
        if known < max(head, len(framing.magic)):
            return -1
        octets = self._buffer[at + framing.offset : at + head]
        size = int.from_bytes(octets, framing.endianness) * framing.scale + framing.bias
        return size if head <= size <= self.max_message else 0

    def _makes_sense(self, framing: LengthFraming, begin: int) -> bool | None:
        """Return whether messages follow each other from a place on, None where the buffer is too short to tell."""
        at = begin
        for _ in range(_IN_STEP):
            size = self._size_at(framing, at)
            if size == 0:
                return False
            if size < 0 or at + size > len(self._buffer):
                return self._suffices(framing, begin, at) if self._ended else None
            at += size
        return True

    def _suffices(self, framing: LengthFraming, begin: int, at: int) -> bool:
        """Whether at the end of the stream the whole messages from ``begin`` to ``at`` are enough to go on with."""
        if at == begin:
            return False
        first = self._size_at(framing, begin)
        return at == len(self._buffer) or self.parser.parse(bytes(self._buffer[begin : begin + first])).ok
