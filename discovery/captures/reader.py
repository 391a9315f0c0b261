"""read_capture: from a path or bytes to protocol groups."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .assembly import Assembled, assemble
from .capture import Capture, Counters
from .grouping import Grouping
from .headers import DAMAGED, ENCRYPTED, FRAGMENT_LOST, IGNORED, IN_PARTS, NO_DATA, PACKET, TCP, Packets, decode
from .limits import DEFAULT_LIMITS, CaptureLimits
from .packets import MAGICS
from .rows import read_table
from .source import Source, open_source
from .text import HEAD, read_hex_lines, read_json_lines, text_format
from .walk import walk_packets

FORMATS = ("pcap", "pcapng", "hex", "jsonl", "parquet", "arrow")
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
PIECE = 1 << 20
"""Packets that are decoded at once."""
REASONS = 8
_REASONS = {
    DAMAGED: "packets have a header that is cut or damaged",
    NO_DATA: "frames carry no data that is read (radio management, unknown families)",
    ENCRYPTED: "radio frames are encrypted",
    IN_PARTS: "radio frames are fragments or hold several (A-MSDU): they are not taken apart",
    FRAGMENT_LOST: "IP fragments belong to datagrams of which a part is missing",
}


def read_capture(
    source: str | PathLike[str] | bytes,
    *,
    port: int | None = None,
    group: Grouping | bool | None = None,
    limits: CaptureLimits = DEFAULT_LIMITS,
    format: str | None = None,  # noqa: A002 - the word users know
) -> Capture:
    """
    Read a capture, a table or lines of messages.

    Args:
        source: a path or the content: pcap, pcapng, lines of hexadecimal digits, JSON lines, Parquet, or an Arrow
            stream or file; gzip or zstd around it is taken off.
        port: keep only UDP and TCP flows with this port, and take it for the service's.
        group: ``port`` (one protocol per service port, EtherType or IP protocol; the default for packets) or
            ``transport`` (one for all of UDP, one for all of TCP). The rows of tables and lines are the messages of
            one protocol and are regrouped (and TCP rows joined to streams) only if this is given. True means ``port``.
        format: one of ``FORMATS``; found from the content if None.

    Returns:
        The capture; what was damaged or left out is in its warnings and counters.

    Raises:
        InputError: the input is missing, empty, or of no known format.
        LimitError: it is larger than the limits.
    """
    opened = open_source(source, limits)
    form = format or detect_format(opened)
    _check_format(opened, form)
    by: Grouping | None = "port" if group is True else group or None
    if form in ("pcap", "pcapng"):
        return _read_packets(opened, form, port, by or "port", limits)
    readers = {"hex": read_hex_lines, "jsonl": read_json_lines, "parquet": read_table, "arrow": read_table}
    groups, counters = readers[form](opened, port, by, limits)
    return Capture(opened.name, opened.sha256, form, groups, counters, opened.warnings)


def _check_format(source: Source, form: str) -> None:
    if form not in FORMATS:
        raise InputError(f"unknown format '{form}'", where=source.name, hint=f"one of {', '.join(FORMATS)}")
    magics = {"pcap": tuple(MAGICS), "pcapng": (PCAPNG_MAGIC,), "parquet": (b"PAR1",)}
    if form in magics and source.head(4) not in magics[form]:
        raise InputError(f"no {form} file: it starts with {source.head(4).hex(' ')}", where=source.name)


def detect_format(source: Source) -> str:
    """
    Return the format of an opened input.

    Raises:
        InputError: it looks like none that is known.
    """
    head = source.head(HEAD)
    if head[:4] in MAGICS:
        return "pcap"
    if head[:4] == PCAPNG_MAGIC:
        return "pcapng"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:6] == b"ARROW1" or head[:4] == b"\xff\xff\xff\xff":
        return "arrow"
    form = text_format(head, source.name)
    if form:
        return form
    hint = "pcap, pcapng, hex lines, JSON lines, Parquet and Arrow are read, each also as gzip or zstd"
    raise InputError(f"no known format: it starts with {head[:8].hex(' ')}", where=source.name, hint=hint)


@dataclass
class _Decoded:
    """
    The packets of a file that carry something, and an account of all.

    Attributes:
        packets: ``PACKET`` records; time: int64 nanoseconds; number: int64, their places in the file.
        count, truncated: all packets, and those that were captured in part. dropped: int64, the others by reason.
    """

    packets: Packets
    time: NDArray[np.int64]
    number: NDArray[np.int64]
    count: int
    truncated: int
    dropped: NDArray[np.int64]
    warnings: list[str]


def _decode_file(source: Source, form: str, limits: CaptureLimits) -> _Decoded:
    """Decode a piece at a time: what carries nothing, of which a small archive may hold any number, takes no memory."""
    data, count, truncated, warnings = source.array(), 0, 0, list[str]()
    kept: list[tuple[Packets, NDArray[np.int64], NDArray[np.int64]]] = []
    dropped = np.zeros(REASONS, np.int64)
    for index in walk_packets(source, form, limits, PIECE):
        packets = decode(data, index)
        carry = packets["kind"] != IGNORED
        rows = np.flatnonzero(carry)
        whole = len(rows) == len(packets)
        kept.append((packets if whole else packets[rows], index.time if whole else index.time[rows], count + rows))
        dropped += np.bincount(packets["number"][~carry], minlength=REASONS)
        count += len(index)
        truncated += int((index.wire > index.captured).sum())
        warnings += index.warnings
    packets, time, number = kept[0] if len(kept) == 1 else map(np.concatenate, zip(*kept, strict=True))
    return _Decoded(packets.view(PACKET), time, number, count, truncated, dropped, warnings)


def _read_packets(source: Source, form: str, port: int | None, by: Grouping, limits: CaptureLimits) -> Capture:
    read = _decode_file(source, form, limits)
    found = assemble(source.array(), read.packets, read.time, port, by, limits, number=read.number)
    counters = _account(read, found)
    warnings = [*source.warnings, *read.warnings, *_warn(read, counters)]
    return Capture(source.name, source.sha256, form, found.groups, counters, warnings)


def _account(read: _Decoded, found: Assembled) -> Counters:
    payloads, packets = sum(group.packets for group in found.groups), read.packets
    fragments, reassembly = found.fragments, found.reassembly
    cut = (packets["wire"] > packets["stop"]) & (packets["kind"] != IGNORED)
    datagrams = cut & (packets["kind"] != TCP)
    lost = int((packets["wire"] - packets["stop"])[datagrams].sum())
    lost += int(reassembly.pieces["gap"].sum() + reassembly.tail_gap.sum())
    return Counters(
        packets=read.count,
        payloads=payloads,
        ignored=read.count - payloads - found.filtered,
        truncated=read.truncated,
        fragments=fragments.count,
        fragments_lost=fragments.lost,
        lost_bytes=lost,
        duplicate_bytes=reassembly.duplicate_bytes,
        early_bytes=reassembly.early_bytes,
        filtered=found.filtered,
    )


def _warn(read: _Decoded, counters: Counters) -> list[str]:
    late = read.packets["number"][read.packets["kind"] == IGNORED]
    reasons = read.dropped + np.bincount(late, minlength=REASONS)
    warnings = [f"{reasons[reason]} {text}" for reason, text in _REASONS.items() if reasons[reason]]
    if counters.truncated:
        warnings.append(f"{counters.truncated} packets were captured in part only (snap length)")
    if counters.lost_bytes:
        warnings.append(f"{counters.lost_bytes} payload bytes were sent but are not in the capture")
    if counters.early_bytes:
        warnings.append(f"{counters.early_bytes} bytes from before the first packet of a TCP stream were left out")
    if not counters.packets:
        warnings.append("the capture holds no packets")
    return warnings
