"""Text of tags with attributes, and values between brackets: structure that lines do not show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ..spec import Delimited, Element, Fixed, Repeat, Rest, Run, ToEnd
from .fields import Names, plain

_TAG = re.compile(rb"\s*<[A-Za-z/?!]")
_STRUCTURE = b'{}[]<>,:;=&"'


def is_markup(texts: Sequence[bytes]) -> bool:
    """Return whether nearly all texts start with a tag and hold as many ``<`` as ``>``, but for what was cut off."""
    tags = sum(bool(_TAG.match(text)) and abs(text.count(b"<") - text.count(b">")) <= 1 for text in texts)
    return tags >= 0.9 * len(texts) > 0


def markup_elements(names: Names) -> list[Element]:
    """
    Return a repeat of tags and the text behind each (XML 1.0, section 3.1).

    A tag without attributes is one field; one with attributes is its name, each attribute, and its end.
    """
    attribute = plain(names.next("attribute"), Delimited(delimiters=[b" "]), "ascii", "text")
    blank = plain(names.next("blank"), Run(of="space"), "ascii", "delimiter")
    attributes = plain(names.next("attributes"), Delimited(delimiters=[b"/>", b"?>", b">"]))
    inside: list[Element] = [Repeat(name=names.next("every"), stop=ToEnd(), elements=[blank, attribute])]
    close = plain(names.next("close"), Rest(), "ascii", "delimiter")
    behind: list[Element] = [attributes.model_copy(update={"elements": inside}), close]
    tag = plain(names.next("tag"), Delimited(delimiters=[b">"], include=True))
    name = plain(names.next("name"), Delimited(delimiters=[b" "]), "ascii", "text")
    parts: list[Element] = [name, Repeat(name=names.next("with"), stop=ToEnd(), elements=behind, maximum=1)]
    text = plain(names.next("text"), Delimited(delimiters=[b"<"]), "ascii", "text")
    return [Repeat(name=names.next("tags"), stop=ToEnd(), elements=[tag.model_copy(update={"elements": parts}), text])]


def is_bracketed(texts: Sequence[bytes]) -> bool:
    """Return whether nearly all texts, as far as they were read, end in a bracket or open more than they close."""
    return sum(map(_is_closed, texts)) >= 0.9 * len(texts) > 0


def bracketed_elements(names: Names, texts: Sequence[bytes]) -> list[Element]:
    """Return values between structure characters where they are frequent, else nothing."""
    counts = Counter(byte for text in texts for byte in text if byte in _STRUCTURE)
    total = sum(len(text) for text in texts)
    common = [bytes([byte]) for byte in sorted(counts) if 100 * counts[byte] >= total]
    if len(common) < 2 or 25 * sum(counts.values()) < total:
        return []
    value = plain(names.next("value"), Delimited(delimiters=common), "ascii", "text")
    mark = plain(names.next("mark"), Fixed(size=1), "ascii", "delimiter")
    marks = Repeat(name=names.next("marks"), stop=ToEnd(), elements=[mark], maximum=1)
    return [Repeat(name=names.next("values"), stop=ToEnd(), elements=[value, marks])]


def _is_closed(text: bytes) -> bool:
    text = text.rstrip()
    for opened, closed in ((b"{", b"}"), (b"[", b"]")):
        difference = text.count(opened) - text.count(closed)
        if opened in text and (difference > 0 or (difference == 0 and text.endswith(closed))):
            return True
    return False
