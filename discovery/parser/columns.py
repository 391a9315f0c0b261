"""Parsed messages as an Arrow table: one row a message, one column a field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..spec import UNKNOWN_TYPE, Field, Fixed
from .arrays import frozen
from .gather import copy_bytes, copy_numbers
from .numbers import BER_LENGTH, INT, LEB128, UINT
from .symbols import Symbol

if TYPE_CHECKING:
    from .parsed import ParsedBatch

_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)
_CODES = {"uint": UINT, "int": INT, "ber_length": BER_LENGTH, "leb128": LEB128, "float": UINT}
_TEXT = {"ascii", "utf8", "utf16", "bcd"}
_FLOATS = {2: pa.float16(), 4: pa.float32(), 8: pa.float64()}


@dataclass(frozen=True)
class Column:
    """
    Values of one name.

    Attributes:
        name: ``type.path`` or ``@group.path``, see ``Symbol.qualified``.
        symbols: ids of the symbols that feed it.
        encoding: how the bytes are read; ``bytes`` where the symbols do not agree.
        little: byte order of numbers.
        kind: Arrow type of a value; repeated: whether a row holds a list of them.
    """

    name: str
    symbols: tuple[int, ...]
    encoding: str
    little: bool
    kind: pa.DataType
    repeated: bool


def to_table(parsed: ParsedBatch, every_type: bool = False) -> pa.Table:
    """
    Return one row a message.

    Columns: ``type`` (dictionary of strings), ``error`` (string, null where the message fits its type),
    ``error_offset`` (int32, null likewise), ``unparsed`` (the bytes that no field covers, null where there are none),
    then one column a field, named ``type.path``; null where a message does not hold it. Numbers get the narrowest
    integer type of their width (uint64 where the width varies; null where more than 64 bits), floats theirs, text is
    string (what is no UTF-8 is replaced), packed decimals are strings of digits, everything else is binary. A field
    that a message may hold more than once is a list column. Fields in groups are named ``@group.path`` and are lists.

    Args:
        parsed: the leaves; every_type: give columns of all types of the specification, not only of those that occur,
            so that every batch has the same schema.
    """
    arrays: dict[str, pa.Array] = {
        "type": _types(parsed),
        "error": _errors(parsed),
        "error_offset": pa.array(parsed.error_offset, mask=parsed.error_offset < 0),
        "unparsed": _column(parsed, Column("unparsed", (-1,), "bytes", False, pa.large_binary(), False)),
    }
    for column in plan(parsed.symbols):
        if every_type or _occurs(parsed, column):
            arrays[column.name] = _column(parsed, column)
    return pa.table(arrays)


def plan(symbols: Sequence[Symbol]) -> Iterator[Column]:
    """Yield the columns of a specification's symbols, in order of their first symbol."""
    named: dict[str, list[int]] = {}
    for index, symbol in enumerate(symbols):
        named.setdefault(symbol.qualified, []).append(index)
    for name, indices in named.items():
        readings = {_reading(symbols[index].field) for index in indices}
        encoding, little, kind = readings.pop() if len(readings) == 1 else ("bytes", False, pa.large_binary())
        repeated = symbols[indices[0]].repeated or len(indices) > 1
        yield Column(name, tuple(indices), encoding, little, kind, repeated)


def _reading(field: Field | None) -> tuple[str, bool, pa.DataType]:
    """Return encoding, byte order and Arrow type of a field's values."""
    if field is None:
        return "bytes", False, pa.large_binary()
    size = field.width.size if isinstance(field.width, Fixed) else 0
    kind = _kind(field.encoding, size)
    if kind is None:
        return "bytes", False, pa.large_binary()
    return field.encoding, field.endianness == "little", kind


def _kind(encoding: str, size: int) -> pa.DataType | None:
    """Return the Arrow type of values of so many bytes (0: it varies), None where they stay bytes."""
    if encoding in _TEXT:
        return pa.large_string()
    if encoding == "float":
        return _FLOATS.get(size)
    if encoding in ("ber_length", "leb128"):
        return pa.uint64()
    if encoding in ("uint", "int") and size <= 8:
        bits = next(bits for bits in (8, 16, 32, 64) if 8 * (size or 8) <= bits)
        return pa.type_for_alias(f"{encoding}{bits}")
    return None


