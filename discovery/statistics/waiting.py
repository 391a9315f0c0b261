"""Samples that take rows in together, since each time the whole sample is put in order anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .payloads import Payloads

_MOST_ROWS = 1024
_MOST_BYTES = 1 << 18

Columns = dict[str, NDArray[Any]]


class Waiting:
    """Columns and payload bytes of messages that a sample has not taken in yet."""

    def __init__(self) -> None:
        self._parts: list[tuple[Columns, Payloads]] = []
        self._rows = self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return self._bytes

    @property
    def full(self) -> bool:
        """Whether so much waits that it should be taken in."""
        return self._rows >= _MOST_ROWS or self._bytes >= _MOST_BYTES

    def add(self, columns: Columns, payloads: Payloads) -> None:
        """Take rows; the bytes are copied, so that those around them can go."""
        own = Payloads.none().pick(payloads, np.arange(len(payloads)))
        self._parts.append((columns, own))
        self._rows += len(own)
        self._bytes += int(own.data.nbytes) + sum(int(column.nbytes) for column in columns.values())

    def take(self) -> tuple[Columns, Payloads] | None:
        """Return all rows, and hold none; None where there are none."""
        parts, self._parts = self._parts, []
        self._rows = self._bytes = 0
        if len(parts) < 2:
            return parts[0] if parts else None
        columns = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
        return columns, Payloads.join([payloads for _, payloads in parts])


class Gathering(ABC):
    """A sample, and the rows on their way into it; whoever looks at it sees all of them."""

    _columns: Columns
    _payloads: Payloads
    _waiting: Waiting

    @property
    def columns(self) -> Columns:
        """The columns by name."""
        self._settle()
        return self._columns

    @property
    def payloads(self) -> Payloads:
        """The first bytes of each message."""
        self._settle()
        return self._payloads

    def _gather(self, columns: Columns, payloads: Payloads) -> None:
        """Let rows wait; take in what waits where it is much."""
        self._waiting.add(columns, payloads)
        if self._waiting.full:
            self._settle()

    def _settle(self) -> None:
        """Take in what waits."""
        waiting = self._waiting.take()
        if waiting is not None:
            self._take_in(*waiting)

    @abstractmethod
    def _take_in(self, columns: Columns, payloads: Payloads) -> None:
        """Take rows into the sample."""
