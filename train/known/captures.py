"""A training set from captures that somebody labelled: tshark, a comment in the file, or the folder it lies in."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from ...discovery.batch import DIRECTION_NAMES, packet_and_part
from ...discovery.captured import protocols_in
from ...discovery.captures import read_capture
from ...discovery.classifier.model import PROTOCOL_NAME
from ...discovery.errors import InputError
from .dissected import Dissected, Wanted, dissect

MOST_COMMENT = 4096


@dataclass(frozen=True)
class Built:
    """Messages written of each protocol, and what was left out and why."""

    messages: dict[str, int]
    warnings: tuple[str, ...]


Row = dict[str, object]
Rows = dict[str, list[Row]]

_COLUMNS = {
    "protocol": pa.string(),
    "source_pcap": pa.string(),
    "direction": pa.string(),
    "payload": pa.large_binary(),
}
_DISSECTED = {
    "ts": pa.float64(),
    "stream": pa.string(),
    "field_offsets": pa.list_(pa.int32()),
    "field_names": pa.list_(pa.string()),
    "field_starts": pa.list_(pa.int32()),
    "field_lengths": pa.list_(pa.int32()),
    "msg_type": pa.string(),
    "is_dup": pa.bool_(),
    "reassembled": pa.bool_(),
}


def build_corpus(captures: Sequence[Path], folder: Path, by: str) -> Built:
    """
    Write the messages of captures, one Parquet file a protocol: protocol, source_pcap, direction, payload.

    Messages are those that discovery would read. With tshark, a message has the innermost protocol that tshark names
    for it, and further columns: ts (seconds), stream, field_offsets (where fields begin and end inside the message),
    field_names, field_starts, field_lengths, msg_type, is_dup (the payload came before) and reassembled; messages of no
    named protocol are left out.

    Args:
        by: ``tshark``, ``comment`` (of the pcapng section: ``protocol=NAME``, or one word) or ``folder``.

    Raises:
        FileNotFoundError: tshark is asked for and not installed.
        InputError: a capture cannot be read, tshark takes too long, or nothing has a label.
    """
    rows: Rows = defaultdict(list)
    warnings: list[str] = []
    for path in captures:
        found = _labelled(path, by, rows)
        if not found:
            warnings.append(f"{path}: no message has a label")
    if not rows:
        raise InputError("no labelled messages", hint="label by tshark, by a pcapng comment or by folder")
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema((_COLUMNS | _DISSECTED) if by == "tshark" else _COLUMNS)
    for name, said in sorted(rows.items()):
        table = pa.Table.from_pylist([{"protocol": name, **row} for row in said], schema)
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    return Built({name: len(said) for name, said in sorted(rows.items())}, tuple(warnings))


def _labelled(path: Path, by: str, rows: Rows) -> int:
    """Add the messages of one capture; return how many had a label."""
    whole = {"comment": comment_label, "folder": folder_label}[by](path) if by != "tshark" else None
    if by != "tshark" and whole is None:
        return 0
    source = f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    messages = [
        {
            "source_pcap": source,
            "direction": DIRECTION_NAMES[int(view.direction[row])],
            "payload": payload,
            "number": int(view.number[row]),
            "ts": float(view.ts[row]),
            "stream": f"{int(view.flow[row]):016x}",
        }
        for group in protocols_in([read_capture(path)])
        for view in [group.messages.view()]
        for row, payload in enumerate(group.messages.payloads())
        if payload
    ]
    if whole is not None:
        rows[whole].extend(messages)
        return len(messages)
    return _dissected(path, messages, rows)


def _dissected(path: Path, messages: list[Row], rows: Rows) -> int:
    """Add the messages that tshark names, in their order; return how many they are."""
    wanted: dict[int, list[Wanted]] = defaultdict(list)
    for place, message in enumerate(messages):
        frame, part = packet_and_part(cast(int, message["number"]))
        wanted[frame + 1].append(Wanted(place, cast(bytes, message["payload"]), frame + 1, part))
    found = dict(dissect(path, wanted))
    count, seen = 0, {(name, row["payload"]) for name, said in rows.items() for row in said}
    for place in sorted(found):
        told, payload = found[place], cast(bytes, messages[place]["payload"])
        name = _name(told.protocol)
        if name is not None:
            more = _columns_of(told, len(payload)) | {"is_dup": (name, payload) in seen}
            rows[name].append(messages[place] | more)
            seen.add((name, payload))
            count += 1
    return count


def _columns_of(told: Dissected, length: int) -> Row:
    return {
        "field_offsets": told.boundaries(length),
        "field_names": [leaf.name for leaf in told.leaves],
        "field_starts": [leaf.start for leaf in told.leaves],
        "field_lengths": [leaf.length for leaf in told.leaves],
        "msg_type": told.msg_type,
        "reassembled": told.reassembled,
    }


def _name(text: str) -> str | None:
    name = re.sub(r"[^a-z0-9_.-]", "_", text.strip().lower())
    return name if PROTOCOL_NAME.fullmatch(name) else None


def folder_label(path: Path) -> str | None:
    """Return the label that the name of the capture's folder is."""
    return _name(path.resolve().parent.name)


def comment_label(path: Path) -> str | None:
    """Return the label in the section's comment of a pcapng file (option 1, draft-ietf-opsawg-pcapng §4.1), if any."""
    with path.open("rb") as opened:
        head = opened.read(28)
        if head[:4] != b"\x0a\x0d\x0d\x0a" or len(head) < 28:
            return None
        order = "little" if head[8:12] == b"\x4d\x3c\x2b\x1a" else "big"
        size = min(int.from_bytes(head[4:8], order), MOST_COMMENT)  # type: ignore[arg-type]
        options = head[24:] + opened.read(max(size - 32, 0))
    found: Counter[str] = Counter()
    at = 0
    while at + 4 <= len(options):
        code, length = (int.from_bytes(options[at + k : at + k + 2], order) for k in (0, 2))  # type: ignore[arg-type]
        if code == 0:
            break
        if code == 1:
            text = options[at + 4 : at + 4 + length].decode("utf-8", "replace").strip()
            label = _name(text.partition("protocol=")[2].split()[0] if "protocol=" in text else text)
            if label:
                found[label] += 1
        at += 4 + (length + 3 & ~3)
    return next(iter(found), None)
