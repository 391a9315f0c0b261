"""Messages as text: lines of hexadecimal digits, and JSON lines."""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from ..errors import InputError
from .capture import Counters, ProtocolGroup
from .grouping import Grouping
from .limits import CaptureLimits
from .source import Source
from .tables import group_table

_SEPARATORS = str.maketrans("", "", string.whitespace + ":;,._-")
_OFFSET = re.compile(rb"\s*(?:0x)?([0-9a-f]{4,8})(?::\s|\s\s)", re.IGNORECASE)
HEAD = 1 << 14
"""Bytes from the start of an input that say what it is."""
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f]")
_KEYS = ("ts", "stream", "direction", "src", "dst", "sport", "dport", "transport")
Groups = tuple[list[ProtocolGroup], Counters]


def _lines(source: Source, limits: CaptureLimits) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of the lines that are not empty; stop at the limit with a warning."""
    count = 0
    for number, raw in enumerate(bytes(source.data).removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        text = raw.decode("utf-8", "replace").strip()
        if not text:
            continue
        if count == limits.packets:
            source.warnings.append(f"more lines than the limit: from line {number} on they were left out")
            return
        count += 1
        yield number, text


def text_format(head: bytes, name: str) -> str | None:
    """
    Return what most lines at the start of a text are: ``hex``, ``jsonl``, or None where it is no text.

    Raises:
        InputError: it is a text, and most of its lines are neither.
    """
    if _NO_TEXT.search(head):
        return None
    kinds = _kinds(head)
    for form in ("jsonl", "hex"):
        if 2 * sum(kind == form for kind in kinds.values()) >= len(kinds) > 0:
            return form
    odd = next((number for number, kind in kinds.items() if not kind), None)
    why = "no line holds anything"
    if odd is not None:
        why = f"line {odd} is neither pairs of hexadecimal digits nor a JSON object"
    raise InputError(f"no known format: {why}", where=name, hint="a text holds one message a line")


def _kinds(head: bytes) -> dict[int, str]:
    """Return what each line is that holds something, by its number from 1."""
    text = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    lines = [(number, line.strip()) for number, line in enumerate(text, 1) if line.split(b"#")[0].strip()]
    return {number: _kind(line, cut=len(head) >= HEAD and number == len(text)) for number, line in lines}


def _kind(line: bytes, *, cut: bool) -> str:
    if line.startswith(b"{"):
        return "jsonl"
    digits = _digits(line.decode("utf-8", "replace"))
    return "hex" if digits and _is_hex(digits[: len(digits) - len(digits) % 2] if cut else digits) else ""


def _digits(text: str) -> str:
    """Return what a line holds before a comment, without separators."""
    digits = text.split("#", 1)[0].translate(_SEPARATORS)
    return digits.replace("0x", "").replace("0X", "") if "x" in digits.lower() else digits


def _is_hex(text: str) -> bool:
    """Whether it is pairs of hexadecimal digits; of a line of any length, so not by a pattern that counts them."""
    return len(text) % 2 == 0 and not text.strip(string.hexdigits)


class _Refused:
    """Counts the lines that could not be read and names the first few."""

    def __init__(self, source: Source, limits: CaptureLimits) -> None:
        self.source, self.most, self.count, self.first = source, limits.warnings, 0, ""

    def add(self, number: int, why: str) -> None:
        """Note a line."""
        self.count += 1
        self.first = self.first or f": line {number}: {why}"
        if self.count <= self.most:
            self.source.warnings.append(f"line {number} was left out: {why}")

    def close(self, kept: int) -> None:
        """Sum up; raise InputError if nothing was kept."""
        if not kept:
            raise InputError(f"no line holds a message{self.first}", where=self.source.name)
        if self.count > self.most:
            self.source.warnings.append(f"{self.count} lines in all were left out")


def read_hex_lines(source: Source, port: int | None, group: Grouping | None, limits: CaptureLimits) -> Groups:
    """
    Read one message a line: hexadecimal digits, with spaces, colons or ``0x`` between them; ``#`` starts a comment.

    Raises:
        InputError: no line holds a message, or the lines begin with offsets.
    """
    _check_offsets(source)
    payloads: list[bytes] = []
    refused = _Refused(source, limits)
    for number, text in _lines(source, limits):
        digits = _digits(text)
        if not digits:
            continue
        if _is_hex(digits):
            payloads.append(bytes.fromhex(digits))
        else:
            refused.add(number, "not pairs of hexadecimal digits")
    refused.close(len(payloads))
    return group_table(pa.table({"payload": pa.array(payloads, pa.large_binary())}), source, port, group)


def _check_offsets(source: Source) -> None:
    """Refuse a dump: its first two lines begin with 0 and with the bytes of a line, set apart from what follows."""
    lines = [line for line in source.head(1024).splitlines() if line.strip()][:2]
    offsets = [int(found[1], 16) for found in map(_OFFSET.match, lines) if found]
    if len(offsets) == 2 and offsets[0] == 0 and offsets[1] in (8, 16, 32):
        hint = "put each message on one line, or make a capture of it with text2pcap"
        raise InputError("it is a dump: its lines begin with offsets", where=source.name, hint=hint)


def read_json_lines(
    source: Source, port: int | None, group: Grouping | None, limits: CaptureLimits, *, part: bool = False
) -> Groups:
    """
    Read one JSON object a line with a ``payload`` (Base64, or hexadecimal if every payload of the input is) or ``hex``.

    The other keys are those of tables: ts, stream, direction, src, dst, sport, dport, transport.

    Args:
        part: these are some lines of an input that goes on, in which a ``payload`` is Base64 whatever it looks like.

    Raises:
        InputError: no line holds a message.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    refused = _Refused(source, limits)
    for number, text in _lines(source, limits):
        row = _json_object(text)
        if row is None:
            refused.add(number, "no JSON object with a string 'payload' or 'hex'")
        else:
            rows.append((number, row))
    hexadecimal = not part and all(_is_hex(row["payload"]) for _, row in rows if "hex" not in row)
    decode = bytes.fromhex if hexadecimal else _base64
    return group_table(_json_table(rows, refused, decode), source, port, group)


def _json_table(rows: list[tuple[int, dict[str, Any]]], refused: _Refused, decode: Callable[[str], bytes]) -> pa.Table:
    payloads, kept = [], []
    for number, row in rows:
        try:
            payloads.append(bytes.fromhex(row["hex"]) if "hex" in row else decode(row["payload"]))
            kept.append(row)
        except (ValueError, binascii.Error):
            refused.add(number, "the payload is neither hexadecimal nor Base64")
    refused.close(len(kept))
    columns = {key: _column(key, [row.get(key) for row in kept]) for key in _KEYS}
    for key, column in columns.items():
        unread = column.null_count - sum(row.get(key) is None for row in kept)
        if unread:
            refused.source.warnings.append(f"{unread} values of '{key}' are of another kind: they were left out")
    return pa.table({"payload": pa.array(payloads, pa.large_binary()), **columns})


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("hex", row.get("payload")), str):
        return None
    return row


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _number(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if usable else None


def _column(key: str, values: list[Any]) -> pa.Array:
    if key == "ts":
        return pa.array([_number(value) for value in values], pa.float64())
    if key in ("sport", "dport"):
        ports = [_number(value) for value in values]
        return pa.array([int(p) if p is not None and 0 <= p < 65536 else None for p in ports], pa.int32())
    return pa.array([str(value) if isinstance(value, (str, int)) else None for value in values], pa.string())
