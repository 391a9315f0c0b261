"""From a parsed sample to columns: the values of one field, or of one place of the header over several types."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..parser import ParsedBatch
from ..sample import Sample
from ..spec import Field, Fixed
from .profile import Leaves


@dataclass(frozen=True)
class Column:
    """
    Fields that are labelled together.

    Attributes:
        index: of the column in the leaves; symbols: parser symbols of the fields.
        offset: bytes from the front where it is the same in all messages, else -1; last: ends every message.
    """

    index: int
    symbols: tuple[int, ...]
    offset: int
    last: bool


@dataclass(frozen=True)
class Table:
    """All leaves with a field: ``offset`` (int64) in their message, ``symbol`` of each, ``left`` bytes behind it."""

    data: NDArray[np.uint8]
    row: NDArray[np.int64]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    start: NDArray[np.int64]
    symbol: NDArray[np.int64]
    left: NDArray[np.int64]
    held: NDArray[np.bool_]


def table_of(parsed: ParsedBatch, sample: Sample, fields: list[Field | None]) -> Table:
    """Return the leaves of messages that parse to their end; of all messages where hardly one does."""
    known = np.array([field is not None for field in fields] + [False])
    fine = parsed.status == 0
    row = parsed.leaf_row.astype(np.int64)
    chosen = known[parsed.leaf_symbol]  # -1, unparsed, is the last entry
    if fine.mean() >= 0.5:
        chosen = chosen & fine[row]
    row = row[chosen]
    offset, length = parsed.leaf_start[chosen].astype(np.int64), parsed.leaf_length[chosen].astype(np.int64)
    view = sample.view
    return Table(
        data=view.data, row=row, offset=offset, length=length, start=view.starts[row] + offset,
        symbol=parsed.leaf_symbol[chosen].astype(np.int64), left=view.lengths[row] - offset - length,
        held=sample.held_out[row],
    )  # fmt: skip


def columns_of(table: Table, fields: list[Field | None], pooled: bool) -> tuple[Leaves, list[Column]]:
    """
    Return the leaves sorted by column, and the columns.

    Args:
        pooled: fields of one width at one fixed offset are one column over all types; otherwise each field is one.
    """
    n = len(fields)
    lowest, highest = np.full(n, 1 << 60, np.int64), np.full(n, -1, np.int64)
    np.minimum.at(lowest, table.symbol, table.offset)
    np.maximum.at(highest, table.symbol, table.offset)
    behind = np.zeros(n, np.int64)
    np.maximum.at(behind, table.symbol, table.left)
    offset = np.where(lowest == highest, lowest, -1)
    keys: dict[tuple[int, int, int], list[int]] = {}
    for symbol in np.flatnonzero(highest >= 0):
        field = fields[symbol]
        size = field.width.size if field is not None and isinstance(field.width, Fixed) else 0
        place = (int(offset[symbol]), size, -1)
        own = not pooled or size == 0 or place[0] < 0
        keys.setdefault((-1, -1, int(symbol)) if own else place, []).append(int(symbol))
    columns = []
    column_of_symbol = np.zeros(n, np.int64)
    for index, symbols in enumerate(keys.values()):
        column_of_symbol[symbols] = index
        columns.append(Column(index, tuple(symbols), int(offset[symbols[0]]), bool((behind[symbols] == 0).all())))
    column = column_of_symbol[table.symbol]
    order = np.argsort(column, kind="stable")
    ends = np.cumsum(np.bincount(column, minlength=len(columns)))
    leaves = Leaves(
        table.data, table.start[order], table.length[order], table.row[order], table.held[order], column[order], ends
    )
    return leaves, columns
