"""ParserGenerator: from a specification to a parser with two faces, one message and a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageBatch, MessageView
from ..spec import UNKNOWN_TYPE, ProtocolSpec
from .arrays import frozen
from .build import build
from .limits import Limits, reason
from .machine import COUNT, new_state, run
from .parsed import ParsedBatch
from .program import Program, compile_program
from .symbols import Symbol
from .tree import ParseTree, grow

_LEAVES_PER_MESSAGE = 12
_NODES_PER_MESSAGE = 256
_FRONT = frozen(np.zeros(1, np.int64))


class _Buffers:
    """What the machine reads and writes for one message."""

    def __init__(self, fresh: NDArray[np.int64]) -> None:
        self.state = fresh.copy()
        self.length = np.zeros(1, np.int64)
        self.lengths = frozen(self.length)
        self.out = np.empty((6, _NODES_PER_MESSAGE), np.int32)
        self.verdicts = np.empty((4, 1), np.int32)


class ParserGenerator:
    """Makes parsers; the specification becomes tables for one machine, never text."""

    def generate(self, spec: ProtocolSpec, limits: Limits | None = None) -> Parser:
        """
        Compile a specification.

        Raises:
            SpecError: it refers to a group or field that it does not define.
            LimitError: its elements nest too deeply.
        """
        return Parser(spec, limits)


class Parser:
    """
    Reads messages of one protocol.

    Args:
        spec: the specification; limits: bounds per message; program: what it compiles to, where that is known.

    Raises:
        SpecError: the specification refers to a group or field that it does not define.
        LimitError: its elements nest too deeply.
    """

    def __init__(self, spec: ProtocolSpec, limits: Limits | None = None, program: Program | None = None) -> None:
        self.spec = spec
        self.program = program or compile_program(spec)
        self.limits = limits or Limits()
        self._fresh = self._state(self.limits)
        self._buffers: list[_Buffers] = []

    def of(self, spec: ProtocolSpec) -> Parser:
        """Return the parser of a specification, compiled anew only where its elements are not these very ones."""
        same = len(spec.types) == len(self.spec.types) and spec.groups.keys() == self.spec.groups.keys()
        same = same and all(
            one.elements is other.elements and one.guards is other.guards and one.name == other.name
            for one, other in zip(spec.types, self.spec.types, strict=True)
        )
        same = same and all(elements is self.spec.groups[name] for name, elements in spec.groups.items())
        return Parser(spec, self.limits, self.program if same else None)

    @property
    def symbols(self) -> list[Symbol]:
        """What the leaves stand for, by symbol id."""
        return self.program.symbols

    def parse_batch(self, messages: MessageBatch | MessageView, limits: Limits | None = None) -> ParsedBatch:
        """
        Parse messages: the leaves as columns, and a verdict on each message.

        Args:
            messages: a batch or a view of one; limits: other bounds than the parser's.
        """
        view = messages.view() if isinstance(messages, MessageBatch) else messages
        n = len(view)
        state = self._state(limits or self.limits)
        data, starts, lengths = frozen(view.data), frozen(view.starts), frozen(view.lengths)
        verdicts = np.empty((4, n), np.int32)
        out = np.empty((5, _LEAVES_PER_MESSAGE * n + 64), np.int32)
        row = 0
        while (row := run(self.program.table, state, data, starts, lengths, row, out, verdicts)) < n:
            out = _grown(out, int(state[COUNT]), row / n)
        return ParsedBatch(self.spec, self.program, view, *verdicts, *out[:, : int(state[COUNT])])

    def parse(self, message: bytes) -> ParseTree:
        """Parse one message; the same machine as for batches, which also writes the inner nodes."""
        # Buffers are lent to one call at a time; append and pop are atomic, so that threads do not meet.
        try:
            buffers = self._buffers.pop()
        except IndexError:
            buffers = _Buffers(self._fresh)
        while True:
            buffers.state[:] = self._fresh
            buffers.length[0] = len(message)
            data = np.frombuffer(message, np.uint8)
            if run(self.program.table, buffers.state, data, _FRONT, buffers.lengths, 0, buffers.out, buffers.verdicts):
                break
            buffers.out = np.empty((6, 16 * buffers.out.shape[1]), np.int32)
        (kind,), (status,), (offset,), (element,) = buffers.verdicts.tolist()
        leaves = buffers.out[:, : buffers.state[COUNT]].tolist()
        if buffers.out.shape[1] <= _NODES_PER_MESSAGE:
            self._buffers.append(buffers)
        nodes = grow(message, leaves, self.program.symbols, self.program.nodes, offset)
        error = reason(status, self.program.names.get(element, "")) if status else None
        name = self.spec.types[kind].name if kind >= 0 else UNKNOWN_TYPE
        return ParseTree(message, name, status, error, offset, nodes)

    def build(self, source: ParseTree | Mapping[str, Any], recompute: bool = False) -> bytes:
        """
        Return the bytes of a message: the way back from ``parse``, see ``build.build``.

        A tree gives its own bytes again, changed where a node was given another value. Values give the same bytes
        wherever they say all: not for BER lengths and varints that are longer than need be.
        """
        return build(self.spec, source, self.limits, recompute)

    def _state(self, limits: Limits) -> NDArray[np.int64]:
        return new_state(self.program.scratch, limits.depth, limits.leaves, limits.steps, limits.message_bytes)


def _grown(out: NDArray[np.int32], count: int, done: float) -> NDArray[np.int32]:
    """Return columns with room for more: at least double, and as much as the messages so far foretell."""
    room = max(2 * out.shape[1], int(1.1 * count / max(done, 0.01)) + 65536)
    grown = np.empty((5, room), np.int32)
    grown[:, :count] = out[:, :count]
    return grown
