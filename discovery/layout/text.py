"""Text: tags, values in brackets, header lines, and lines of words; what a protocol's messages have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numba import njit

from ..spec import Delimited, Element, Field, Fixed, Repeat, Rest, ToEnd, Until
from .fields import PRINTABLE, SPACES, Names, plain
from .lines import AGREED, Step, divide, has_tail, line_elements
from .markup import bracketed_elements, is_bracketed, is_markup, markup_elements
from .table import Table

READ = 512  # bytes of a message that are looked at
MESSAGES = 256
IS_TEXT = 0.85  # share of regions
HEAD = 16  # bytes of text before an empty line, from which what follows may be anything
_TEXT = PRINTABLE | SPACES
_TEXT[128:] = True  # UTF-8; a share of these is allowed below
_ASCII = PRINTABLE | SPACES


def is_text(table: Table) -> bool:
    """Return whether the regions (of 4 bytes or more on average) are text, or begin with lines before an empty one."""
    return text_share(table) >= IS_TEXT


def text_share(table: Table) -> float:
    """Return the share of regions that are text; 0 where they have fewer than 4 bytes on average."""
    few = table.take(slice(0, MESSAGES))
    if not len(few) or few.sizes.mean() < 4:
        return 0.0
    width = int(min(few.sizes.max(), READ))
    return int(_texts(few.data, few.start, few.end, width, _TEXT, _ASCII)) / len(few)


@njit(cache=True, nogil=True)
def _texts(data, start, end, width, text, ascii_text):  # type: ignore[no-untyped-def]
    """Return how many regions are text, or begin with several lines of it and an empty one."""
    found = 0
    for row in range(len(start)):
        size = max(min(end[row] - start[row], width), 0)
        other, shown = 0, 0
        for at in range(start[row], start[row] + size):
            other += not text[data[at]]
            shown += ascii_text[data[at]]
        whole = (width - other) / width >= 0.995 and shown >= 0.9 * size
        found += whole or _has_head(data, start[row], size, ascii_text)
    return found


@njit(cache=True, nogil=True)
def _has_head(data, start, size, ascii_text):  # type: ignore[no-untyped-def]
    """Return whether all bytes up to the first empty line are text, and enough of them."""
    for place in range(size):
        byte = data[start + place]
        if not ascii_text[byte]:
            return False
        if byte == 10 and place > 0 and _is_empty(data, start, place):
            return place >= HEAD
    return False


@njit(cache=True, nogil=True)
def _is_empty(data, start, place):  # type: ignore[no-untyped-def]
    """Return whether a line feed ends a line without bytes."""
    before = data[start + place - 1]
    if before == 10 or place < 3:
        return before == 10
    return before == 13 and data[start + place - 2] == 10 and data[start + place - 3] == 13


@dataclass(frozen=True)
class Style:
    """
    What the text of a protocol has in common, whatever the type of the message.

    Attributes:
        newline: what ends most lines; ``mixed``: that some end in a line feed alone and some in two bytes.
        tail: that lines have a last argument of several words behind a mark.
        first: first lines of messages.
    """

    newline: bytes = b"\r\n"
    mixed: bool = False
    tail: bool = False
    first: tuple[bytes, ...] = ()

    @cached_property
    def front(self) -> list[Step]:
        """The fields that all first lines have."""
        return divide(self.first)

    @property
    def ends(self) -> list[bytes]:
        """The delimiters that end a line."""
        return [b"\r\n", b"\n"] if self.mixed else [self.newline]


def style_of(table: Table) -> Style:
    """Return the style of regions of text."""
    texts = _read(table)
    feeds = sum(text.count(b"\n") for text in texts)
    returns = sum(text.count(b"\r\n") for text in texts)
    lines = [line for text in texts for line in _lines(text) if line]
    first = tuple(text.split(b"\n", 1)[0].rstrip(b"\r") for text in texts)
    newline = _terminator(texts) if not feeds else b"\r\n" if 2 * returns > feeds else b"\n"
    return Style(newline, 50 * min(returns, feeds - returns) > feeds, has_tail(lines), first)


def _terminator(texts: Sequence[bytes]) -> bytes:
    """Return the control character that nearly all texts without line feeds end in, a line feed where there is none."""
    last, count = Counter(text[-1:] for text in texts).most_common(1)[0] if texts else (b"\n", 0)
    return last if count >= AGREED * len(texts) and last < b" " else b"\n"


def _read(table: Table) -> list[bytes]:
    few = table.take(slice(0, MESSAGES))
    bounds = zip(few.start.tolist(), np.minimum(few.end, few.start + READ).tolist(), strict=True)
    return [few.data[start:end].tobytes() for start, end in bounds if end > start]


def text_elements(names: Names, table: Table, style: Style | None = None) -> list[Element]:
    """
    Return the layout of regions of text.

    Args:
        style: of the protocol; of these regions alone where None.
    """
    style = style or style_of(table)
    texts = _read(table)
    if is_markup(texts):
        return markup_elements(names)
    divided = [_lines(text, style.newline) for text in texts]
    if _are_headed(divided):
        return _headed(names, [lines[0] for lines in divided], style)
    bracketed = bracketed_elements(names, texts) if is_bracketed(texts) else []
    return bracketed or _of_lines(names, divided, style)


def _are_headed(divided: list[list[bytes]]) -> bool:
    """Return whether most lines between the first and an empty one are header lines."""
    heads = [line for lines in divided for line in lines[1 : lines.index(b"") if b"" in lines else None]]
    return sum(map(_is_header, heads)) > 0.6 * len(heads) > 0


def _headed(names: Names, first: list[bytes], style: Style) -> list[Element]:
    """Return a first line, unless it is a header line itself, and header lines."""
    whole = sum(map(_is_header, first)) > AGREED * len(first)
    return ([] if whole else _line(names, first, style)) + _headers(names, style)


def _of_lines(names: Names, divided: list[list[bytes]], style: Style) -> list[Element]:
    """Return the layout of one line, of one line and whatever follows, or of every line."""
    first, others = [lines[0] for lines in divided], [line for lines in divided for line in lines[1:] if line]
    if sum(len(lines) > 1 for lines in divided) < 0.5 * len(divided):
        return line_elements(names, first, style.tail, lambda: style.front)
    if len(others) * 20 < len(divided):
        return [*_line(names, first, style), _rest(names)]
    return [Repeat(name=names.next("lines"), stop=ToEnd(), elements=_every_line(names, first + others, style))]


def _lines(text: bytes, newline: bytes = b"\n") -> list[bytes]:
    return text.replace(b"\r\n", b"\n").split(newline[-1:])


def _every_line(names: Names, lines: Sequence[bytes], style: Style) -> list[Element]:
    """Return the layout of one of several lines; one without words is a field with its end."""
    elements = _line(names, lines, replace(style, first=()))
    if isinstance(elements[0], Field) and len(elements[0].elements) > 1:
        return elements
    return [plain(names.next("item"), Delimited(delimiters=[b"\n"], include=True), "ascii", "text")]


def _line(names: Names, lines: Sequence[bytes], style: Style) -> list[Element]:
    """Return a line that is a region of its own, and its end."""
    inner = line_elements(names, lines, style.tail, lambda: style.front)
    line = plain(names.next("line"), Delimited(delimiters=style.ends)).model_copy(update={"elements": inner})
    return [line, Repeat(name=names.next("line_end"), stop=ToEnd(), elements=[_newline(names, style)], maximum=1)]


def _newline(names: Names, style: Style) -> Element:
    width = Delimited(delimiters=[b"\n"], include=True) if style.mixed else Fixed(size=len(style.newline))
    return plain(names.next("newline"), width, "ascii", "delimiter")


def _is_header(line: bytes) -> bool:
    key, colon, _ = line.partition(b":")
    return bool(colon) and 0 < len(key) < 40 and key.replace(b"-", b"").replace(b"_", b"").isalnum()


def _headers(names: Names, style: Style) -> list[Element]:
    header = plain(names.next("header"), Delimited(delimiters=[b"\n"], include=True), "ascii", "text")
    body: list[Element] = [
        plain(names.next("blank"), Fixed(size=len(style.newline)), "ascii", "delimiter"),
        plain(names.next("body"), Rest(), semantic="payload"),
    ]
    return [
        Repeat(name=names.next("headers"), stop=Until(bytes=style.newline), elements=[header]),
        Repeat(name=names.next("content"), stop=ToEnd(), elements=body, maximum=1),
    ]


def _rest(names: Names) -> Element:
    rest = plain(names.next("following"), Rest(), "ascii", "text")
    return Repeat(name=names.next("more_lines"), stop=ToEnd(), elements=[rest], maximum=1)
