"""read_capture: from a path or bytes to protocol groups."""

from __future__ import annotations

from os import PathLike

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .assembly import Assembled, assemble
from .capture import Capture, Counters
from .grouping import Grouping
from .headers import DAMAGED, ENCRYPTED, FRAGMENT_LOST, IGNORED, IN_PARTS, NO_DATA, TCP, Packets, decode
from .limits import DEFAULT_LIMITS, CaptureLimits
from .packets import MAGICS, PacketIndex
from .source import Source, open_source
from .tables import read_table
from .text import HEAD, read_hex_lines, read_json_lines, text_format
from .walk import index_packets

FORMATS = ("pcap", "pcapng", "hex", "jsonl", "parquet", "arrow")
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
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


def _read_packets(source: Source, form: str, port: int | None, by: Grouping, limits: CaptureLimits) -> Capture:
    data = source.array()
    index = index_packets(source, form, limits)
    packets = decode(data, index)
    found = assemble(data, packets, index.time, port, by, limits)
    counters = _account(index, packets, found)
    warnings = [*source.warnings, *index.warnings, *_warn(packets, counters)]
    return Capture(source.name, source.sha256, form, found.groups, counters, warnings)


def _account(index: PacketIndex, packets: Packets, found: Assembled) -> Counters:
    payloads = sum(group.packets for group in found.groups)
    fragments, reassembly = found.fragments, found.reassembly
    cut = (packets["wire"] > packets["stop"]) & (packets["kind"] != IGNORED)
    datagrams = cut & (packets["kind"] != TCP)
    lost = int((packets["wire"] - packets["stop"])[datagrams].sum())
    lost += int(reassembly.pieces["gap"].sum() + reassembly.tail_gap.sum())
    return Counters(
        packets=len(index),
        payloads=payloads,
        ignored=len(index) - payloads - found.filtered,
        truncated=int((index.wire > index.captured).sum()),
        fragments=fragments.count,
        fragments_lost=fragments.lost,
        lost_bytes=lost,
        duplicate_bytes=reassembly.duplicate_bytes,
        early_bytes=reassembly.early_bytes,
        filtered=found.filtered,
    )


def _warn(packets: Packets, counters: Counters) -> list[str]:
    reasons: NDArray[np.int64] = np.bincount(packets["number"][packets["kind"] == IGNORED], minlength=8)
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
