"""What the values of every field look like, counted in one pass over all leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

WIDEST_NUMBER = 8
_COLUMNS = (
    "n", "shortest", "longest", "bytes", "printable", "text", "padded", "letters", "utf16le", "utf16be", "utf8",
    "bcd", "uniform", "empty",
)  # fmt: skip
EMPTY, TEXT, PADDED, UTF8, UNIFORM, UTF16LE, UTF16BE = (1 << bit for bit in range(7))
_INDEX = {name: i for i, name in enumerate(_COLUMNS)}


@dataclass(frozen=True)
class Leaves:
    """
    Leaves sorted by field.

    Attributes:
        data: uint8, the bytes that ``starts`` (int64) point into; lengths: int64.
        rows: int64, message of each leaf; held: bool, of a message that is kept back.
        field: int64, index of the field of each leaf, ascending; ends: int64, where each field's leaves end.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    held: NDArray[np.bool_]
    field: NDArray[np.int64]
    ends: NDArray[np.int64]

    def of(self, field: int) -> slice:
        """Return where the leaves of one field lie."""
        return slice(int(self.ends[field - 1]) if field else 0, int(self.ends[field]))

    @cached_property
    def _counted(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        counted: tuple[NDArray[np.int64], NDArray[np.uint8]] = _count(
            self.data, self.starts, self.lengths, self.held, self.field, len(self.ends), len(_COLUMNS)
        )
        return counted

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 (fields, 2, columns): of proposing and of held-out leaves, see ``Profile``."""
        return self._counted[0]

    @property
    def classes(self) -> NDArray[np.uint8]:
        """uint8, bits of each leaf: EMPTY, TEXT, PADDED, UTF8, UNIFORM, UTF16LE, UTF16BE."""
        return self._counted[1]

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """uint64, a hash of each leaf's bytes."""
        hashes: NDArray[np.uint64] = _hash(self.data, self.starts, self.lengths)
        return hashes

    @cached_property
    def by_value(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Leaves by field, proposing ones first, then by hash; and where in this order a new value starts."""
        order = np.lexsort((self.hashes, self.held, self.field))
        hashes, held, field = self.hashes[order], self.held[order], self.field[order]
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = (hashes[1:] != hashes[:-1]) | (held[1:] != held[:-1]) | (field[1:] != field[:-1])
        return order, fresh

    @cached_property
    def words(self) -> NDArray[np.uint64]:
        """uint64, the first eight bytes of each leaf, the first byte highest, right-aligned."""
        words: NDArray[np.uint64] = _words(self.data, self.starts, self.lengths)
        return words

    def bytes_of(self, leaf: int) -> bytes:
        """Return the bytes of one leaf."""
        start = int(self.starts[leaf])
        return self.data[start : start + int(self.lengths[leaf])].tobytes()


class Profile:
    """
    The values of one field.

    Attributes:
        leaves: all leaves; span: which of them; held: bool of these.
        width: bytes where all proposing values have the same number, else 0.
        distinct: how many different proposing values there are.
    """

    def __init__(self, leaves: Leaves, field: int) -> None:
        self.leaves, self.field = leaves, field
        self.span = leaves.of(field)
        self.held = leaves.held[self.span]
        self._counts: list[list[int]] = leaves.counts[field].tolist()
        shortest, longest = self.count("shortest"), self.count("longest")
        self.width = longest if shortest == longest else 0

    def count(self, name: str, held: bool = False) -> int:
        """
        Return a count of the proposing (or the held-out) leaves.

        ``n`` leaves; ``shortest``, ``longest`` in bytes; ``bytes`` in all; ``printable`` bytes of printable ASCII, tab,
        CR, LF; leaves that are all ``text``, ``padded`` text (zeros or spaces behind), UTF-16 of one byte order,
        ``utf8`` with other characters than ASCII; ``letters`` bytes; leaves of ``bcd`` digits; ``uniform`` leaves (one
        byte repeated); ``empty`` leaves.
        """
        return self._counts[held][_INDEX[name]]

    @property
    def classes(self) -> NDArray[np.uint8]:
        """The classes of its leaves, see ``Leaves``."""
        return self.leaves.classes[self.span]

    @cached_property
    def values(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
        """Hashes of the different proposing values, the first leaf of each, and how many leaves each has."""
        order, fresh = self.leaves.by_value
        start, n = self.span.start, self.count("n")
        firsts = np.flatnonzero(fresh[start : start + n])  # proposing leaves come first, equal values together
        leaves = order[start + firsts]
        counts = np.empty_like(firsts)
        counts[:-1] = firsts[1:]
        counts[-1:] = n
        counts -= firsts
        return self.leaves.hashes[leaves], leaves, counts

    @property
    def distinct(self) -> int:
        """Number of different proposing values."""
        return len(self.values[0])

    def numbers(self, little: bool = False) -> NDArray[np.uint64]:
        """Return the values of all leaves as numbers (``width`` at most 8)."""
        words = self.leaves.words[self.span]
        if not little or self.width < 2:
            return words
        octets = words.astype("<u8").view(np.uint8).reshape(-1, 8)
        turned: NDArray[np.uint64] = np.ascontiguousarray(octets).view(">u8").ravel().astype(np.uint64)
        return turned >> np.uint64(64 - 8 * self.width)

    @cached_property
    def matrix(self) -> NDArray[np.uint8]:
        """(n, width) uint8, the bytes of all leaves of a field of fixed width (leaves of another width as zeros)."""
        fits = self.leaves.lengths[self.span] == self.width
        starts = np.where(fits, self.leaves.starts[self.span], 0)
        matrix = self.leaves.data[np.minimum(starts[:, None] + np.arange(self.width), len(self.leaves.data) - 1)]
        matrix[~fits] = 0
        return np.asarray(matrix, np.uint8)


@njit(cache=True, nogil=True)
def _count(data, starts, lengths, held, field, fields, columns):  # type: ignore[no-untyped-def]
    counts = np.zeros((fields, 2, columns), np.int64)
    classes = np.zeros(len(starts), np.uint8)
    for leaf in range(len(starts)):
        row = counts[field[leaf], 1 if held[leaf] else 0]
        size = lengths[leaf]
        row[1] = size if row[0] == 0 else min(row[1], size)
        row[2] = max(row[2], size)
        row[0] += 1
        row[3] += size
        if size == 0:
            row[13] += 1
            classes[leaf] = 1
            continue
        classes[leaf] = _count_bytes(data[starts[leaf] : starts[leaf] + size], row)
    return counts, classes


@njit(cache=True, nogil=True)
def _is_printable(byte):  # type: ignore[no-untyped-def]
    return 32 <= byte < 127 or byte == 9 or byte == 10 or byte == 13


@njit(cache=True, nogil=True)
def _content_end(value):  # type: ignore[no-untyped-def]
    """Return where trailing zeros and spaces begin."""
    end = len(value)
    while end > 0 and (value[end - 1] == 0 or value[end - 1] == 32):
        end -= 1
    return end


@njit(cache=True, nogil=True)
def _tally(value, end):  # type: ignore[no-untyped-def]
    """Count bytes: printable (in all, before ``end``), letters, decimal, as the first, zero by parity, above ASCII."""
    printable, front, letters, digits, same, even, odd, high = 0, 0, 0, 0, 0, 0, 0, 0
    for i in range(len(value)):
        byte = value[i]
        if _is_printable(byte):
            printable += 1
            front += i < end
        letters += 65 <= (byte & 0xDF) <= 90
        digits += (byte >> 4) <= 9 and (byte & 15) <= 9
        same += byte == value[0]
        high += byte >= 128
        if byte == 0:
            even += i & 1 == 0
            odd += i & 1
    return printable, front, letters, digits, same, even, odd, high


@njit(cache=True, nogil=True)
def _count_bytes(value, row):  # type: ignore[no-untyped-def]
    """Add one value to its field's counts; return its bits (see ``Leaves.classes``)."""
    size, end = len(value), _content_end(value)
    printable, front, letters, digits, same, even, odd, high = _tally(value, end)
    wide = size >= 4 and size % 2 == 0 and 2 * printable == size
    bits = 2 * (printable == size) + 16 * (same == size)
    bits += 4 * (front == end and end > 0)
    bits += 8 * (high > 0 and _is_utf8(value))
    bits += 32 * (wide and 2 * odd == size) + 64 * (wide and 2 * even == size)
    row[4] += printable
    row[7] += letters
    row[11] += digits == size
    row[5] += bits >> 1 & 1
    row[6] += bits >> 2 & 1
    row[10] += bits >> 3 & 1
    row[12] += bits >> 4 & 1
    row[8] += bits >> 5 & 1
    row[9] += bits >> 6 & 1
    return bits


@njit(cache=True, nogil=True)
def _following(byte):  # type: ignore[no-untyped-def]
    """Return how many bytes a character goes on for after its first byte, -1 where that is none of text."""
    if byte >= 0xF0:
        return 3 if byte <= 0xF4 else -1
    if byte >= 0xE0:
        return 2
    if byte >= 0xC2:
        return 1
    return 0 if byte == 127 or _is_printable(byte) else -1


@njit(cache=True, nogil=True)
def _is_utf8(value):  # type: ignore[no-untyped-def]
    following = 0
    for byte in value:
        if following:
            if byte >> 6 != 2:
                return False
            following -= 1
        else:
            following = _following(byte)
            if following < 0:
                return False
    return following == 0


@njit(cache=True, nogil=True)
def _hash(data, starts, lengths):  # type: ignore[no-untyped-def]
    hashes = np.zeros(len(starts), np.uint64)
    for leaf in range(len(starts)):
        value = np.uint64(14695981039346656037) ^ np.uint64(lengths[leaf])
        for i in range(starts[leaf], starts[leaf] + lengths[leaf]):
            value = (value ^ np.uint64(data[i])) * np.uint64(1099511628211)
        hashes[leaf] = value
    return hashes


@njit(cache=True, nogil=True)
def _words(data, starts, lengths):  # type: ignore[no-untyped-def]
    words = np.zeros(len(starts), np.uint64)
    for leaf in range(len(starts)):
        value = np.uint64(0)
        for i in range(starts[leaf], starts[leaf] + min(8, lengths[leaf])):
            value = (value << np.uint64(8)) | np.uint64(data[i])
        words[leaf] = value
    return words
