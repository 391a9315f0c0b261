"""Types of text messages: by the words that recur where commands and status codes stand."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import Guard, TokenGuard, ValueGuard
from .matching import token_spans

SEPARATORS = b'\t\n\r "(),-:;<=>[]{}'
MIN_RECURRENCE = 2
MIN_MARKED = 8  # messages that begin with the same mark, to be divided on their own
MAX_INDEX = 5  # words looked at
MAX_WORD = 32
FEWER_VALUES = 0.7  # of the word before it, for a word to be preferred: tags and senders vary more than commands
NESTED_RECURRENCE = 0.8  # share of messages whose word recurs, for a word to divide a type further
MESSAGES_A_VALUE = 4

RECURRENCE = 0.5  # share of messages whose word recurs, for it to divide messages of the same words before it
COMMANDS = 0.8  # share of words that look like commands, where commands stand
_VERB = re.compile(rb"[!-/:-@]?[A-Z]+|\d{3}|[A-Z]+/\d+(\.\d+)*")
_COMMAND = re.compile(rb"[A-Z][!-~]*|\d{3}|")
_CAPITALS, _SMALL = re.compile(rb"[^a-z]*[A-Z][^a-z]*"), re.compile(rb"[^A-Z]*[a-z][^A-Z]*")

Rows = NDArray[np.int64]
Words = list[list[bytes]]
Path = tuple[tuple[int, bytes], ...]


def word_types(view: MessageView) -> list[tuple[Path, list[Guard]]]:
    """
    Return the paths of (index, word) that recur among text messages, with their guards, in the order to be tried.

    Messages that begin with the same punctuation mark are divided on their own. Words are compared without case.
    """
    written = _words(view)
    words = [[word.upper() for word in column] for column in written]
    first = view.front(1)[0][:, 0]
    rest = np.ones(len(view), np.bool_)
    types: list[tuple[Path, list[Guard]]] = []
    for mark in _marks(first):
        here = first == mark
        guard = ValueGuard(offset=0, width=1, values=[bytes([mark])])
        types += [(path, [guard, *_guards(path)]) for path in _paths(words, written, np.flatnonzero(here))]
        rest &= ~here
    return types + [(path, list(_guards(path))) for path in _paths(words, written, np.flatnonzero(rest))]


def _marks(first: NDArray[np.uint8]) -> list[int]:
    counts = np.bincount(first, minlength=256)
    return [b for b in range(33, 127) if counts[b] >= MIN_MARKED and not chr(b).isalnum()]


def _guards(path: Path) -> list[TokenGuard]:
    return [TokenGuard(index=i, separators=SEPARATORS, fold_case=True, values=[value]) for i, value in path]


def _paths(words: Words, written: Words, rows: Rows) -> list[Path]:
    """Divide messages by the index where words recur best; the ones without a recurring word there stay together."""
    if not len(rows):
        return []
    index = _best_index(words, rows)
    paths: list[Path] = []
    for value in sorted(_recurring(words[index], rows)):
        mine = rows[[words[index][row] == value for row in rows.tolist()]]
        divided = index + 1 < MAX_INDEX and _are_commands(written, mine, index + 1)
        paths += [*(_nested(words, mine, index + 1, ((index, value),)) if divided else []), ((index, value),)]
    return paths


def _best_index(words: Words, rows: Rows) -> int:
    """
    Return the index of the words that recur best: the first, unless tags or senders stand there.

    Letters or three digits are a command or a reply; what varies, holds digits or marks and is followed by fewer words
    that look like commands is a tag, a sender or a priority. Words that are the same everywhere are passed over.
    """
    best = 0
    for index in range(1, MAX_INDEX):
        before, here = Counter(_at(words[best], rows)), Counter(_at(words[index], rows))
        if len(before) == 1:
            best = index if len(here) > 1 and _commands(here, _COMMAND) and _share(here) >= RECURRENCE else best
        elif _commands(before, _VERB) or (len(here) > 1 and not _better(here, before)):
            break
        elif len(here) > 1:
            best = index
    return best


def _commands(counts: Counter[bytes], form: re.Pattern[bytes]) -> bool:
    """Return whether nearly all words have this form."""
    return sum(n for word, n in counts.items() if form.fullmatch(word)) >= COMMANDS * counts.total()


def _recur_often(counts: Counter[bytes]) -> bool:
    return _share(counts) >= NESTED_RECURRENCE and len(counts) * MESSAGES_A_VALUE <= counts.total()


def _better(here: Counter[bytes], before: Counter[bytes]) -> bool:
    if _commands(here, _VERB) and _share(here) >= RECURRENCE:
        return True
    return _commands(here, _COMMAND) and _share(here) >= _share(before) and _fewer(here, before)


def _fewer(here: Counter[bytes], before: Counter[bytes]) -> bool:
    return len(here) <= FEWER_VALUES * len(before) and here[b""] * MESSAGES_A_VALUE <= here.total()


def _are_commands(written: Words, rows: Rows, index: int) -> bool:
    """Return whether words look like further commands or codes: small letters behind capitals are an argument."""
    here, before = Counter(_at(written[index], rows)), Counter(_at(written[index - 1], rows))
    if not _commands(Counter(word.upper() for word in _at(written[index], rows)), _COMMAND):
        return False
    return not (_commands(before, _CAPITALS) and _commands(here, _SMALL))


def _nested(words: Words, rows: Rows, index: int, path: Path) -> list[Path]:
    counts = Counter(_at(words[index], rows))
    if len(counts) == 1 or not _recur_often(counts):
        return []
    return [(*path, (index, value)) for value in sorted(_recurring(words[index], rows))]


def _at(words: list[bytes], rows: Rows) -> list[bytes]:
    return [words[row] for row in rows.tolist()]


def _share(counts: Counter[bytes]) -> float:
    return sum(count for value, count in counts.items() if _recurs(value, count)) / counts.total()


def _recurring(words: list[bytes], rows: Rows) -> list[bytes]:
    return [value for value, count in Counter(_at(words, rows)).items() if _recurs(value, count)]


def _recurs(value: bytes, count: int) -> bool:
    return count >= MIN_RECURRENCE and 0 < len(value) <= MAX_WORD


def _words(view: MessageView) -> Words:
    words = []
    for index in range(MAX_INDEX):
        begin, size = token_spans(view, index, SEPARATORS)
        kept = np.minimum(size, MAX_WORD + 1)
        words.append([
            view.data[b : b + s].tobytes() for b, s in zip(begin.tolist(), kept.tolist(), strict=True)
        ])  # fmt: skip
    return words