def _occurs(parsed: ParsedBatch, column: Column) -> bool:
    """Whether a column's type occurs, or for groups, whether the column has values."""
    name = parsed.symbols[column.symbols[0]].type
    if name:
        return name in parsed.types_present
    return any(len(parsed.leaves_of(symbol)) for symbol in column.symbols)


def _types(parsed: ParsedBatch) -> pa.Array:
    names = [*(t.name for t in parsed.spec.types), UNKNOWN_TYPE]
    index = np.where(parsed.type_index < 0, len(names) - 1, parsed.type_index).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(index), pa.array(names, pa.string()))


def _errors(parsed: ParsedBatch) -> pa.Array:
    """Return the reasons; few are distinct, so that each is written once and then taken."""
    bad = np.flatnonzero(parsed.status)
    index = np.zeros(len(parsed), np.int32)
    kinds = np.stack((parsed.status[bad], parsed.error_element[bad]), axis=1)
    _, first, inverse = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    index[bad] = inverse.ravel()
    reasons = pa.array([parsed.error(int(bad[place])) for place in first], pa.string())
    return reasons.take(pa.array(index, mask=parsed.status == 0))


def _column(parsed: ParsedBatch, column: Column) -> pa.Array:
    leaves = [parsed.leaves_of(symbol) for symbol in column.symbols]
    chosen = leaves[0] if len(leaves) == 1 else np.sort(np.concatenate(leaves))
    rows = parsed.leaf_row[chosen].astype(np.int64)
    count = len(chosen) if column.repeated else len(parsed)
    place = np.arange(len(chosen), dtype=np.int64) if column.repeated else rows
    at, size = parsed.leaf_at[chosen], parsed.leaf_length[chosen].astype(np.int64)
    if column.encoding in _CODES:
        values = _numbers(parsed, column, at, size, place, count)
    else:
        values = _ranges(parsed, column, at, size, place, count)
    if not column.repeated:
        return values
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(parsed)))))
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)


def _bitmap(valid: NDArray[np.bool_]) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _numbers(
    parsed: ParsedBatch,
    column: Column,
    at: NDArray[np.int64],
    size: NDArray[np.int64],
    place: NDArray[np.int64],
    count: int,
) -> pa.Array:
    width = column.kind.bit_width // 8
    out, valid = np.zeros(count * width, np.uint8), np.zeros(count, np.bool_)
    copy_numbers(frozen(parsed.view.data), at, size, place, _CODES[column.encoding], column.little, width, out, valid)
    return pa.Array.from_buffers(column.kind, count, [_bitmap(valid), pa.py_buffer(out)])


def _ranges(
    parsed: ParsedBatch,
    column: Column,
    at: NDArray[np.int64],
    size: NDArray[np.int64],
    place: NDArray[np.int64],
    count: int,
) -> pa.Array:
    sizes, valid = np.zeros(count + 1, np.int64), np.zeros(count, np.bool_)
    sizes[place + 1] = size
    valid[place] = True
    offsets = np.cumsum(sizes)
    out = np.empty(int(offsets[-1]), np.uint8)
    copy_bytes(frozen(parsed.view.data), at, size, offsets[place], out)
    if column.encoding == "bcd":
        offsets, out = 2 * offsets, _HEX[out].ravel()
    buffers = [_bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(out)]
    values = pa.Array.from_buffers(pa.large_binary(), count, buffers)
    return values if column.kind == pa.large_binary() else _text(values, column)


def _text(values: pa.Array, column: Column) -> pa.Array:
    """Return strings; what is no text in the encoding is replaced."""
    if column.encoding != "utf16":
        try:
            return values.cast(pa.large_string())
        except pa.ArrowInvalid:
            pass
    charset = {"utf16": "utf-16-le" if column.little else "utf-16-be"}.get(column.encoding, "utf-8")
    decoded = [None if value is None else value.decode(charset, "replace") for value in values.to_pylist()]
    return pa.array(decoded, pa.large_string())
