"""A training set from captures that somebody labelled: tshark, a comment in the file, or the folder it lies in."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...discovery.batch import DIRECTION_NAMES, MessageBatch, packet_and_part
from ...discovery.captured import protocols_in
from ...discovery.captures import read_capture
from ...discovery.classifier.model import PROTOCOL_NAME
from ...discovery.errors import InputError

CARRIERS = {
    "",
    "arp_frame",
    "bootp",
    "data",
    "eth",
    "ethertype",
    "frame",
    "ip",
    "ipv6",
    "llc",
    "malformed",
    "media",
    "pkix1explicit",
    "pkix1implicit",
    "raw",
    "sll",
    "tcp",
    "tcp.segments",
    "tpkt",
    "udp",
    "vlan",
    "x509ce",
    "x509sat",
}
MOST_COMMENT = 4096
TIMEOUT = 600.0


@dataclass(frozen=True)
class Built:
    """Messages written of each protocol, and what was left out and why."""

    messages: dict[str, int]
    warnings: tuple[str, ...]


Rows = dict[str, list[tuple[str, str, bytes]]]


def build_corpus(captures: Sequence[Path], folder: Path, by: str) -> Built:
    """
    Write the messages of captures, one Parquet file a protocol: protocol, source_pcap, direction, payload.

    Messages are those that discovery would read. With tshark, a message has the innermost protocol that tshark names in
    the packet that it begins in; packets of no named protocol are left out.

    Args:
        by: ``tshark``, ``comment`` (of the pcapng section: ``protocol=NAME``, or one word) or ``folder``.

    Raises:
        FileNotFoundError: tshark is asked for and not installed.
        InputError: a capture cannot be read, or nothing in it has a label.
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
    for name, said in sorted(rows.items()):
        columns = zip(*said, strict=True)
        source, side, payload = (list(column) for column in columns)
        table = pa.table(
            {
                "protocol": [name] * len(said),
                "source_pcap": source,
                "direction": side,
                "payload": pa.array(payload, pa.large_binary()),
            }
        )
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    return Built({name: len(said) for name, said in sorted(rows.items())}, tuple(warnings))


def _labelled(path: Path, by: str, rows: Rows) -> int:
    """Add the messages of one capture; return how many had a label."""
    named = by_tshark(path) if by == "tshark" else {}
    whole = {"comment": comment_label, "folder": folder_label}[by](path) if by != "tshark" else None
    source = f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    count = 0
    for group in protocols_in([read_capture(path)]):
        view, payloads = group.messages.view(), _payloads(group.messages)
        for row, payload in enumerate(payloads):
            label = whole or named.get(packet_and_part(int(view.number[row]))[0] + 1)
            if label and payload:
                rows[label].append((source, DIRECTION_NAMES[int(view.direction[row])], payload))
                count += 1
    return count


def _payloads(batch: MessageBatch) -> list[bytes]:
    return batch.payloads()


def by_tshark(path: Path) -> dict[int, str]:
    """
    Return frame number → innermost protocol that tshark names, decoys of the lower layers left out.

    Raises:
        FileNotFoundError: tshark is not installed. InputError: it cannot read the file.
    """
    program = shutil.which("tshark")
    if program is None:
        raise FileNotFoundError(2, "not installed", "tshark")
    command = [
        program,
        "-n",
        "-r",
        str(path),
        "-T",
        "fields",
        "-E",
        "separator=\t",
        "-e",
        "frame.number",
        "-e",
        "frame.protocols",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode and not done.stdout:
        said = done.stderr.strip().splitlines()
        raise InputError(said[-1] if said else "tshark cannot read it", where=str(path))
    found = {}
    for number, protocols in csv.reader(io.StringIO(done.stdout), delimiter="\t"):
        inner = [p for p in protocols.split(":") if p.lower() not in CARRIERS]
        name = _name(inner[0]) if inner else None
        if name:
            found[int(number)] = name
    return found


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
