"""One line of text: words, bracketed marks and time stamps that stand at its front in all lines of a type."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from ..spec import Delimited, Element, Fixed, Repeat, Rest, ToEnd, Until, Width
from .fields import Names, plain
from .wording import bits_saved

STEPS = 12
WEIGHED = 96  # lines that a division is weighed on
AGREED = 0.9  # share of lines in which a separator that is part of the structure stands
MARGIN = 16.0  # bits that a further field must save
FEW_LINES = 8  # lines that differ, below which a type follows the others
COUNTED = 4  # lines that differ, from which an equal number of words in all of them is no accident
TAIL = b" :"
_SELDOM = {b" ": 20, b"\t": 20, b"-": 20}  # separators that end the first word of one line in so many
FEW = 4  # words of a short line that is divided at every blank
_SEPARATORS = (b" ", b"\t", b":", b"=", b",", b";", b"|")
_REPLY = re.compile(rb"\d{3}[ -]")
_BRACKETS = {b"<": b">", b"[": b"]", b"(": b")"}
_STAMPS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d",  # RFC 3164, 4.1.2
        rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",  # RFC 3339
        rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d(?: GMT| [+-]\d{4})?",  # RFC 5322
        rb"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",  # asctime
        rb"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",  # common log format
    )
)


@dataclass(frozen=True)
class Step:
    """A field at the front of what is left of a line, and the bytes of the separator behind it (0: none)."""

    hint: str
    width: Width
    gap: int


def line_elements(
    names: Names, lines: Sequence[bytes], tail: bool, shared: Callable[[], Sequence[Step]]
) -> list[Element]:
    """
    Return the layout of regions that are one line each, without its end.

    Args:
        lines: what the lines of a type look like.
        tail: whether the protocol marks a last argument of several words with ``" :"``.
        shared: the fields that the lines of all types have at their front; taken where a type has few lines of its own.
    """
    few = [line for line in lines if line][:WEIGHED]
    elements: list[Element] = []
    if sum(line[:1] == b":" and b" " in line for line in few) > AGREED * len(few):
        elements.append(plain(names.next("mark"), Fixed(size=1), "ascii", "delimiter"))
        few = [line[1:] for line in few]
    if tail:
        return elements + _words_and_tail(names)
    return elements + _nested(names, _longer(divide(few), few, list if elements else shared))


def _longer(own: list[Step], lines: list[bytes], shared: Callable[[], Sequence[Step]]) -> Sequence[Step]:
    """Return the type's own fields, or those of all types where it has few lines and these say more."""
    return own if len(set(lines)) >= FEW_LINES else max(own, shared(), key=len)


def has_tail(lines: Sequence[bytes]) -> bool:
    """Return whether lines end in an argument of several words behind ``" :"``, a colon that no blank follows."""
    tails = [line.partition(TAIL)[2] for line in lines if TAIL in line]
    several = sum(b" " in tail for tail in tails)
    loose = sum(tail[:1] == b" " for tail in tails)
    return len(tails) * 5 >= len(lines) > 0 and 2 * several > len(tails) and 2 * loose < len(tails)


def _words_and_tail(names: Names) -> list[Element]:
    word = plain(names.next("word"), Delimited(delimiters=[b" "]), "ascii", "text")
    separator = plain(names.next("separator"), Fixed(size=1), "ascii", "delimiter")
    argument = plain(names.next("argument"), Delimited(delimiters=[b" "]), "ascii", "text")
    arguments = Repeat(name=names.next("arguments"), stop=Until(bytes=TAIL), elements=[separator, argument])
    mark = plain(names.next("tail_mark"), Fixed(size=len(TAIL)), "ascii", "delimiter")
    last = plain(names.next("tail"), Rest(), "ascii", "text")
    return [word, arguments, Repeat(name=names.next("last"), stop=ToEnd(), elements=[mark, last], maximum=1)]


