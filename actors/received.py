"""
Messages that are received: pcap over TCP, framed messages over TCP, datagrams, and JSON lines on standard input.

A thread reads into a queue of bounded length. TCP and pipes wait while it is full, so that their senders do; datagrams
cannot wait, and those that find it full are counted as dropped. What was received is added at most once: what is
not acknowledged when the process ends is lost.
"""

from __future__ import annotations

import queue
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from ..discovery.batch import MessageBatch
from ..discovery.capture_set import Asked
from ..discovery.captures.headers import decode
from ..discovery.captures.packed import Packed
from ..discovery.captures.packets import COMPLETE, CUT_HEADER, CUT_PACKET, MAGICS, REASONS, TOO_MANY, PcapWalk
from ..discovery.captures.source import Source
from ..discovery.captures.text import read_json_lines
from ..discovery.errors import InputError
from ..discovery.live import LiveEdge, Step
from ..discovery.orchestrator import Known
from .ingest import BATCH_BYTES, Keyed, cut

QUEUE = 64
"""Pieces of up to 64 KiB that wait in the queue."""
CHUNK = 1 << 16
MOST_FRAME = 1 << 24
SCHEMES = ("pcap+tcp", "frames+tcp", "udp")
_LATEST_S = 0.5  # a message is sent on so long after it came, at the latest


class Received:
    """
    Receives messages from a URI: ``pcap+tcp://host:port``, ``frames+tcp://host:port`` (each message behind its length,
    four bytes, big-endian), ``udp://host:port`` (listens), or ``-`` (JSON lines on standard input).

    Args:
        stop: ends it, with all whole messages given.

    Attributes:
        dropped: datagrams that found the queue full, and lines that are no messages. warnings: what was damaged.

    Raises:
        InputError: nobody answers there, or the address cannot be listened on.
    """

    def __init__(self, source: str, asked: Asked, stop: Event) -> None:
        self._source, self._stop, self._asked = source, stop, asked
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE)
        self.dropped, self.warnings = 0, list[str]()
        scheme = "lines" if source == "-" else urlsplit(source).scheme
        self._capture = sha256(f"{source} {secrets.token_hex(16)}".encode()).hexdigest()
        kinds = {"lines": _Lines, "pcap+tcp": _Packets, "frames+tcp": _Frames, "udp": _Datagrams}
        self._kind: Any = kinds[scheme](asked, source)
        self._from: Any = sys.stdin.buffer if source == "-" else _opened(source, scheme)
        Thread(target=self._receive, args=(scheme,), name="receiver", daemon=True).start()

    @property
    def known(self) -> Known | None:
        """The protocol, as soon as messages of it came."""
        known: Known | None = self._kind.known
        return known

    def batches(self) -> Iterator[Keyed | None]:
        """
        Yield batches as they are complete, and None where what was yielded shall become durable.

        Raises:
            InputError: what comes is not what the URI says.
        """
        number, ended = 0, False
        while not ended:
            pieces, ended = self._pieces()
            batch = self._kind.take(pieces, ended)
            self.dropped += self._kind.refused
            self._kind.refused = 0
            made = int(time.time() * 1000)
            for start, rows in cut(batch):
                yield Keyed(f"live/{self._capture[:32]}/{number}/{start}", self._capture, rows, made)
            number += 1
            if len(batch):
                yield None

    def _pieces(self) -> tuple[list[bytes], bool]:
        """Return what came within a while, and whether it was the last."""
        pieces, size, until = list[bytes](), 0, time.monotonic() + _LATEST_S
        while size < BATCH_BYTES and (left := until - time.monotonic()) > 0:
            try:
                piece = self._queue.get(timeout=min(left, 0.1))
            except queue.Empty:
                if self._stop.is_set():
                    return pieces, True
                continue
            if piece is None:
                return pieces, True
            pieces.append(piece)
            size += len(piece)
        return pieces, False

    def _receive(self, scheme: str) -> None:
        try:
            while not self._stop.is_set() and (piece := self._one()):
                self._offer(piece, waits=scheme != "udp")
        except OSError as error:
            self.warnings.append(f"{self._source}: {error.strerror or error}")
        self._offer(None, waits=True)

    def _one(self) -> bytes:
        if self._source == "-":
            text: bytes = self._from.read1(CHUNK)
            return text
        while not self._stop.is_set():
            try:
                piece: bytes = self._from.recv(CHUNK)
                return piece
            except TimeoutError:
                continue
        return b""

    def _offer(self, piece: bytes | None, *, waits: bool) -> None:
        while True:
            try:
                self._queue.put(piece, timeout=0.1 if waits else 0)
                return
            except queue.Full:
                if not waits:
                    self.dropped += 1
                    return
                if self._stop.is_set() and piece is None:
                    return


