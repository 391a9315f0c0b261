"""How many bytes the message at a place has, by a framing that tells it in the message's own first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..spec.framing import HeaderFraming, LengthFraming

MAX_MESSAGE = 1 << 24
"""A length above this is taken for a loss of synchronisation."""
MAX_HEADER = 1 << 16
"""Bytes within which the header of a text message ends."""
_TOO_MUCH = 1 << 48
UINT, DECIMAL, HEX, BER, LEB128, VLQ, DIGITS, HEADER = range(8)
ENCODINGS = {"uint": UINT, "decimal": DECIMAL, "hex": HEX, "ber": BER, "leb128": LEB128, "vlq": VLQ, "digits": DIGITS}
COLUMNS = 7
INNER: dict[str, Any] = {"cache": True, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of compiled code that only compiled code calls: without the wrappers it compiles faster."""
OFFSET, WIDTH, BIG, SCALE, BIAS, MASK, ENCODING = range(COLUMNS)
"""Columns of a rule; the mask is -1 where all bits count."""


@dataclass(frozen=True)
class Rule:
    """
    A framing as the kernels read it.

    Attributes:
        numbers: int64 (7,), see the column names of this module.
        magic: uint8, what a message begins with; end, name: uint8, of a text header.
    """

    numbers: NDArray[np.int64]
    magic: NDArray[np.uint8]
    end: NDArray[np.uint8]
    name: NDArray[np.uint8]


def rule_of(framing: LengthFraming | HeaderFraming) -> Rule:
    """Return the kernels' form of a framing."""
    if isinstance(framing, HeaderFraming):
        numbers = np.array([0, 1, 1, 1, 0, -1, HEADER], np.int64)
        return Rule(numbers, _octets(b""), _octets(framing.end), _octets(framing.name.lower()))
    encoding, big = ENCODINGS[framing.encoding], int(framing.endianness == "big")
    numbers = np.array(
        [framing.offset, framing.width, big, framing.scale, framing.bias, framing.mask, encoding], np.int64
    )
    head = framing.offset + (framing.width if encoding <= HEX else 1)
    return Rule(numbers, _octets(framing.magic[:head]), _octets(b""), _octets(b""))