def _nested(names: Names, steps: Sequence[Step]) -> list[Element]:
    """Return the fields of the steps, each with its separator in an optional part: a line may end before any."""
    if not steps:
        return [plain(names.next("line"), Rest(), "ascii", "text")]
    step, *others = steps
    field = plain(names.next(step.hint), step.width, "ascii", "timestamp" if step.hint == "time" else "text")
    inner: list[Element] = []
    if step.gap:
        inner.append(plain(names.next("separator"), Fixed(size=step.gap), "ascii", "delimiter"))
    inner += _nested(names, others) if others else [plain(names.next("argument"), Rest(), "ascii", "text")]
    return [field, Repeat(name=names.next("more"), stop=ToEnd(), elements=inner, maximum=1)]


def divide(lines: Sequence[bytes]) -> list[Step]:
    """
    Return the fields that lines that differ have at their front; what is behind the last of them is one field.

    The first word is one where a separator ends it. A further one is where the same separator ends it in nearly all
    lines, and either all lines have the same number of words, or all have a number there, or writing its column apart
    saves bits. What follows the digits of a reply is for people (RFC 959, 4.2), so that the last does not count there.
    """
    steps: list[Step] = []
    rests = [line for line in lines[:WEIGHED] if line]
    replies = sum(bool(_REPLY.match(line)) for line in rests)
    margin = MARGIN if replies < AGREED * len(rests) else inf
    while len(steps) < STEPS and (found := _front(rests, steps, margin) or _phrase(rests, steps, margin)):
        more, behind = found
        steps += more
        rests = [rest for rest in behind if rest]
    return steps


def _phrase(rests: list[bytes], steps: list[Step], margin: float) -> Found:
    """Return words that all lines have in common together with the field behind them, where there is one."""
    phrase, behind = b"", rests
    while steps and margin < inf and len(set(behind)) >= COUNTED:
        word, count = Counter(rest.partition(b" ")[0] + b" " for rest in behind).most_common(1)[0]
        if count < AGREED * len(behind):
            return None
        phrase, behind = phrase + word, [rest[len(word) :] for rest in behind if rest.startswith(word)]
        if found := _front(behind, steps, margin):
            return [Step("phrase", Fixed(size=len(phrase) - 1), 1), *found[0]], found[1]
    return None


Found = tuple[list[Step], list[bytes]] | None


def _front(rests: list[bytes], steps: list[Step], margin: float) -> Found:
    """Return the field at the front of what is left of lines behind some fields, and what is left behind it."""
    if not rests:
        return None
    if found := _bracketed(rests) or _stamp(rests):
        return found
    return _word(rests, _glue(steps), margin) if steps else _first_word(rests)


def _glue(steps: list[Step]) -> list[bytes]:
    """Return what may end a word behind these fields: what ended the first word, a blank, a colon and a blank."""
    words = [step.width.delimiters for step in steps if isinstance(step.width, Delimited) and not step.width.include]
    ends = words[0] if words else []
    return ends if ends and ends[0] in (b"\t", b";", b"|") else list(dict.fromkeys([b" ", b": ", *ends]))


def _bracketed(rests: list[bytes]) -> Found:
    opened, count = Counter(rest[:1] for rest in rests).most_common(1)[0]
    close = _BRACKETS.get(opened)
    if close is None or count < AGREED * len(rests):
        return None
    if sum(0 < rest.find(close) < 64 for rest in rests) < AGREED * len(rests):
        return None
    behind = [rest.partition(close)[2] for rest in rests]
    return _behind("tag", Delimited(delimiters=[close], include=True), behind)


def _stamp(rests: list[bytes]) -> Found:
    for stamp in _STAMPS:
        ends = [match.end() if (match := stamp.match(rest)) else 0 for rest in rests]
        size, count = Counter(ends).most_common(1)[0]
        if size and count >= AGREED * len(rests):
            return _behind("time", Fixed(size=size), [rest[size:] for rest in rests])
    return None


def _behind(hint: str, width: Width, behind: list[bytes]) -> Found:
    """Return a field that shows its own end, with the separator that nearly all lines have behind it."""
    filled = [rest for rest in behind if rest]
    for separator in (b": ", *_SEPARATORS):
        if filled and sum(rest.startswith(separator) for rest in filled) >= AGREED * len(filled):
            return [Step(hint, width, len(separator))], [rest[len(separator) :] for rest in filled]
    return [Step(hint, width, 0)], filled


