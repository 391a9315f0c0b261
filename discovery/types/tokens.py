"""Types of text messages: by the first words that recur."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import TokenGuard
from .matching import token_spans

SEPARATORS = bytes(b for b in range(128) if not chr(b).isalnum() and chr(b) not in "_./")
MIN_RECURRENCE = 3
MAX_INDEX = 5  # tokens looked at
MAX_TOKEN = 32
NESTED_RECURRENCE = 0.8  # share of messages whose token recurs, for a token to divide a type further
MESSAGES_A_VALUE = 4

Words = list[list[bytes]]
Path = tuple[tuple[int, bytes], ...]


def token_guard(index: int, value: bytes) -> TokenGuard:
    """Return the guard that a word is this one, in upper case."""
    return TokenGuard(index=index, separators=SEPARATORS, fold_case=True, values=[value])


def token_paths(view: MessageView) -> list[Path]:
    """
    Return the (index, word) paths that recur among text messages, in the order to be tried.

    A first word that recurs makes a type. Messages whose first word does not recur (a tag, a sender) are divided by the
    next. A type is divided further by its next word that varies, where nearly all values of that recur.
    """
    words = _words(view)
    paths: list[Path] = []
    rows = np.arange(len(view), dtype=np.int64)
    for index in range(MAX_INDEX):
        common = _recurring(words[index], rows)
        for value in sorted(common):
            mine = rows[[words[index][row] == value for row in rows.tolist()]]
            paths += [*_nested(words, mine, index + 1, ((index, value),)), ((index, value),)]
        rows = rows[[words[index][row] not in common for row in rows.tolist()]]
    return paths


def _nested(words: Words, rows: NDArray[np.int64], first: int, path: Path) -> list[Path]:
    for index in range(first, MAX_INDEX):
        counts = Counter(words[index][row] for row in rows.tolist())
        if len(counts) == 1:
            continue
        common = _recurring(words[index], rows)
        share = sum(counts[value] for value in common) / len(rows)
        if share < NESTED_RECURRENCE or len(counts) * MESSAGES_A_VALUE > len(rows):
            return []
        return [(*path, (index, value)) for value in sorted(common)]
    return []


def _recurring(words: list[bytes], rows: NDArray[np.int64]) -> set[bytes]:
    counts = Counter(words[row] for row in rows.tolist())
    return {value for value, count in counts.items() if count >= MIN_RECURRENCE and 0 < len(value) <= MAX_TOKEN}


def _words(view: MessageView) -> Words:
    words = []
    for index in range(MAX_INDEX):
        begin, size = token_spans(view, index, SEPARATORS)
        kept = np.minimum(size, MAX_TOKEN + 1)
        words.append([
            view.data[b : b + s].tobytes().upper() for b, s in zip(begin.tolist(), kept.tolist(), strict=True)
        ])  # fmt: skip
    return words
