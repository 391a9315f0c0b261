"""Where regions end: tokens without bytes that tell nested elements from elements in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..parser import ParsedBatch
from .initial import Closing

_WIDEST = 4  # bytes of a length that is read; longer ones measure no region of a message


def with_closings(
    parsed: ParsedBatch,
    closings: Mapping[str, Closing],
    names: Sequence[str],
    tokens: NDArray[np.int64],
    leaves: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Return tokens and their rows with the ends of regions put in.

    Args:
        closings: by qualified name of the length field; names: qualified name of each symbol.
        tokens: of the leaves of these indices, in order.
    """
    row, start = parsed.leaf_row[leaves].astype(np.int64), parsed.leaf_start[leaves].astype(np.int64)
    columns = [(tokens, row, start, np.ones(len(tokens), np.int64), np.arange(len(tokens)))]
    for symbol, name in enumerate(names):
        if name in closings:
            columns.append(_ends(parsed, closings[name], np.flatnonzero(parsed.leaf_symbol == symbol)))
    if len(columns) == 1:
        return tokens, row
    token, row, offset, kind, tie = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.lexsort((tie, kind, offset, row))
    return token[order], row[order]


def _ends(
    parsed: ParsedBatch, closing: Closing, leaves: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return token, row, offset, 0 (before a leaf that begins there), and minus the begin (inner regions end first)."""
    row = parsed.leaf_row[leaves].astype(np.int64)
    begin = (parsed.leaf_start[leaves] + parsed.leaf_length[leaves]).astype(np.int64)
    value, known = _lengths(parsed, closing, leaves)
    end = begin + value * closing.width.scale + closing.width.bias
    inside = known & (end >= begin) & (end <= parsed.view.lengths[row])
    row, begin, end = row[inside], begin[inside], end[inside]
    return np.full(len(row), closing.token, np.int64), row, end, np.zeros(len(row), np.int64), -begin


def _lengths(
    parsed: ParsedBatch, closing: Closing, leaves: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the numbers in length fields, and which were read; ``ber_length`` is X.690 8.1.3."""
    data, at = parsed.view.data, parsed.leaf_at[leaves]
    size = parsed.leaf_length[leaves].astype(np.int64)
    first = data[at].astype(np.int64) if len(at) else np.zeros(0, np.int64)
    if closing.length.encoding == "ber_length":
        short = first < 128
        value = _number(data, at + 1, size - 1, little=False)
        return np.where(short, first, value), short | ((size > 1) & (size - 1 <= _WIDEST))
    return _number(data, at, size, little=closing.length.endianness == "little"), size <= _WIDEST


def _number(
    data: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64], *, little: bool
) -> NDArray[np.int64]:
    value = np.zeros(len(at), np.int64)
    for index in range(_WIDEST):
        there = index < size
        byte = data[np.where(there, at + index, 0)].astype(np.int64) if len(at) else value
        value = np.where(there, value | byte << 8 * index if little else value << 8 | byte, value)
    return value
