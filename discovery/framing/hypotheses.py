"""The framings that are tried: every length field near the front, delimiters, sizes, and text headers."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..spec.framing import LengthEncoding, LengthFraming
from .sampling import Sample
from .sizes import BER, COLUMNS, DECIMAL, DIGITS, ENCODINGS, HEX, LEB128, UINT, VLQ

MAX_OFFSET, TEXT_OFFSET, SELF_OFFSET = 32, 16, 16
"""Offsets below which length fields are tried: numbers, ASCII digits, and those that say where they end."""
SCALES = (2, 4, 8)
MOST_STARTS = 1024
"""Segments that suggest biases and digits."""
LINE_ENDS = (b"\r\n", b"\n")
USUAL_DELIMITERS = (*LINE_ENDS, b"\r", b"\0")
HEADER_ENDS = (b"\r\n\r\n", b"\n\n")
LONGEST_TAIL = 6
_TAIL_SHARE = 0.5  # of the marks that a delimiter must stand before to be tried
_HEADER_NAMES = 6
_NUMBERED_LINE = re.compile(rb"(?:^|\n)([A-Za-z][A-Za-z0-9_-]{0,40}[:=]) *[0-9]{1,9} *(?=\r?\n)")
_NAMES: dict[int, LengthEncoding] = {number: name for name, number in ENCODINGS.items()}  # type: ignore[misc]
Rules = set[tuple[int, ...]]


def length_rules(sample: Sample) -> NDArray[np.int64]:
    """Return the length fields to try (int64, n by 7): natural biases, and those that the sizes of segments suggest."""
    starts, sizes = (values[:MOST_STARTS] for values in sample.utterances())
    rules: Rules = set()
    for offset in range(MAX_OFFSET):
        for width in (1, 2, 3, 4, 8):
            room = sizes >= offset + width
            for big in (1, 0) if width > 1 else (1,):
                values = _values(sample.data, starts[room], (offset, width, big))
                rules |= _of_number(values, sizes[room], (offset, width, big))
    rules |= _of_text(sample.data, starts, sizes) | _self_delimited(sample.data, starts, sizes)
    return np.array(sorted(rules), np.int64).reshape(-1, COLUMNS)


def _values(data: NDArray[np.uint8], starts: NDArray[np.int64], field: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return the numbers in a field at the segments' starts, no more than 2**48."""
    offset, width, big = field
    value = np.zeros(len(starts), np.int64)
    for i in range(width):
        value = value << 8 | data[starts + offset + (i if big else width - 1 - i)]
        value = np.minimum(value, 1 << 48)
    return value


def _of_number(values: NDArray[np.int64], sizes: NDArray[np.int64], field: tuple[int, int, int]) -> Rules:
    offset, width, _ = field
    head = offset + width
    natural = {0, *range(head - 2, head + 9)}
    rules: Rules = {(*field, 1, bias, -1, UINT) for bias in natural | _suggested(sizes - values)}
    if width in (1, 2, 4):
        for scale in SCALES:
            rules |= {(*field, scale, bias, -1, UINT) for bias in {0, scale, head}}
    if width in (2, 4) and len(values):
        rules |= _masked(values, field)
    return rules


def _masked(values: NDArray[np.int64], field: tuple[int, int, int]) -> Rules:
    """Return lengths whose uppermost bits say something else, where such bits are ever set."""
    rules: Rules = set()
    for spare in (1, 2, 4):
        mask = (1 << (8 * field[1] - spare)) - 1
        if (values > mask).any():
            rules |= {(*field, 1, bias, mask, UINT) for bias in (0, field[0] + field[1])}
    return rules


def _suggested(differences: NDArray[np.int64]) -> set[int]:
    """Return the biases that make the field of most segments tell the segment's size."""
    bias, count = np.unique(differences[np.abs(differences) <= 4096], return_counts=True)
    bias, count = bias[count >= 3], count[count >= 3]
    return {int(b) for b in bias[np.lexsort((bias, -count))[:3]]}


def _of_text(data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Rules:
    """Return fields of a fixed number of ASCII digits, where most segments have digits."""
    rules: Rules = set()
    for offset in range(TEXT_OFFSET):
        begin = starts[sizes > offset + 1]
        if not len(begin):
            continue
        for encoding, digits in ((DECIMAL, b"0123456789"), (HEX, b"0123456789abcdefABCDEF")):
            runs = _digit_runs(data, begin + offset, digits)
            for width in range(2, 11):
                if (runs >= width).mean() >= _TAIL_SHARE:
                    rules |= {(offset, width, 1, 1, bias, -1, encoding) for bias in (0, width, offset + width)}
    return rules


def _digit_runs(data: NDArray[np.uint8], at: NDArray[np.int64], digits: bytes) -> NDArray[np.int64]:
    """Return how many digits, at most ten, stand at places."""
    known = np.isin(np.arange(256), np.frombuffer(digits, np.uint8))
    inside = at[:, None] + np.arange(10)
    there = known[data[np.minimum(inside, len(data) - 1)]] & (inside < len(data))
    return np.asarray(np.cumprod(there, axis=1).sum(axis=1))


def _self_delimited(data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Rules:
    rules: Rules = set()
    for offset in range(SELF_OFFSET):
        for encoding, width in ((BER, 5), (LEB128, 5), (VLQ, 5)):
            rules |= {(offset, width, 1, 1, bias, -1, encoding) for bias in (0, 1, 2, 4)}
        begin = starts[sizes > offset + 1] + offset
        if len(begin) and (_digit_runs(data, begin, b"0123456789") > 0).mean() >= _TAIL_SHARE:
            rules |= {(offset, 9, 1, 1, bias, -1, DIGITS) for bias in range(5)}
    return rules


def length_framing(rule: NDArray[np.int64]) -> LengthFraming:
    """Return a rule as the framing that a specification holds."""
    offset, width, big, scale, bias, mask, encoding = (int(value) for value in rule)
    return LengthFraming(
        offset=offset, width=width, endianness="big" if big else "little", scale=scale, bias=bias, mask=mask,
        encoding=_NAMES[encoding],
    )  # fmt: skip


def delimiters(sample: Sample) -> list[bytes]:
    """Return the usual delimiters, and the byte strings that most often stand before a mark, longer ones first."""
    ends = np.flatnonzero(sample.mark)
    proposals = list(USUAL_DELIMITERS)
    for size in range(LONGEST_TAIL, 0, -1):
        tails = Counter(sample.data[end - size : end].tobytes() for end in ends.tolist() if end >= size)
        for tail, count in sorted(tails.items(), key=lambda item: (-item[1], item[0]))[:1]:
            if count >= _TAIL_SHARE * len(ends):
                proposals.append(tail)
    return list(dict.fromkeys(proposals))


def fixed_sizes(sample: Sample) -> list[int]:
    """Return the sizes that divide the distances between segments, and the commonest distance."""
    _, distances = sample.utterances()
    if len(distances) < 4:
        return []
    values, counts = np.unique(distances, return_counts=True)
    proposals = (int(np.gcd.reduce(distances)), int(values[np.argmax(counts)]))
    return [size for size in dict.fromkeys(proposals) if 1 < size <= 1 << 16]


def headers(sample: Sample) -> list[tuple[bytes, bytes]]:
    """Return ends of text headers with the names of lines that tell a number, the commonest names first."""
    text = sample.data.tobytes()
    names = Counter(name.lower() for name in _NUMBERED_LINE.findall(text))
    common = [name for name, _ in sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_HEADER_NAMES]]
    return [(end, name) for end in HEADER_ENDS if end in text for name in common]