def _octets(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


@njit(**INNER)
def read_number(data, at, width, big, mask):  # type: ignore[no-untyped-def]
    """Return ``width`` bytes (at most 7 matter) as an unsigned number."""
    value = np.int64(0)
    for i in range(width):
        value = (value << 8) | data[at + i if big else at + width - 1 - i]
        if value >= _TOO_MUCH:
            return np.int64(_TOO_MUCH)
    return value & mask if mask >= 0 else value


@njit(**INNER)
def _digit(byte, base):  # type: ignore[no-untyped-def]
    """Return the value of an ASCII digit, -1 where it is none."""
    value = -1
    if 48 <= byte <= 57:
        value = byte - 48
    elif base == 16 and 97 <= (byte | 32) <= 102:
        value = (byte | 32) - 87
    return value


@njit(**INNER)
def _read_text(data, at, width, base):  # type: ignore[no-untyped-def]
    """Return a number in ``width`` ASCII digits, -1 where it is none."""
    value = np.int64(0)
    for i in range(width):
        digit = _digit(data[at + i], base)
        if digit < 0:
            return np.int64(-1)
        value = value * base + digit
    return value


@njit(**INNER)
def _read_ber(data, at, end):  # type: ignore[no-untyped-def]
    """Return value and bytes of a definite length; value -1: no such, bytes 0: the run ends before it does."""
    first = np.int64(data[at])
    if first < 128:
        return first, np.int64(1)
    more = first & 127
    if more == 0 or more > 4:
        return np.int64(-1), np.int64(1)
    if end - at < 1 + more:
        return np.int64(0), np.int64(0)
    return read_number(data, at + 1, more, True, -1), 1 + more


@njit(**INNER)
def _read_sevens(data, at, end, most, low_first):  # type: ignore[no-untyped-def]
    """Return value and bytes of a number of seven bits a byte, with the meaning as in ``_read_ber``."""
    value = np.int64(0)
    for i in range(most):
        if at + i >= end:
            return np.int64(0), np.int64(0)
        bits = np.int64(data[at + i]) & 127
        value = value | (bits << (7 * i)) if low_first else (value << 7) | bits
        if data[at + i] < 128:
            shortest = i == 0 or (bits > 0 if low_first else data[at] != 128)
            return (value if shortest else np.int64(-1)), np.int64(i + 1)
    return np.int64(-1), np.int64(most)


@njit(**INNER)
def _read_digits(data, at, end, most):  # type: ignore[no-untyped-def]
    """Return value and bytes of a decimal number that ends where no digit follows."""
    value, i = np.int64(0), 0
    while i <= most:
        if at + i >= end:
            return np.int64(0), np.int64(0)
        digit = _digit(data[at + i], 10)
        if digit < 0:
            return (value if i else np.int64(-1)), np.int64(max(i, 1))
        value, i = value * 10 + digit, i + 1
    return np.int64(-1), np.int64(most)


@njit(**INNER)
def _same(data, at, text, fold):  # type: ignore[no-untyped-def]
    """Whether a text stands at a place; with ``fold`` in letters of any case (the text is in small ones)."""
    for i in range(len(text)):
        byte = data[at + i]
        if fold and 65 <= byte <= 90:
            byte |= 32
        if byte != text[i]:
            return False
    return True


@njit(**INNER)
def _number_after(data, at, end):  # type: ignore[no-untyped-def]
    """Return the decimal number behind spaces and a colon or an equals sign, -1 where there is none."""
    while at < end and (data[at] == 32 or data[at] == 58 or data[at] == 61 or data[at] == 9):
        at += 1
    return _read_digits(data, at, end, 9)[0]


@njit(**INNER)
def _header_end(data, at, end, stop):  # type: ignore[no-untyped-def]
    """Return where a header ends, 0 where it is none, -1 where the run ends before it."""
    if at < end and not 33 <= data[at] <= 126:
        return np.int64(0)
    for place in range(at, min(end - len(stop) + 1, at + MAX_HEADER)):
        if data[place] == stop[0] and _same(data, place, stop, False):
            return np.int64(place + len(stop))
    return np.int64(0) if end - at - len(stop) >= MAX_HEADER else np.int64(-1)


@njit(**INNER)
def _header_size(data, at, end, stop, name):  # type: ignore[no-untyped-def]
    """Return the bytes of a header and of the body that it tells, with the meaning as in ``size_at``."""
    header = _header_end(data, at, end, stop)
    if header <= 0:
        return header
    body = np.int64(0)
    for place in range(at, header - len(name)):
        if (place == at or data[place - 1] == 10) and _same(data, place, name, True):
            body = max(_number_after(data, place + len(name), header), np.int64(0))
    return header - at + body


@njit(**INNER)
def _told(data, field, end, rule):  # type: ignore[no-untyped-def]
    """Return the value of a length field and its bytes; -1: no number, 0 bytes: the run ends before it does."""
    width, encoding = rule[WIDTH], rule[ENCODING]
    if encoding <= HEX:
        if end - field < width:
            return np.int64(0), np.int64(0)
        if encoding == UINT:
            return read_number(data, field, width, rule[BIG] == 1, rule[MASK]), width
        return _read_text(data, field, width, 10 if encoding == DECIMAL else 16), width
    if field >= end:
        return np.int64(0), np.int64(0)
    if encoding == BER:
        return _read_ber(data, field, end)
    if encoding == DIGITS:
        return _read_digits(data, field, end, width)
    return _read_sevens(data, field, end, width, encoding == LEB128)


@njit(cache=True, nogil=True)
def size_at(data, at, end, rule, stop, name, most):  # type: ignore[no-untyped-def]
    """Return the bytes of the message at a place, 0 if they are absurd, -1 if the run ends before they are told."""
    if rule[ENCODING] == HEADER:
        size = _header_size(data, at, end, stop, name)
        return np.int64(0) if size > most else size
    value, width = _told(data, at + rule[OFFSET], end, rule)
    if width == 0:
        return np.int64(-1)
    if value < 0:
        return np.int64(0)
    head = rule[OFFSET] + width
    size = value * rule[SCALE] + rule[BIAS] + (head if rule[ENCODING] > HEX else 0)
    return np.int64(0) if size < head or size > most else size


@njit(**INNER)
def stands(data, at, end, text):  # type: ignore[no-untyped-def]
    """Whether a text stands at a place and ends before the run does."""
    return end - at >= len(text) and _same(data, at, text, False)


@njit(**INNER)
def begins_with(data, at, end, magic):  # type: ignore[no-untyped-def]
    """Whether the magic stands at a place, as far as the run goes."""
    return _same(data, at, magic[: max(min(len(magic), end - at), 0)], False)


@njit(cache=True, nogil=True)
def _sizes(data, starts, lengths, rule, tail, name, out):  # type: ignore[no-untyped-def]
    for i in range(len(starts)):
        out[i] = size_at(data, starts[i], starts[i] + lengths[i], rule, tail, name, MAX_MESSAGE)


def sizes_of(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], rule: Rule
) -> NDArray[np.int64]:
    """Return the bytes (int64) that messages tell of themselves, 0 where that is absurd, -1 where they end before."""
    out = np.zeros(len(starts), np.int64)
    _sizes(data, starts, lengths, rule.numbers, rule.end, rule.name, out)
    return out
