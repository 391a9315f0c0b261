"""What a batch of messages parses to: leaves as columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import UNKNOWN_TYPE, ProtocolSpec
from .columns import to_table
from .gather import order_by
from .limits import OK, reason
from .program import Program
from .symbols import Symbol


@dataclass(frozen=True, eq=False)
class ParsedBatch:
    """
    The leaves of n messages, message after message and in reading order, with a verdict on each message.

    Attributes:
        spec, view: what was parsed with, and the messages.
        type_index: int32, n: index in ``spec.types``, -1 where no type's guards hold.
        status: int32, n: 0 where the message fits its type, else a code of ``limits``.
        error_offset: int32, n: the byte from which the message does not fit; -1 where it does.
        error_element: int32, n: the element that does not fit (``Program.names``), -1 where there is none.
        leaf_row: int32, m: the message.
        leaf_symbol: int32, m: index in ``symbols``; -1 for what could not be parsed.
        leaf_start, leaf_length: int32, m: byte range, from the start of the message; a field may be empty.
        leaf_item: int32, m: index of the item in the innermost repeat around the leaf, 0 where there is none.
    """

    spec: ProtocolSpec
    program: Program
    view: MessageView
    type_index: NDArray[np.int32]
    status: NDArray[np.int32]
    error_offset: NDArray[np.int32]
    error_element: NDArray[np.int32]
    leaf_row: NDArray[np.int32]
    leaf_symbol: NDArray[np.int32]
    leaf_start: NDArray[np.int32]
    leaf_length: NDArray[np.int32]
    leaf_item: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.type_index)

    @property
    def symbols(self) -> list[Symbol]:
        """What ``leaf_symbol`` stands for."""
        return self.program.symbols

    @property
    def explained(self) -> NDArray[np.bool_]:
        """Whether a message has a type and fits it (bool, n)."""
        fits: NDArray[np.bool_] = self.status == OK
        return fits

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Where each message's leaves are: of message ``i``, ``bounds[i]`` to ``bounds[i + 1]`` (int64, n + 1)."""
        counts = np.bincount(self.leaf_row, minlength=len(self))
        return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)

    @cached_property
    def leaf_at(self) -> NDArray[np.int64]:
        """Where each leaf starts in ``view.data`` (int64, m)."""
        at: NDArray[np.int64] = self.view.starts[self.leaf_row] + self.leaf_start
        return at

    def boundaries(self, row: int) -> NDArray[np.int32]:
        """Return the offsets inside a message at which a leaf begins (int32, ascending, neither 0 nor the length)."""
        leaves = slice(self.bounds[row], self.bounds[row + 1])
        starts = self.leaf_start[leaves][self.leaf_length[leaves] > 0]
        return starts[starts > 0]

    def boundaries_flat(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the boundaries of all messages: those of message ``i`` are ``values[offsets[i] : offsets[i + 1]]``."""
        inner = (self.leaf_length > 0) & (self.leaf_start > 0)
        counts = np.bincount(self.leaf_row[inner], minlength=len(self))
        return np.concatenate(([0], np.cumsum(counts))).astype(np.int64), self.leaf_start[inner]

    def leaves_of(self, symbol: int) -> NDArray[np.int64]:
        """Return the indices of the leaves of a symbol, in order (int64)."""
        order, bounds = self._by_symbol
        return order[bounds[symbol + 1] : bounds[symbol + 2]]

    @cached_property
    def symbols_present(self) -> NDArray[np.int64]:
        """Return the indices of the symbols that have leaves, ascending (int64)."""
        _, bounds = self._by_symbol
        return np.flatnonzero(np.diff(bounds[1:]))

    @cached_property
    def _by_symbol(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order, bounds = order_by(self.leaf_symbol, len(self.symbols))
        return order, bounds

    @cached_property
    def types_present(self) -> frozenset[str]:
        """Names of the types that occur."""
        present = np.flatnonzero(np.bincount(self.type_index + 1, minlength=len(self.spec.types) + 1)[1:])
        return frozenset(self.spec.types[index].name for index in present)

    def type_name(self, row: int) -> str:
        """Return the name of a message's type, ``unknown`` where it has none."""
        index = int(self.type_index[row])
        return self.spec.types[index].name if index >= 0 else UNKNOWN_TYPE

    def error(self, row: int) -> str | None:
        """Return why a message does not fit, None where it does."""
        status, element = int(self.status[row]), int(self.error_element[row])
        return reason(status, self.program.names.get(element, "")) if status else None

    def to_arrow(self, every_type: bool = False) -> pa.Table:
        """Return one row a message: see ``columns.to_table``."""
        return to_table(self, every_type)

    def to_pandas(self, every_type: bool = False) -> Any:
        """Return ``to_arrow`` as a pandas DataFrame; pandas is the extra ``[pandas]``."""
        return self.to_arrow(every_type).to_pandas()
