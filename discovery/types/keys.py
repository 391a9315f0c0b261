"""Key search: the byte column whose value explains most of the structure of the others, and keys nested in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .columns import (
    CANDIDATES,
    MISSING,
    TEXT,
    Columns,
    counts_parts,
    entropies,
    explained_bits,
    masked,
    shared_bits,
    tells_length,
    tells_text,
    value_counts,
)
from .conversations import Conversations, Path
from .items import begins_items, lies_in_keyed

MIN_MESSAGES = 8  # fewer are not split
MIN_BITS = 20.0  # that a split must explain in all
MIN_BITS_A_MESSAGE = (1.0, 2.0)  # of the first key, of a key nested in it
NESTED_SHARE = 0.25  # of the bits a message of the key above
MIN_NESTED_SCORE = -0.75  # below it a column lies too deep in content, or has too many values
DEEP_SCORE = 0.0  # of a first key; below it what counts content before it must leave it something to explain
MAX_DEPTH = 2
MAX_ABSENT = 0.3  # share of messages that may end before a key
MAX_VALUES = 0.5  # distinct values of a key, a message
MAX_ENTROPY = 7.3  # bits of a key; noise has more, and explains where the text that it happens to make begins
LENGTH_SHARE = 0.8  # of messages, from which a column counts as a length
TEXT_SHARE = 0.3  # of messages, from which a column counts as the length of text

MAX_SINGLE = 0.05  # share of values seen once (Good 1953: of messages with values not seen), for them to be types
MAX_TEXT = 0.5  # share of messages in which a nested key may lie in text
SMALL = 16  # codes are often small numbers

MASKS = (0xE0, 0xF0, 0xF8, 0xC0, 0x80, 0x1F, 0x0F, 0x07, 0x03, 0x01)  # of three bits or more that are left out
EVEN = 0.9  # of their number, the bits of entropy from which bits count as noise
MESSAGES_A_VALUE = 2  # fewer do not show that bits are even
MASKED_SHARE = 0.9  # of what the whole byte explains, that the others must explain

# Keys lie ahead of content: what varies before a column, the byte right before it and its number of values count
# against it. The weights are round numbers from a coarse grid, compared on two random halves of labelled protocols.
_ENTROPY_BEFORE, _DEPTH_INTO, _ENTROPY_RIGHT_BEFORE, _VALUES, _SMALL = 1.0 / 8, 0.5 / CANDIDATES, 0.6 / 3, 0.2, 0.3
_ENTROPY_CAP = 3.0
# An identifier of several bytes gives itself away: its bytes tell of each other.
_SHARED, _SHARED_CAP = 1.0 / 3, 6.0
_ANSWERS = 0.8  # what a key of answers that follows from the key of questions counts for; compared in the same way

_ITEMS = "begins items that fill the message"
_LENGTH, _PARTS, _TEXT = "tells the length", "counts parts", "counts the text that follows"
_COUNTS = frozenset({_LENGTH, _PARTS, _TEXT})


@dataclass(frozen=True)
class KeyCandidate:
    """
    A column weighed as a key.

    Attributes:
        bits: what splitting by its values explains of the other columns.
        score: log of bits a message, less what counts against it; multiple of 1/256.
        objection: why it cannot be the key, or an empty string.
        mask: the bits of it that tell; 0xff but where the others are noise.
    """

    offset: int
    values: int
    bits: float
    score: float
    objection: str = ""
    mask: int = 0xFF

    def read(self, columns: Columns) -> NDArray[np.int16]:
        """Return the value of each message (n,), MISSING where it ends before."""
        return masked(columns.values[self.offset], self.mask)


@dataclass(frozen=True)
class Split:
    """A key and, for each of its values, what is nested in it; ``rows`` index the messages the tree was grown on."""

    rows: NDArray[np.int64]
    candidates: list[KeyCandidate] = field(default_factory=list)
    key: KeyCandidate | None = None
    children: dict[int, Split] = field(default_factory=dict)

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, bool]]:
        """Yield paths and whether they take what their siblings leave, in the order to be tried."""
        for value, child in self.children.items():
            assert self.key is not None
            yield from child.leaves((*path, (self.key.offset, self.key.mask, value)))
        yield path, bool(self.children)


def grow(columns: Columns, flows: Conversations | None = None) -> Split:
    """Return the tree of keys of these messages; without a key where nothing explains enough."""
    return _grow(columns, flows, np.arange(len(columns.lengths), dtype=np.int64), (), 0.0)


def _grow(columns: Columns, flows: Conversations | None, rows: NDArray[np.int64], path: Path, above: float) -> Split:
    n, depth = len(rows), len(path)
    if n < MIN_MESSAGES or depth >= MAX_DEPTH:
        return Split(rows)
    here = columns.take(rows) if depth else columns
    least = max(MIN_BITS_A_MESSAGE[depth], NESTED_SHARE * above)
    candidates = weigh(here, flows, least, path)
    key = next((c for c in candidates if not c.objection), None)
    if key is None:
        return Split(rows, candidates)
    key = replace(key, mask=telling_bits(here, key))
    column = key.read(here)
    children = {
        value: _grow(columns, flows, rows[column == value], (*path, (key.offset, key.mask, value)), key.bits / n)
        for value in values_to_keep(column)
    }
    return Split(rows, candidates, key, children)


def values_to_keep(column: NDArray[np.int16]) -> list[int]:
    """Return the values that get a type: those that recur, and single ones where few messages are single."""
    counts = np.bincount(column, minlength=MISSING)[:MISSING]
    once = int((counts == 1).sum())
    kept: list[int] = np.flatnonzero(counts >= (1 if once <= MAX_SINGLE * len(column) else 2)).tolist()
    return kept


def telling_bits(columns: Columns, key: KeyCandidate) -> int:
    """
    Return the mask of a key: all bits, or those that remain when others at one of its ends are noise.

    Bits are noise where they take their values about equally often whatever the others are, and a split that takes
    them in explains no more: a sequence number beside a kind.
    """
    column = columns.values[key.offset]
    codes = np.stack([masked(column, mask) for mask in (0xFF, *MASKS)])
    entropy = entropies(value_counts(codes))
    noise = np.array([8 - mask.bit_count() for mask in MASKS])
    even = np.flatnonzero((entropy[0] - entropy[1:] >= EVEN * noise) & (entropy[1:] > 0))
    if not len(even) or len(column) < MESSAGES_A_VALUE * key.values:
        return 0xFF
    bits = explained_bits(codes[even + 1], np.full(len(even), key.offset, np.int64), columns)
    best = int(np.argmax(bits))
    return MASKS[int(even[best])] if bits[best] >= MASKED_SHARE * key.bits else 0xFF


def weigh(columns: Columns, flows: Conversations | None, least: float, path: Path = ()) -> list[KeyCandidate]:
    """
    Return the candidate columns, best first; ties go to the lower offset.

    Args:
        flows: what flows say of the columns, None where there are none.
        least: bits a message below which a column explains too little.
        path: the keys above, which all messages share; a key nested in others must vary in flows, and not be text.
    """
    n = len(columns.lengths)
    counts = value_counts(columns.values[:CANDIDATES])
    distinct = (counts > 0).sum(axis=1)
    absent = counts[:, MISSING] / n
    small = counts[:, :SMALL].sum(axis=1) / n
    text = (columns.classes[:CANDIDATES] == TEXT).mean(axis=1)
    entropy = entropies(counts)
    few = (distinct <= max(2, MAX_VALUES * n)) & (entropy <= MAX_ENTROPY)
    possible = few & (absent <= MAX_ABSENT) & (text <= (MAX_TEXT if path else 1.0))
    varies = np.flatnonzero((distinct > 1) & possible)
    if not len(varies):
        return []
    bits = explained_bits(columns.values[varies], varies, columns)
    before = np.concatenate([[0.0], np.cumsum(np.minimum(entropy, _ENTROPY_CAP))])
    right_before = np.concatenate([[0.0], np.minimum(entropy, _ENTROPY_CAP)])
    shared = shared_bits(columns.values[:CANDIDATES], entropy)
    score = (
        np.log(bits / n * 4 + 0.02)
        - _ENTROPY_BEFORE * before[varies]
        - _DEPTH_INTO * varies
        - _ENTROPY_RIGHT_BEFORE * right_before[varies]
        - _VALUES * np.log(distinct[varies])
        + _SMALL * small[varies]
        - _SHARED * np.minimum(shared[varies] + shared[varies + 1], _SHARED_CAP)
        + _ANSWERS * _answers(flows, varies)
    )
    score = np.round(score * 256) / 256
    order = np.lexsort((varies, -score))
    return _with_objections(columns, flows, [
        KeyCandidate(int(varies[i]), int(distinct[varies[i]]), float(bits[i]), float(score[i])) for i in order
    ], max(MIN_BITS, least * n), path)  # fmt: skip


def _answers(flows: Conversations | None, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([flows.answers(offset) if flows else 0.0 for offset in offsets.tolist()])


def _with_objections(
    columns: Columns, flows: Conversations | None, candidates: list[KeyCandidate], least: float, path: Path
) -> list[KeyCandidate]:
    """Name what rules candidates out; the dear tests stop at the first candidate that passes them."""
    weighed: list[KeyCandidate] = []
    found, content = False, CANDIDATES
    for candidate in candidates:
        objection = ""
        if candidate.bits < least:
            objection = "explains too little"
        elif candidate.offset >= content or (path and candidate.score < MIN_NESTED_SCORE):
            objection = "lies in content"
        elif not found:
            objection = _dear_objection(columns, flows, candidate.offset, path)
            objection = objection or _counted_objection(columns, candidate, weighed, least, path)
            content = min(content, candidate.offset) if objection == _ITEMS else content
        found = found or not objection
        weighed.append(KeyCandidate(candidate.offset, candidate.values, candidate.bits, candidate.score, objection))
    return weighed


def _dear_objection(columns: Columns, flows: Conversations | None, offset: int, path: Path) -> str:
    if path and flows and flows.stays(offset, path):
        return "keeps its value in a flow"
    if any(tells_length(side, offset) >= LENGTH_SHARE for side in (columns.sides() if path else [columns])):
        return _LENGTH
    if begins_items(columns, offset) if path else lies_in_keyed(columns, offset):
        return _ITEMS
    return _counting(columns, offset)


def _counted_objection(
    columns: Columns, candidate: KeyCandidate, before: list[KeyCandidate], least: float, path: Path
) -> str:
    """
    Object to a first key deep in messages that tells no more than how far counted content goes.

    Such are a character of a string and a part of a record. What the key explains is weighed among messages of the
    same count, for each column before it that tells the length or counts parts or text.
    """
    if path or candidate.score >= DEEP_SCORE:
        return ""
    counts = [c.offset for c in before if c.objection in _COUNTS and c.offset < candidate.offset]
    if any(_explained_within(columns, candidate.offset, count) < least for count in counts):
        return "lies in what is counted before it"
    return ""


def _explained_within(columns: Columns, offset: int, count: int) -> float:
    """Return the bits that a column explains among messages of the same value of another, over all such values."""
    groups, codes = np.unique(columns.values[count], return_inverse=True)
    bits = 0.0
    for group in range(len(groups)):
        here = columns.take(np.flatnonzero(codes == group))
        bits += float(explained_bits(here.values[offset : offset + 1], np.array([offset], np.int64), here)[0])
    return bits


def _counting(columns: Columns, offset: int) -> str:
    if counts_parts(columns, offset):
        return _PARTS
    return _TEXT if tells_text(columns, offset) >= TEXT_SHARE else ""
