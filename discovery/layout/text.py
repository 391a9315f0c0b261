"""Text: lines of tokens, header lines, and values between separators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..spec import Delimited, Element, Fixed, Repeat, Rest, ToEnd, Until
from .fields import PRINTABLE, SPACES, Names, plain
from .table import Table

READ = 512  # bytes of a message that are looked at
MESSAGES = 256
TOKENS = 4  # a line of this many tokens or fewer, always as many, is divided at every space
_TEXT = PRINTABLE | SPACES
_TEXT[128:] = True  # UTF-8; a share of these is allowed below
_SEPARATORS = b" \t-:=,;/|"
_STRUCTURE = b'{}[]<>,:;=&"'


def is_text(table: Table) -> bool:
    """Return whether the regions (of 4 bytes or more on average) are text in all but one of twenty."""
    few = table.take(slice(0, MESSAGES))
    if not len(few) or few.sizes.mean() < 4:
        return False
    window, exists = few.window(int(min(few.sizes.max(), READ)))
    text = (_TEXT[window] | ~exists).mean(axis=1) >= 0.995
    plain_bytes = (PRINTABLE[window] | SPACES[window]) & exists
    return bool((text & (plain_bytes.sum(axis=1) >= 0.9 * exists.sum(axis=1))).mean() >= 0.85)


@dataclass(frozen=True)
class _Lines:
    """What the lines of the regions look like: line break, tokens of each first line, lines behind the first."""

    newline: bytes
    broken: float
    first: list[bytes]
    others: list[bytes]


def _read(table: Table) -> list[bytes]:
    few = table.take(slice(0, MESSAGES))
    bounds = zip(few.start.tolist(), np.minimum(few.end, few.start + READ).tolist(), strict=True)
    return [few.data[start:end].tobytes() for start, end in bounds if end > start]


def _lines(texts: list[bytes]) -> _Lines:
    feeds = sum(text.count(b"\n") for text in texts)
    newline = b"\r\n" if 2 * sum(text.count(b"\r\n") for text in texts) > feeds else b"\n"
    divided = [text.split(newline) for text in texts]
    broken = sum(len(lines) > 1 for lines in divided) / max(len(texts), 1)
    others = [line for lines in divided for line in lines[1:] if line]
    return _Lines(newline, broken, [lines[0] for lines in divided], others)


def text_elements(names: Names, table: Table) -> list[Element]:
    """Return the layout of regions of text."""
    texts = _read(table)
    lines = _lines(texts)
    if lines.broken < 0.5:
        return _separated(names, texts) or _line(names, lines.first, b"", closed=False)
    first = _line(names, lines.first, lines.newline, closed=True)
    if sum(_is_header(line) for line in lines.others) > 0.6 * len(lines.others) > 0:
        return first + _headers(names, lines.newline)
    if len(lines.others) * 20 < len(texts):
        return [*first, _rest(names)]
    every = _line(names, lines.first + lines.others, lines.newline, closed=True)
    return [Repeat(name=names.next("lines"), stop=ToEnd(), elements=every)]


def _is_header(line: bytes) -> bool:
    key, colon, _ = line.partition(b":")
    return bool(colon) and 0 < len(key) < 40 and key.replace(b"-", b"").replace(b"_", b"").isalnum()


def _headers(names: Names, newline: bytes) -> list[Element]:
    header = plain(names.next("header"), Delimited(delimiters=[newline], include=True), "ascii", "text")
    blank = plain(names.next("blank"), Fixed(size=len(newline)), "ascii", "delimiter")
    body: list[Element] = [blank, plain(names.next("body"), Rest(), semantic="payload")]
    return [
        Repeat(name=names.next("headers"), stop=Until(bytes=newline), elements=[header]),
        Repeat(name=names.next("content"), stop=ToEnd(), elements=body, maximum=1),
    ]


def _rest(names: Names) -> Element:
    rest = plain(names.next("more"), Rest(), "ascii", "text")
    return Repeat(name=names.next("following"), stop=ToEnd(), elements=[rest], maximum=1)


def _line(names: Names, lines: list[bytes], newline: bytes, closed: bool) -> list[Element]:
    """Return tokens of one line: all of them where lines agree in their number, else the first and the rest."""
    separators = _first_separators(lines)
    ends = [newline] if newline else []
    elements: list[Element] = []
    if not separators:
        return (
            [plain(names.next("line"), Delimited(delimiters=ends, include=True), "ascii", "text")]
            if ends
            else [plain(names.next("line"), Rest(), "ascii", "text")]
        )
    elements.append(plain(names.next("word"), Delimited(delimiters=[*separators, *ends]), "ascii", "text"))
    count = _token_count(lines)
    separator = plain(names.next("separator"), Fixed(size=1), "ascii", "delimiter")
    stop = Until(bytes=newline) if newline else ToEnd()
    if count:
        token = plain(names.next("token"), Delimited(delimiters=[b" ", *ends]), "ascii", "text")
        elements.append(Repeat(name=names.next("tokens"), stop=stop, elements=[separator, token]))
    else:
        value = Delimited(delimiters=ends) if ends else Rest()
        argument = plain(names.next("argument"), value, "ascii", "text")
        elements.append(Repeat(name=names.next("arguments"), stop=stop, elements=[separator, argument], maximum=1))
    if closed:
        end = plain(names.next("newline"), Fixed(size=len(newline)), "ascii", "delimiter")
        elements.append(Repeat(name=names.next("line_end"), stop=ToEnd(), elements=[end], maximum=1))
    return elements


def _first_separators(lines: list[bytes]) -> list[bytes]:
    """Return the bytes that end the leading word of one line in twenty or more."""
    after: Counter[int] = Counter()
    for line in lines:
        place = next((k for k, byte in enumerate(line) if k and byte in _SEPARATORS), None)
        if place is not None:
            after[line[place]] += 1
    return [bytes([byte]) for byte in sorted(after) if 20 * after[byte] >= len(lines)]


def _token_count(lines: list[bytes]) -> int:
    counts = Counter(line.count(b" ") + 1 for line in lines)
    tokens, frequency = counts.most_common(1)[0]
    return tokens if 2 < tokens <= TOKENS and frequency >= 0.8 * len(lines) else 0


def _separated(names: Names, texts: list[bytes]) -> list[Element]:
    """Return values between structure characters, where text without lines is full of them; else nothing."""
    counts = Counter(byte for text in texts for byte in text if byte in _STRUCTURE)
    total = sum(len(text) for text in texts)
    common = [bytes([byte]) for byte in sorted(counts) if 100 * counts[byte] >= total]
    if len(common) < 2 or 25 * sum(counts.values()) < total:
        return []
    value = plain(names.next("value"), Delimited(delimiters=common), "ascii", "text")
    mark = plain(names.next("mark"), Fixed(size=1), "ascii", "delimiter")
    marks = Repeat(name=names.next("marks"), stop=ToEnd(), elements=[mark], maximum=1)
    return [Repeat(name=names.next("values"), stop=ToEnd(), elements=[value, marks])]
