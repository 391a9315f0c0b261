"""Flows: which packets belong together, who is the client, and which port is the service's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from .headers import IGNORED, TCP, UDP, Packets

SYN, ACK = 2, 16
KEYS = (np.uint64(0x51B17E1F10A5C0DE), np.uint64(0x2B7E151628AED2A6))
"""The key of the flow hash: fixed, so that equal captures give equal flows everywhere."""
HEAD = 1 << 18
"""Packets from the start of a capture that say how much the ports are used: bounded, so that parts can be told it."""
Usage = NDArray[np.int64]
"""Flows by transport (UDP, TCP) and port."""


@dataclass(frozen=True)
class Flows:
    """
    The flows of a capture, in order of their first packet.

    Attributes:
        of: int64, flow of each packet, -1 for ignored ones; side: int8, of each packet: which endpoint sent it (0, 1).
        hash: uint64, keyed hash of the normalised endpoints, the transport and the count of port reuses.
        first: int64, row of the first packet; client: int8, the client's side.
        service: int32, the server's port, -1 where there are no ports.
    """

    of: NDArray[np.int64]
    side: NDArray[np.int8]
    hash: NDArray[np.uint64]
    first: NDArray[np.int64]
    client: NDArray[np.int8]
    service: NDArray[np.int32]

    def direction(self) -> NDArray[np.int8]:
        """Return the direction of each packet."""
        client = self.client[np.maximum(self.of, 0)] if len(self.client) else self.side
        return np.where(self.side == client, CLIENT_TO_SERVER, SERVER_TO_CLIENT).astype(np.int8)


@njit(cache=True, nogil=True)
def _rotate(word, bits):  # type: ignore[no-untyped-def]
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@njit(cache=True, nogil=True)
def _round(v):  # type: ignore[no-untyped-def]
    v[0] += v[1]
    v[1] = _rotate(v[1], 13) ^ v[0]
    v[0] = _rotate(v[0], 32)
    v[2] += v[3]
    v[3] = _rotate(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = _rotate(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = _rotate(v[1], 17) ^ v[2]
    v[2] = _rotate(v[2], 32)


@njit(cache=True, nogil=True)
def _siphash(words, v):  # type: ignore[no-untyped-def]
    """SipHash-2-4 (Aumasson and Bernstein, 2012) of whole 64-bit words; ``v`` is scratch."""
    v[0] = KEYS[0] ^ np.uint64(0x736F6D6570736575)
    v[1] = KEYS[1] ^ np.uint64(0x646F72616E646F6D)
    v[2] = KEYS[0] ^ np.uint64(0x6C7967656E657261)
    v[3] = KEYS[1] ^ np.uint64(0x7465646279746573)
    for word in words:
        v[3] ^= word
        _round(v)
        _round(v)
        v[0] ^= word
    last = np.uint64(len(words) * 8) << np.uint64(56)
    v[3] ^= last
    _round(v)
    _round(v)
    v[0] ^= last
    v[2] ^= np.uint64(0xFF)
    for _ in range(4):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@njit(cache=True, nogil=True)
def _sender_is_higher(p):  # type: ignore[no-untyped-def]
    if p.src0 != p.dst0:
        return p.src0 > p.dst0
    return p.src1 > p.dst1 if p.src1 != p.dst1 else p.sport > p.dport


@njit(cache=True, nogil=True)
def _carrier(p):  # type: ignore[no-untyped-def]
    """Return one number for what carries the payload: kind, width of the addresses, and protocol number."""
    number = 0 if p.kind == TCP or p.kind == UDP else p.number
    return (np.int64(p.kind) << 40) | (np.int64(p.width) << 32) | np.int64(number)


@njit(cache=True, nogil=True)
def _endpoints(p, words):  # type: ignore[no-untyped-def]
    """Write the endpoints in ascending order and what carries them; return the side of the sender."""
    side = 1 if _sender_is_higher(p) else 0
    low, high = (p.dport, p.sport) if side else (p.sport, p.dport)
    words[0], words[1] = (p.dst0, p.dst1) if side else (p.src0, p.src1)
    words[2], words[3] = (p.src0, p.src1) if side else (p.dst0, p.dst1)
    words[4] = np.uint64(((low & 0xFFFF) << 16) | (high & 0xFFFF))
    words[5] = np.uint64(_carrier(p))
    return side


@njit(cache=True, nogil=True)
def _same_way(a, b):  # type: ignore[no-untyped-def]
    """Whether two packets went from the same endpoint to the same endpoint."""
    same = a.src0 == b.src0 and a.src1 == b.src1 and a.sport == b.sport
    return same and a.dst0 == b.dst0 and a.dst1 == b.dst1 and a.dport == b.dport


@njit(cache=True, nogil=True)
def _other_way(a, b):  # type: ignore[no-untyped-def]
    """Whether two packets went between the same endpoints in opposite directions."""
    same = a.src0 == b.dst0 and a.src1 == b.dst1 and a.sport == b.dport
    return same and a.dst0 == b.src0 and a.dst1 == b.src1 and a.dport == b.sport


@njit(cache=True, nogil=True)
def _same(a, b, side_a, side_b):  # type: ignore[no-untyped-def]
    """Whether two packets have the same normalised endpoints."""
    if _carrier(a) != _carrier(b):
        return False
    return _same_way(a, b) if side_a == side_b else _other_way(a, b)


@njit(cache=True, nogil=True)
def _learn_base(p, side, flow, base, known):  # type: ignore[no-untyped-def]
    """Note the initial sequence number of the sender, and of the other side from what the sender acknowledges."""
    if not known[flow, side]:
        known[flow, side], base[flow, side] = True, p.seq if p.control & SYN else p.seq - np.uint32(1)
    if p.control & ACK and not known[flow, 1 - side]:
        known[flow, 1 - side], base[flow, 1 - side] = True, p.ack - np.uint32(1)


@njit(cache=True, nogil=True)
def _reused(p, side, flow, base, known):  # type: ignore[no-untyped-def]
    """Whether a SYN starts a new connection on old endpoints: this side began with another sequence number."""
    return p.control & SYN != 0 and known[flow, side] and base[flow, side] != p.seq


@njit(cache=True, nogil=True)
def _find_slot(packets, row, side, sides, digest, table, first):  # type: ignore[no-untyped-def]
    """Return the slot of these endpoints in the hash table: theirs, or an empty one."""
    mask = np.uint64(len(table) - 1)
    slot = digest & mask
    while table[slot] >= 0:
        other = first[table[slot]]
        if _same(packets[row], packets[other], side, sides[other]):
            break
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _learn(p, side, flow, opener, base, known):  # type: ignore[no-untyped-def]
    """Note what a TCP packet tells about its flow: initial sequence numbers and who opened it."""
    _learn_base(p, side, flow, base, known)
    if p.control & SYN and opener[flow] < 0:
        opener[flow] = 1 - side if p.control & ACK else side


@njit(cache=True, nogil=True)
def _assign(packets, table, of, sides, hashes, first, opener, base, known):  # type: ignore[no-untyped-def]
    words, v = np.zeros(6, np.uint64), np.zeros(4, np.uint64)
    flows = 0
    for row in range(len(packets)):
        p = packets[row]
        if p.kind == IGNORED:
            continue
        side = _endpoints(p, words)
        sides[row] = side
        digest = _siphash(words, v)
        slot = _find_slot(packets, row, side, sides, digest, table, first)
        flow = table[slot]
        if flow >= 0 and p.kind == TCP and _reused(p, side, flow, base, known):
            digest = hashes[flow] * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
            flow = -1
        if flow < 0:
            flow = flows
            flows += 1
            table[slot], hashes[flow], first[flow], opener[flow] = flow, digest, row, -1
        if p.kind == TCP:
            _learn(p, side, flow, opener, base, known)
        of[row] = flow
    return flows


def find_flows(packets: Packets, port: int | None = None, usage: Usage | None = None) -> Flows:
    """
    Assign packets to flows.

    The client is the sender of the first SYN. Without one, the server is the side whose port is the wanted one, or the
    only one below 1024, or takes part in more flows of the capture's head, or is lower; with equal ports the first
    sender is the client. A SYN with a new sequence number on known endpoints starts a new flow.

    Args:
        usage: of the ports by the capture, where the packets are only a part of it.
    """
    n = len(packets)
    table = np.full(1 << max(4, (2 * n).bit_length()), -1, np.int64)
    of, sides = np.full(n, -1, np.int64), np.zeros(n, np.int8)
    hashes, first, opener = np.zeros(n, np.uint64), np.zeros(n, np.int64), np.zeros(n, np.int8)
    base, known = np.zeros((n, 2), np.uint32), np.zeros((n, 2), np.bool_)
    count = _assign(packets, table, of, sides, hashes, first, opener, base, known)
    hashes, first, opener = hashes[:count].copy(), first[:count].copy(), opener[:count].copy()
    if usage is None:
        usage = port_usage(packets[first[first < HEAD]])
    client, service = _roles(packets[first], sides[first], opener, port, usage)
    return Flows(of, sides, hashes, first, client, service)


def port_usage(heads: Packets) -> Usage:
    """Return how many flows there are by transport and port, from the first packet of each."""
    src, dst = heads["sport"].astype(np.int64), heads["dport"].astype(np.int64)
    usage = np.zeros((2, 1 << 16), np.int64)
    for transport, kind in enumerate((UDP, TCP)):
        chosen = heads["kind"] == kind
        usage[transport] = np.bincount(src[chosen], minlength=1 << 16) + np.bincount(dst[chosen], minlength=1 << 16)
    return usage


def _roles(
    heads: Packets, side: NDArray[np.int8], opener: NDArray[np.int8], port: int | None, usage: Usage
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Return the client's side and the server's port of each flow, from its first packet."""
    src, dst = heads["sport"].astype(np.int64), heads["dport"].astype(np.int64)
    which = (heads["kind"] == TCP).astype(np.int64)

    def rank(ports: NDArray[np.int64]) -> NDArray[np.int64]:
        wanted = (ports == (-2 if port is None else port)).astype(np.int64)
        grade: NDArray[np.int64] = ((wanted * 2 + (ports < 1024)) << 32) + usage[which, ports]
        return grade * 65536 + (65535 - ports)

    by_port = np.where(rank(src) > rank(dst), 1 - side, side)  # the first sender holds the better port: it serves
    client = np.where(opener >= 0, opener, by_port).astype(np.int8)
    return client, np.where(client == side, dst, src).astype(np.int32)
