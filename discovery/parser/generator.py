"""ParserGenerator: from a specification to a parser with two faces, one message and a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageBatch, MessageView
from ..spec import ProtocolSpec
from .limits import Limits
from .machine import run
from .parsed import ParsedBatch
from .program import compile_program
from .symbols import Symbol

_LEAVES_PER_MESSAGE = 12
_NO_LEVELS = np.zeros(0, np.int32)


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
        spec: the specification; limits: bounds per message.

    Raises:
        SpecError: the specification refers to a group or field that it does not define.
        LimitError: its elements nest too deeply.
    """

    def __init__(self, spec: ProtocolSpec, limits: Limits | None = None) -> None:
        self.spec = spec
        self.program = compile_program(spec)
        self._limits = (limits or Limits()).array()

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
        bounds = self._limits if limits is None else limits.array()
        data, starts, lengths = frozen(view.data), frozen(view.starts), frozen(view.lengths)
        verdicts = tuple(np.empty(n, np.int32) for _ in range(4))
        out = tuple(np.empty(_LEAVES_PER_MESSAGE * n + 64, np.int32) for _ in range(5))
        row, count = 0, 0
        while True:
            row, count = run(
                self.program.tables, bounds, data, starts, lengths, row, self.program.scratch,
                (*out, _NO_LEVELS), count, verdicts,
            )  # fmt: skip
            if row == n:
                break
            out = tuple(_grown(column, count, (n - row) / n) for column in out)
        types, status, offsets, elements = verdicts
        rows, symbols, begins, sizes, items = (column[:count] for column in out)
        return ParsedBatch(
            self.spec, self.program, view, types, status, offsets, elements, rows, symbols, begins, sizes, items
        )


def frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a contiguous read-only view, so that one compiled signature serves all arrays."""
    whole = np.ascontiguousarray(array)
    if whole.flags.writeable:
        whole = whole.view()
        whole.flags.writeable = False
    return whole


def _grown(column: NDArray[np.int32], count: int, share_left: float) -> NDArray[np.int32]:
    """Return a column with room for more; at least double, and as much as the messages so far foretell."""
    room = max(2 * len(column), int(count / max(1 - share_left, 0.01)) + 65536)
    grown = np.empty(room, np.int32)
    grown[:count] = column[:count]
    return grown
