"""The rows of Parquet and Arrow files: all of them as a table, or as many at a time as fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import InputError, LimitError
from .grouping import Grouping
from .ipc import read_batches
from .limits import CaptureLimits
from .source import Source
from .tables import COLUMNS, Groups, group_table

_ROWS = 4096  # decoded at once


def read_table(source: Source, port: int | None, group: Grouping | None, limits: CaptureLimits) -> Groups:
    """
    Read a Parquet file, an Arrow file or an Arrow stream with a binary ``payload`` column.

    Raises:
        InputError: it is damaged, has no such column, or no rows.
        LimitError: it expands to more than the limits allow.
    """
    (table,) = _tables(source, limits, limits.packets, limits.expanded_bytes)
    return group_table(table, source, port, group)


def walk_table(source: Source, port: int | None, limits: CaptureLimits, most: int) -> Iterator[Groups]:
    """
    Yield the groups, at most one, of ``most`` rows after the other: what ``read_table`` gives, in pieces.

    A piece, or a record batch of an Arrow file, may expand to ``expanded_bytes`` of the limits, all to ``input_bytes``.

    Raises:
        InputError, LimitError: as of ``read_table``; what is damaged further on shows when it is reached.
    """
    first = 0
    for table in _tables(source, limits, most, limits.input_bytes):
        piece = replace(source, warnings=[])
        yield group_table(table, piece, port, None, first)
        source.warnings = _summed([*source.warnings, *piece.warnings])
        first += table.num_rows


def _tables(source: Source, limits: CaptureLimits, most: int, total: int) -> Iterator[pa.Table]:
    """Yield tables of ``most`` rows, the last one of fewer; together they may expand to ``total`` bytes."""
    try:
        yield from _filled(_limited(_batches(source, limits, total), source, limits), source, limits, most, total)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        what = str(error).splitlines()[0] if str(error) else "damaged"
        raise InputError(f"cannot read the table: {what}", where=source.name) from error


def _batches(source: Source, limits: CaptureLimits, total: int) -> Iterator[pa.RecordBatch]:
    if source.head(4) == b"PAR1":
        return _parquet(source)
    return read_batches(source, limits.expanded_bytes, total)


def _parquet(source: Source) -> Iterator[pa.RecordBatch]:
    """
    Read in batches, strings as dictionaries: a value of a dictionary page, repeated in every row, would pass any limit.

    Each row group is read by itself: a dictionary grows, with all that came before, until its reader ends. The
    metadata of columns is not looked at: pyarrow 26 ends the process on some that is damaged.
    """
    buffer = pa.py_buffer(source.data)
    file = pq.ParquetFile(pa.BufferReader(buffer))
    names = _read_columns(file.schema_arrow.names, source)
    if "payload" not in names:
        listed = ", ".join(file.schema_arrow.names[:8])[:200]
        raise InputError("no binary column 'payload'", where=source.name, hint=f"the columns are: {listed}")
    flat = [name for name in names if not pa.types.is_nested(file.schema_arrow.field(name).type)]
    file = pq.ParquetFile(pa.BufferReader(buffer), read_dictionary=flat)
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=names)


def _limited(batches: Iterable[pa.RecordBatch], source: Source, limits: CaptureLimits) -> Iterator[pa.RecordBatch]:
    """Yield the columns that are read, up to the limit of rows."""
    left = limits.packets
    for batch in batches:
        batch = batch.select(_read_columns(batch.schema.names, source))
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left < 0:
            source.warnings.append(f"more rows than the limit of {limits.packets}: the rest was left out")
            return


def _filled(
    batches: Iterable[pa.RecordBatch], source: Source, limits: CaptureLimits, most: int, total: int
) -> Iterator[pa.Table]:
    kept: list[pa.RecordBatch] = []
    size = rows = yielded = 0
    for batch in batches:
        for part in _slices(batch, most - rows, most):
            size, rows = size + sum(_expanded_bytes(column) for column in part.columns), rows + part.num_rows
            if size > limits.expanded_bytes or yielded + size > total:
                most_bytes = min(limits.expanded_bytes, total)
                raise LimitError(f"the table has more than {most_bytes} bytes", where=source.name)
            kept.append(_without_dictionaries(part))
            if rows == most:
                yield _table(kept)
                yielded, kept, size, rows = yielded + size, [], 0, 0
    if rows or not yielded:
        yield _table(kept)


def _table(batches: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches) if batches else pa.table({"payload": pa.array([], pa.binary())})
    table.validate(full=True)  # offsets from outside may point anywhere
    return table


def _slices(batch: pa.RecordBatch, first: int, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch, the first so many and then ``size`` at a time; one of no rows is one slice."""
    for a, b in pairwise([0, *range(first, batch.num_rows, size), batch.num_rows]):
        yield batch.slice(a, b - a)


def _read_columns(names: list[str], source: Source) -> list[str]:
    """Return which of a table's columns are read."""
    for name in COLUMNS:
        if names.count(name) > 1:
            raise InputError(f"there are {names.count(name)} columns '{name}'", where=source.name)
    return [name for name in COLUMNS if name in names]


def _expanded_bytes(column: pa.Array) -> int:
    """Return the bytes of a column once its dictionary, if any, is taken off; it is validated first."""
    column.validate(full=True)
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    try:
        lengths = pc.binary_length(column.dictionary)
    except pa.ArrowNotImplementedError:  # a dictionary of numbers: eight bytes each at most
        return 8 * len(column)
    return 8 * len(column) + int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _summed(warnings: list[str]) -> list[str]:
    """Return one line for all that differ only in the count with which they begin."""
    counts: dict[str, int | None] = {}
    for warning in warnings:
        count, _, what = warning.partition(" ")
        if count.isdigit():
            counts[what] = (counts.get(what) or 0) + int(count)
        else:
            counts[warning] = None
    return [what if count is None else f"{count} {what}" for what, count in counts.items()]