def _first_word(rests: list[bytes]) -> Found:
    """Return the leading word and what ends it."""
    separators = _even(rests) or _word_ends(rests)
    if not separators:
        return None
    if len(separators) == 1:
        separators = [_with_blank(rests, separators[0])]
    gap = len(separators[0])
    behind = [rest[at + gap :] for rest in rests if (at := _first_of(rest, separators)) >= 0]
    return [Step("word", Delimited(delimiters=separators), gap)], behind


def _even(rests: list[bytes]) -> list[bytes]:
    """Return what stands as often in all lines, several times, where blanks do not; nothing where nothing does."""
    if len(set(rests)) < COUNTED or _agreed(rests, b" ") > 0:
        return []
    return [separator for separator in (b"\t", b";", b"|", b",") if _agreed(rests, separator) > 1][:1]


def _agreed(rests: list[bytes], separator: bytes) -> int:
    """Return how often a separator stands in each of nearly all lines; 0 where they do not agree."""
    number, count = Counter(rest.count(separator) for rest in rests).most_common(1)[0]
    return number if count >= AGREED * len(rests) else 0


def _word_ends(rests: list[bytes]) -> list[bytes]:
    """Return what ends words and is seldom inside one: a blank of one line in twenty, another mark of one in four."""
    ends = [_word_end(rest) for rest in rests]
    after = Counter(end for end in ends if end)
    inside = Counter(b"".join(rest.partition(end or b" ")[0] for end, rest in zip(ends, rests, strict=True)))
    return [end for end in sorted(after) if after[end] >= max(inside[end[0]], len(rests) / _SELDOM.get(end, 4))]


def _word_end(line: bytes) -> bytes:
    """Return the separator behind the leading word; a dash is one behind digits, as in replies that continue."""
    match = re.search(rb"(?<=.)[ \t:=,;|]|(?<=^\d{3})-", line, re.DOTALL)
    return match.group() if match else b""


def _first_of(line: bytes, separators: list[bytes]) -> int:
    return min((at for separator in separators if (at := line.find(separator)) >= 0), default=-1)


def _with_blank(rests: list[bytes], separator: bytes) -> bytes:
    """Return the separator with the blank that follows it in nearly all lines."""
    behind = [rest.partition(separator)[2] for rest in rests if separator in rest]
    blank = separator != b" " and sum(rest[:1] == b" " for rest in behind) >= AGREED * len(behind)
    return separator + b" " if blank else separator


def _word(rests: list[bytes], glue: list[bytes], margin: float) -> Found:
    """Return the shortest word that a separator ends in nearly all lines, where there is reason to divide."""
    found: list[tuple[int, bytes]] = []
    for separator in glue:
        sizes = [rest.find(separator) for rest in rests]
        if sum(size > 0 for size in sizes) >= AGREED * len(rests) and _is_divided(rests, separator, margin):
            found.append((sum(sizes), separator))
    if not found:
        return None
    separator = min(found)[1]
    behind = [rest.partition(separator)[2] for rest in rests if separator in rest]
    return [Step("argument", Delimited(delimiters=[separator]), len(separator))], behind


def _is_divided(rests: list[bytes], separator: bytes, margin: float) -> bool:
    """Return whether lines agree in their number of words, or the first of them is a column of its own."""
    number, count = Counter(rest.count(separator) for rest in rests).most_common(1)[0]
    if 0 < number < FEW - 1 and count >= 0.8 * len(rests):
        return True
    wholes = list(dict.fromkeys(rests))
    parts = [rest.partition(separator) for rest in wholes]
    words = [word for word, _, _ in parts]
    same_number = 0 < _agreed(rests, separator) < STEPS
    if _varies(words) and (same_number or sum(map(bytes.isdigit, words)) >= AGREED * len(words)):
        return True
    return bits_saved(wholes, words, [behind for _, _, behind in parts]) >= margin


def _varies(words: list[bytes]) -> bool:
    return len(words) >= COUNTED and Counter(words).most_common(1)[0][1] < AGREED * len(words)