def _opened(source: str, scheme: str) -> socket.socket:
    parts = urlsplit(source)
    try:
        host, port = parts.hostname or "127.0.0.1", parts.port
        if port is None:
            raise InputError("a port is missing", where=source, hint=f"{scheme}://host:port")
        if scheme == "udp":
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((host, port))
        else:
            opened = socket.create_connection((host, port), timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be opened: {error}", where=source) from error
    opened.settimeout(0.25)
    return opened


def _arrived(payloads: list[bytes], first: int) -> MessageBatch:
    """Return messages that came now, numbered in their order."""
    now, numbers = [time.time()] * len(payloads), range(first, first + len(payloads))
    return MessageBatch.from_payloads(payloads, ts=now, number=numbers)


class _Datagrams:
    """Each piece is a message."""

    def __init__(self, asked: Asked, source: str) -> None:
        self.known, self.refused, self._count = Known(asked.only or "messages"), 0, 0

    def take(self, pieces: list[bytes], ended: bool) -> MessageBatch:
        """Return the messages of pieces."""
        self._count += len(pieces)
        return _arrived(pieces, self._count - len(pieces))


class _Frames:
    """Messages behind their lengths."""

    def __init__(self, asked: Asked, source: str) -> None:
        self.known, self.refused = Known(asked.only or "messages"), 0
        self._source, self._count, self._rest = source, 0, b""

    def take(self, pieces: list[bytes], ended: bool) -> MessageBatch:
        """Return the messages that are whole; one that the end cuts is counted as refused."""
        data, at, payloads = b"".join((self._rest, *pieces)), 0, list[bytes]()
        while at + 4 <= len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            if size > MOST_FRAME:
                raise InputError(f"a message of {size} bytes, at most {MOST_FRAME} are read", where=self._source)
            if at + 4 + size > len(data):
                break
            payloads.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        self._rest = data[at:]
        self.refused += bool(ended and self._rest)
        self._count += len(payloads)
        return _arrived(payloads, self._count - len(payloads))


class _Lines:
    """JSON lines, whose ``payload`` is Base64 (or ``hex``)."""

    def __init__(self, asked: Asked, source: str) -> None:
        self.known, self.refused = Known(asked.only or "messages"), 0
        self._asked, self._count, self._rest = asked, 0, b""

    def take(self, pieces: list[bytes], ended: bool) -> MessageBatch:
        """Return the messages of whole lines; lines that hold none are counted as refused."""
        text, mark, rest = b"".join((self._rest, *pieces)).rpartition(b"\n")
        self._rest = b"" if ended else rest
        text += mark + (rest if ended else b"")
        lines = sum(bool(line.strip()) for line in text.splitlines())
        if len(self._rest) > MOST_FRAME:
            raise InputError(f"a line of more than {MOST_FRAME} bytes", where="standard input")
        if not lines:
            return MessageBatch.from_payloads([])
        try:
            groups, _ = read_json_lines(Source("-", text, ""), self._asked.port, None, self._asked.limits, part=True)
        except InputError:
            self.refused += lines
            return MessageBatch.from_payloads([])
        batch = groups[0].batch if groups else MessageBatch.from_payloads([])
        self.refused += lines - len(batch) if self._asked.port is None else 0
        numbers = pa.array(np.arange(self._count, self._count + len(batch)))
        self._count += len(batch)
        column = batch.table.schema.get_field_index("number")
        return MessageBatch(batch.table.set_column(column, "number", numbers))


class _Packets:
    """A pcap file that is sent."""

    def __init__(self, asked: Asked, source: str) -> None:
        self._asked, self._source = asked, source
        self._edge, self._walk, self._data, self._count = LiveEdge(asked), PcapWalk(), b"", 0
        self.refused = 0

    @property
    def known(self) -> Known | None:
        """The protocol, as soon as packets of it came."""
        return self._edge.known

    def take(self, pieces: list[bytes], ended: bool) -> MessageBatch:
        """Return the messages that are whole."""
        self._data += b"".join(pieces)
        packed = Packed.concatenate([])
        if len(self._data) >= 24:
            packed = self._walked()
        step = Step.PAUSE if ended or not pieces else Step.GO_ON
        return self._edge.take(packed, step).get(0, MessageBatch.from_payloads([]))

    def _walked(self) -> Packed:
        if self._data[:4] not in MAGICS:
            raise InputError("what comes is no pcap", where=self._source)
        data = np.frombuffer(self._data, np.uint8)
        index = self._walk.next(data, self._asked.limits, self._asked.limits.packets)
        if self._walk.reason not in (COMPLETE, TOO_MANY, CUT_HEADER, CUT_PACKET):
            raise InputError(REASONS[self._walk.reason], where=self._source)
        packed = Packed.of(data, decode(data, index), index, 0, self._count)
        self._count += len(index)
        self._data = self._data[:24] + self._data[self._walk.at :]
        self._walk.at = 24
        return packed
