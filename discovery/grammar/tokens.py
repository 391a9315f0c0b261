"""Token sequences of parsed messages, and the grammar that their specification starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..parser import ParsedBatch
from .closings import with_closings
from .initial import LayoutGrammar
from .rules import RuleSet
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class Tokens:
    """
    What the grammar of a specification is learned from.

    Attributes:
        vocabulary: names of the tokens; sequences: int64 token ids of each message; initial: rules of the layouts.
    """

    vocabulary: Vocabulary
    sequences: list[NDArray[np.int64]]
    initial: RuleSet


def tokens_from_parsed(parsed: ParsedBatch, seed: int = 0) -> Tokens:
    """
    Return the tokens of parsed messages and the initial grammar of their specification.

    A token is a leaf that has bytes: its field, or its field and value where that is an enumeration of at most 16
    values; a remainder that no field read is the token ``(unparsed)``; and ``region)`` where a region ends whose length
    field stands right before it, so that nesting can be told from sequence.
    """
    vocabulary = Vocabulary()
    layout = LayoutGrammar(parsed.spec, vocabulary)
    initial = layout.build(seed)
    read = np.flatnonzero(parsed.leaf_length > 0)
    symbol = parsed.leaf_symbol[read]
    names = [symbol.qualified for symbol in parsed.symbols]
    plain = np.array([*(_plain(vocabulary, name) for name in names), vocabulary.unparsed], np.int64)
    tokens = plain[symbol]  # -1, what could not be parsed, is the last
    for index, name in enumerate(names):
        values = vocabulary.values[name]
        if len(values) > 1:
            mine = np.flatnonzero(symbol == index)
            at, length = parsed.leaf_at[read[mine]], parsed.leaf_length[read[mine]].astype(np.int64)
            tokens[mine] = _by_value(parsed.view.data, at, length, values)
    tokens, row = with_closings(parsed, layout.closings, names, tokens, read)
    first = np.searchsorted(row, np.arange(len(parsed) + 1))
    sequences = [tokens[first[i] : first[i + 1]] for i in range(len(parsed))]
    return Tokens(vocabulary, sequences, initial)


def _plain(vocabulary: Vocabulary, qualified: str) -> int:
    """Return the token of a field whose value is not told apart."""
    vocabulary.of_field(qualified)
    return vocabulary.values[qualified][None]


def _by_value(
    data: NDArray[np.uint8], at: NDArray[np.int64], length: NDArray[np.int64], values: dict[bytes | None, int]
) -> NDArray[np.int64]:
    """Return the token of each value that is ``length`` bytes at ``at``; all enumerated values have one width."""
    known = sorted(value for value in values if value is not None)
    width = len(known[0])
    whole = length == width
    read = np.zeros(len(at), np.uint64)
    for offset in range(width):
        read = read << np.uint64(8) | data[np.where(whole, at + offset, 0)]
    numbers = np.array([int.from_bytes(value, "big") for value in known], np.uint64)
    place = np.minimum(np.searchsorted(numbers, read), len(numbers) - 1)
    tokens = np.array([values[value] for value in known], np.int64)
    return np.where(whole & (numbers[place] == read), tokens[place], values[None])
