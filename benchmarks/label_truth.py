"""What a dissector's field names and types can say against a label: the truth of ``benchmarks.semantics``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Place = tuple[int, int]  # start and length of a field in its message

# class → (labels of the truth, labels of the specification)
CLASSES: dict[str, tuple[set[str], set[str]]] = {
    "length": ({"length"}, {"length"}),
    "checksum": ({"checksum"}, {"checksum"}),
    "identifier": ({"transaction_id", "sequence"}, {"identifier", "counter", "echo"}),
    "timestamp": ({"timestamp"}, {"timestamp"}),
    "text": ({"string"}, {"text"}),
    "constant": ({"constant", "magic", "version", "padding"}, {"constant", "magic", "version", "padding"}),
    "address": ({"address"}, {"address"}),
    "type": ({"type"}, {"type"}),
    "flags": ({"flags"}, {"flags"}),
    "count": ({"count"}, {"count"}),
}

EXPLANATION = """\
P, R and F1 ask for the same bytes and the same label; "field found" are precision and recall of the label alone, where
a true field's bytes are a field of ours. Judged is what the truth (names and types of a dissector's fields) can refute:

- length: any field of that name.
- checksum: integers whose names say checksum or CRC. Signatures, MACs and hashes need keys or other bytes than the
  message's; those over an IP pseudo-header are judged, though no message shows them.
- identifier: transaction numbers, sequence numbers and session numbers that take at least four values.
- timestamp: absolute times. Durations, times to live and clock ticks are not judged.
- text: strings whose bytes are printable. A label "text" on printable bytes that the truth calls a code or a number is
  not refuted.
- constant: magic numbers, versions, padding and constants with one value in their message type. A label "constant" is
  refuted by a field that takes two values in its type, not by one that never changes and has another name.
- address, type, flags, count: as named.
"""

_CHECKSUM = re.compile(r"checksum|cksum|crc|fcs|chk", re.IGNORECASE)
_PRINTABLE = frozenset([9, 10, 13, *range(32, 127)])
_ENOUGH = 4


@dataclass(frozen=True)
class Truth:
    """
    What is known of one message.

    Attributes:
        fields: places of all fields; covered: bytes of labelled ones.
        wanted: places that must have a label, by class; neutral: places of which nothing is judged, by class.
    """

    fields: set[Place] = field(default_factory=set)
    labelled: set[Place] = field(default_factory=set)
    wanted: dict[str, set[Place]] = field(default_factory=lambda: {name: set() for name in CLASSES})
    neutral: dict[str, set[Place]] = field(default_factory=lambda: {name: set() for name in CLASSES})

    def verdict(self, name: str, place: Place) -> str:
        """Return what a label of this class is where none is wanted: wrong, misplaced or unjudged."""
        if place in self.neutral[name]:
            return "unjudged"
        if place in self.fields:
            return "wrong" if place in self.labelled else "unjudged"
        end = sum(place)
        astray = any(start < end and place[0] < start + length for start, length in self.labelled)
        return "misplaced" if astray else "unjudged"


@dataclass(frozen=True)
class _Occurrence:
    """One field of one message."""

    row: int
    place: Place
    name: str
    kind: str
    label: str
    value: bytes
    message_type: str


def truths(columns: dict[str, list[Any]]) -> list[Truth]:
    """
    Return the truth of each message.

    Args:
        columns: payload, is_dup, msg_type, semantics, field_names, field_starts, field_lengths, field_types; one value
            a message.
    """
    found = [Truth() for _ in columns["payload"]]
    occurrences = list(_occurrences(columns))
    values: dict[object, set[bytes]] = defaultdict(set)
    for one in occurrences:
        for key in (one.name, (one.name, one.message_type)):
            if len(values[key]) < _ENOUGH:
                values[key].add(one.value)
    for one in occurrences:
        truth = found[one.row]
        truth.fields.add(one.place)
        if one.label:
            truth.labelled.add(one.place)
        different, in_type = len(values[one.name]), len(values[one.name, one.message_type])
        for name, (labels, _) in CLASSES.items():
            if one.label in labels and _shown(name, one, different, in_type):
                truth.wanted[name].add(one.place)
            elif one.label in labels or _agrees(name, one, in_type):
                truth.neutral[name].add(one.place)
    return found


def _occurrences(columns: dict[str, list[Any]]) -> Iterator[_Occurrence]:
    for row, payload in enumerate(columns["payload"]):
        if columns["is_dup"][row]:
            continue
        labels = {(item["start"], item["length"]): item["label"] for item in columns["semantics"][row]}
        parts = (columns[f"field_{part}"][row] for part in ("names", "starts", "lengths", "types"))
        for name, start, length, kind in zip(*parts, strict=True):
            value = (payload or b"")[start : start + length]
            message_type = columns["msg_type"][row] or ""
            yield _Occurrence(
                row, (start, length), name, kind or "", labels.get((start, length), ""), value, message_type
            )


def _shown(name: str, one: _Occurrence, different: int, in_type: int) -> bool:
    """Return whether the messages show what the truth calls a field."""
    if name == "checksum":
        return one.kind.startswith(("FT_UINT", "FT_INT")) and _CHECKSUM.search(one.name) is not None
    if name == "identifier":
        return different >= _ENOUGH
    if name == "timestamp":
        return one.kind == "FT_ABSOLUTE_TIME"
    if name == "text":
        return _is_printable(one.value)
    return name != "constant" or in_type == 1


def _agrees(name: str, one: _Occurrence, in_type: int) -> bool:
    """Return whether a label of this class is not refuted by the truth's other name for a field."""
    return (name == "text" and _is_printable(one.value)) or (name == "constant" and in_type == 1)


def _is_printable(value: bytes) -> bool:
    """Return whether bytes are ASCII, UTF-8 or UTF-16 text of at least one character, zeros behind it aside."""
    narrow = value.rstrip(b"\0")
    wide = value[::2] if not any(value[1::2]) else value[1::2] if not any(value[::2]) else b""
    if (narrow and _PRINTABLE.issuperset(narrow)) or (wide and _PRINTABLE.issuperset(wide.rstrip(b"\0") or b"\0")):
        return True
    try:
        text = narrow.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and text.isprintable()
