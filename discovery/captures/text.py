"""Messages as text: lines of hexadecimal digits, and JSON lines."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from ..errors import InputError
from .capture import Counters, ProtocolGroup
from .grouping import Grouping
from .limits import CaptureLimits
from .source import Source
from .tables import group_table

_HEX = re.compile(r"(?:[0-9a-f]{2})*\Z", re.ASCII | re.IGNORECASE)
_SEPARATORS = re.compile(r"0x|[\s:;,._-]", re.ASCII | re.IGNORECASE)
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


class _Refused:
    """Counts the lines that could not be read and names the first few."""

    def __init__(self, source: Source, limits: CaptureLimits) -> None:
        self.source, self.most, self.count = source, limits.warnings, 0

    def add(self, number: int, why: str) -> None:
        """Note a line."""
        self.count += 1
        if self.count <= self.most:
            self.source.warnings.append(f"line {number} was left out: {why}")

    def close(self, kept: int) -> None:
        """Sum up; raise InputError if nothing was kept."""
        if not kept:
            first = f": {self.source.warnings[-1]}" if self.count else ""
            raise InputError(f"no line holds a message{first}", where=self.source.name)
        if self.count > self.most:
            self.source.warnings.append(f"{self.count} lines in all were left out")


def read_hex_lines(source: Source, port: int | None, group: Grouping | None, limits: CaptureLimits) -> Groups:
    """
    Read one message a line: hexadecimal digits, with spaces, colons or ``0x`` between them; ``#`` starts a comment.

    Raises:
        InputError: no line holds a message.
    """
    payloads: list[bytes] = []
    refused = _Refused(source, limits)
    for number, text in _lines(source, limits):
        digits = _SEPARATORS.sub("", text.split("#", 1)[0])
        if not digits:
            continue
        if _HEX.match(digits):
            payloads.append(bytes.fromhex(digits))
        else:
            refused.add(number, "not pairs of hexadecimal digits")
    refused.close(len(payloads))
    return group_table(pa.table({"payload": pa.array(payloads, pa.large_binary())}), source, port, group)


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
    hexadecimal = not part and all(_HEX.match(row["payload"]) for _, row in rows if "hex" not in row)
    decode = bytes.fromhex if hexadecimal else _base64
    return group_table(_json_table(rows, refused, decode), source, port, group)


def _json_table(
    rows: list[tuple[int, dict[str, Any]]], refused: _Refused, decode: Callable[[str], bytes]
) -> pa.Table:
    payloads, kept = [], []
    for number, row in rows:
        try:
            payloads.append(bytes.fromhex(row["hex"]) if "hex" in row else decode(row["payload"]))
            kept.append(row)
        except (ValueError, binascii.Error):
            refused.add(number, "the payload is neither hexadecimal nor Base64")
    refused.close(len(kept))
    columns = {key: _column(key, [row.get(key) for row in kept]) for key in _KEYS}
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
