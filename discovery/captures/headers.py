"""
Headers of links, networks and transports: one compiled pass that says of each packet who sent what to whom.

Layouts: IEEE 802.3, 802.1Q and 802.11, the LINKTYPE list of tcpdump.org (cooked v1 and v2, radiotap, prism, PPI),
RFC 791, 8200, 4302 (headers before the payload), 768 and 9293.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .packets import PacketIndex, record_type, u16, u32

# What a packet turned out to be.
IGNORED, LINK, LLC, ETHER, IP, UDP, TCP, FRAGMENT = range(8)
# Why it was ignored: the number of an ignored packet.
DAMAGED, NO_DATA, ENCRYPTED, FRAGMENT_PART, FRAGMENT_LOST, IN_PARTS = 1, 2, 3, 4, 5, 6

PACKET = record_type([
    ("at", np.int64),  # payload: data[at:stop], of which wire - stop more bytes were sent and not captured
    ("stop", np.int64),
    ("wire", np.int64),
    ("src0", np.uint64),  # address, high and low half
    ("src1", np.uint64),
    ("dst0", np.uint64),
    ("dst1", np.uint64),
    ("seq", np.uint32),
    ("ack", np.uint32),
    ("ident", np.uint32),
    ("offset", np.int32),  # of a fragment, in bytes
    ("number", np.int32),  # EtherType, IP protocol, DSAP, LINKTYPE, or why it was ignored
    ("sport", np.int32),
    ("dport", np.int32),
    ("kind", np.uint8),
    ("width", np.uint8),  # bytes of an address: 4, 6, 16, or 0
    ("control", np.uint8),  # control bits of TCP
    ("more", np.uint8),  # fragments follow
    ("extra", np.uint8),  # the payload lies in the buffer of reassembled datagrams
])  # fmt: skip
Packets = NDArray[np.void]

# What lies at the cursor when a link header has been read; other values are EtherTypes.
_DONE, _LLC, _IP = -1, -2, -3


@njit(cache=True, nogil=True)
def _ignore(p, reason):  # type: ignore[no-untyped-def]
    p.kind = IGNORED
    p.number = reason
    return _DONE


@njit(cache=True, nogil=True)
def _mac(data, at):  # type: ignore[no-untyped-def]
    return np.uint64((u16(data, at, True) << 32) | u32(data, at + 2, True))


@njit(cache=True, nogil=True)
def _long(data, at):  # type: ignore[no-untyped-def]
    return (np.uint64(u32(data, at, True)) << np.uint64(32)) | np.uint64(u32(data, at + 4, True))


@njit(cache=True, nogil=True)
def _ethertype(data, p):  # type: ignore[no-untyped-def]
    """Read an EtherType or 802.3 length and VLAN tags (802.1Q, 802.1ad) at the cursor."""
    for _ in range(8):
        if p.stop - p.at < 2:
            return _ignore(p, DAMAGED)
        kind = u16(data, p.at, True)
        p.at += 2
        if kind not in (0x8100, 0x88A8, 0x9100, 0x9200):
            break
        p.at += 2
    if kind >= 1536:
        return kind
    p.wire = min(p.wire, p.at + kind)  # what follows is padding
    p.stop = min(p.stop, p.wire)
    return _LLC


@njit(cache=True, nogil=True)
def _ethernet(data, p):  # type: ignore[no-untyped-def]
    if p.stop - p.at < 14:
        return _ignore(p, DAMAGED)
    p.dst1, p.src1, p.width = _mac(data, p.at), _mac(data, p.at + 6), 6
    p.at += 12
    return _ethertype(data, p)


@njit(cache=True, nogil=True)
def _cooked(data, p, header, type_at, address_at):  # type: ignore[no-untyped-def]
    if p.stop - p.at < header:
        return _ignore(p, DAMAGED)
    kind = u16(data, p.at + type_at, True)
    p.src1, p.width = _mac(data, p.at + address_at), 6
    p.at += header
    if kind in (0x8100, 0x88A8):
        p.at += 2
        return _ethertype(data, p)
    if kind == 4:
        return _LLC
    return kind


@njit(cache=True, nogil=True)
def _loopback(data, p):  # type: ignore[no-untyped-def]
    """BSD loopback: the family as a 32-bit number in the endianness of the machine that captured."""
    if p.stop - p.at < 4:
        return _ignore(p, DAMAGED)
    family = u32(data, p.at, True)
    if family > 0xFFFF:
        family = u32(data, p.at, False)
    p.at += 4
    if family in (2, 10, 23, 24, 28, 30):
        return _IP
    return _ignore(p, NO_DATA)


@njit(cache=True, nogil=True)
def _wireless_address(data, at, p, flags):  # type: ignore[no-untyped-def]
    """Set source and destination by the to-DS and from-DS bits; return the length of the address part."""
    ways = flags & 3
    p.width = 6
    p.dst1 = _mac(data, at + (16 if ways & 1 else 4))
    p.src1 = _mac(data, at + (10 if ways < 2 else (16 if ways == 2 else 24)))
    return 30 if ways == 3 else 24


@njit(cache=True, nogil=True)
def _wireless(data, p, unit):  # type: ignore[no-untyped-def]
    """802.11: whole data frames that carry LLC, in the clear; their header is padded to a multiple of ``unit``."""
    if p.stop - p.at < 32:
        return _ignore(p, NO_DATA)
    control, flags = data[p.at], data[p.at + 1]
    if control & 0x0F != 0x08 or control & 0x40:  # no data frame, or one without data
        return _ignore(p, NO_DATA)
    if flags & 0x40:
        return _ignore(p, ENCRYPTED)
    in_parts = flags & 0x04 or data[p.at + 22] & 0x0F  # fragments follow, or number of this one
    header = _wireless_address(data, p.at, p, flags)
    if control & 0x80:  # quality of service
        in_parts |= data[p.at + header] & 0x80  # an aggregate of several frames
        header += 2 + (4 if flags & 0x80 else 0)
    if in_parts:
        return _ignore(p, IN_PARTS)
    p.at += (header + unit - 1) // unit * unit
    return _LLC


@njit(cache=True, nogil=True)
def _radiotap_flags(data, at, end):  # type: ignore[no-untyped-def]
    """Return the flags of a radiotap header: 0x10, the frame ends with a check sequence; 0x20, its header is padded."""
    present, place = u32(data, at + 4, False), at + 8
    word = present
    while word & 0x80000000 and end - place >= 4:  # one more word of what is present
        word = u32(data, place, False)
        place += 4
    if present & 1:  # a time, aligned to eight bytes
        place += 8 + (at - place) % 8
    return data[place] if present & 2 and place < end else 0


@njit(cache=True, nogil=True)
def _radio(data, p, link):  # type: ignore[no-untyped-def]
    """Skip the radio header before an 802.11 frame: radiotap, PPI, prism or AVS."""
    if p.stop - p.at < 8:
        return _ignore(p, DAMAGED)
    if link == 119:
        avs = u32(data, p.at, True) & 0xFFFFF000 == 0x80211000
        length = u32(data, p.at + 4, avs)
    else:
        length = u16(data, p.at + 2, False)
    if length < 8 or length > p.stop - p.at:
        return _ignore(p, DAMAGED)
    marks = _radiotap_flags(data, p.at, p.at + length) if link == 127 else 0
    if marks & 0x10:
        p.wire -= 4
        p.stop = min(p.stop, p.wire)
    p.at += length
    return _wireless(data, p, 4 if marks & 0x20 else 1)


@njit(cache=True, nogil=True)
def _radio_link(data, p, link):  # type: ignore[no-untyped-def]
    if link == 105:
        return _wireless(data, p, 1)
    if link in (119, 127, 192):
        return _radio(data, p, link)
    p.kind, p.number, p.width = LINK, link, 0  # a link that is not known: its frames are the messages
    return _DONE


@njit(cache=True, nogil=True)
def _link(data, p, link):  # type: ignore[no-untyped-def]
    """Read the link header; return the EtherType or one of _DONE, _LLC, _IP."""
    if link == 1:
        return _ethernet(data, p)
    if link == 113:
        return _cooked(data, p, 16, 14, 6)
    if link == 276:
        return _cooked(data, p, 20, 0, 12)
    if link in (0, 108):
        return _loopback(data, p)
    if link in (12, 14, 101, 228, 229):
        return _IP
    return _radio_link(data, p, link)


@njit(cache=True, nogil=True)
def _llc(data, p):  # type: ignore[no-untyped-def]
    """802.2: SNAP with an EtherType leads on; anything else is a protocol named by its DSAP."""
    left = p.stop - p.at
    if left >= 8 and data[p.at] == 0xAA and data[p.at + 1] == 0xAA and u32(data, p.at + 2, True) == 0x03000000:
        kind = u16(data, p.at + 6, True)
        p.at += 8
        return kind
    if left < 3:
        return _ignore(p, DAMAGED if p.wire > p.stop else NO_DATA)
    p.kind, p.number = LLC, data[p.at]
    if data[p.at] != 0xFF:  # Novell's raw 802.3 has no LLC header
        p.at += 3 if data[p.at + 2] & 3 == 3 else 4
        p.at = min(p.at, p.stop)
    return _DONE


@njit(cache=True, nogil=True)
def _tcp(data, p):  # type: ignore[no-untyped-def]
    header = (data[p.at + 12] >> 4) * 4 if p.stop - p.at >= 20 else 0
    if header < 20 or p.wire - p.at < header:
        return _ignore(p, DAMAGED)
    p.kind = TCP
    p.sport, p.dport = u16(data, p.at, True), u16(data, p.at + 2, True)
    p.seq, p.ack, p.control = u32(data, p.at + 4, True), u32(data, p.at + 8, True), data[p.at + 13]
    p.at += header
    p.stop = max(p.at, p.stop)
    return _DONE


@njit(cache=True, nogil=True)
def _udp(data, p):  # type: ignore[no-untyped-def]
    if p.stop - p.at < 8:
        return _ignore(p, DAMAGED)
    p.kind = UDP
    p.sport, p.dport = u16(data, p.at, True), u16(data, p.at + 2, True)
    length = u16(data, p.at + 4, True)
    if length >= 8:  # 0 is a jumbogram or an offloaded length
        p.wire = min(p.wire, p.at + length)
        p.stop = min(p.stop, p.wire)
    p.at += 8
    return _DONE


@njit(cache=True, nogil=True)
def _skip_extensions(data, p, following):  # type: ignore[no-untyped-def]
    """
    Step over the extension headers of IPv6, and AH; return what follows (44: a fragment header).

    -1 where the headers are cut or do not end.
    """
    for _ in range(16):
        if following != 51 and (p.width == 4 or following not in (0, 43, 60, 135)):
            return following
        if p.stop - p.at < 8:
            return -1
        size = data[p.at + 1]
        kind, following = following, data[p.at]
        p.at += (size + 2) * 4 if kind == 51 else (size + 1) * 8
        if p.at > p.stop:
            return -1
    return -1


@njit(cache=True, nogil=True)
def transport(data, p, protocol):  # type: ignore[no-untyped-def]
    """Read what an IP packet carries behind extension headers that stand before it."""
    protocol = _skip_extensions(data, p, np.int64(protocol))
    if protocol < 0 or (protocol == 44 and p.width == 16):
        return _ignore(p, DAMAGED)
    if protocol == 6:
        return _tcp(data, p)
    if protocol == 17:
        return _udp(data, p)
    p.kind, p.number = IP, protocol
    return _DONE


@njit(cache=True, nogil=True)
def _fragment(p, protocol, offset, more, ident):  # type: ignore[no-untyped-def]
    p.kind, p.number, p.offset, p.more, p.ident = FRAGMENT, protocol, offset, more, ident
    return _DONE


@njit(cache=True, nogil=True)
def _ipv4(data, p):  # type: ignore[no-untyped-def]
    header = (data[p.at] & 15) * 4 if p.stop - p.at >= 20 else 0
    if header < 20 or p.wire - p.at < header:
        return _ignore(p, DAMAGED)
    total = u16(data, p.at + 2, True)
    if total >= header:  # 0 where the sender's card was to fill it in
        p.wire = min(p.wire, p.at + total)
        p.stop = min(p.stop, p.wire)
    p.src0 = p.dst0 = np.uint64(0)
    p.src1, p.dst1, p.width = u32(data, p.at + 12, True), u32(data, p.at + 16, True), 4
    fragment, protocol, ident = u16(data, p.at + 6, True), data[p.at + 9], u16(data, p.at + 4, True)
    p.at = min(p.at + header, p.stop)
    if fragment & 0x3FFF:
        return _fragment(p, protocol, (fragment & 0x1FFF) * 8, (fragment >> 13) & 1, ident)
    return transport(data, p, protocol)


@njit(cache=True, nogil=True)
def _ipv6(data, p):  # type: ignore[no-untyped-def]
    if p.stop - p.at < 40:
        return _ignore(p, DAMAGED)
    length = u16(data, p.at + 4, True)
    if length:  # 0 is a jumbogram
        p.wire = min(p.wire, p.at + 40 + length)
        p.stop = min(p.stop, p.wire)
    p.src0, p.src1 = _long(data, p.at + 8), _long(data, p.at + 16)
    p.dst0, p.dst1, p.width = _long(data, p.at + 24), _long(data, p.at + 32), 16
    following = np.int64(data[p.at + 6])
    p.at += 40
    following = _skip_extensions(data, p, following)
    if following == 44 and p.stop - p.at >= 8:
        protocol, word, ident = data[p.at], u16(data, p.at + 2, True), u32(data, p.at + 4, True)
        p.at += 8
        if word & 0xFFF9:
            return _fragment(p, protocol, word & 0xFFF8, word & 1, ident)
        following = np.int64(protocol)
    return transport(data, p, following)


@njit(cache=True, nogil=True)
def _network(data, p, kind):  # type: ignore[no-untyped-def]
    if kind == _LLC:
        kind = _llc(data, p)
    if kind == _DONE:
        return _DONE
    if kind in (_IP, 0x0800, 0x86DD):
        version = data[p.at] >> 4 if p.stop > p.at else 0
        if version == 4:
            return _ipv4(data, p)
        if version == 6:
            return _ipv6(data, p)
        return _ignore(p, DAMAGED)
    p.kind, p.number = ETHER, kind
    return _DONE


@njit(cache=True, nogil=True)
def _decode(data, start, captured, wire, link, packets):  # type: ignore[no-untyped-def]
    for row in range(len(packets)):
        p = packets[row]
        p.at, p.stop, p.wire = start[row], start[row] + captured[row], start[row] + wire[row]
        p.sport = p.dport = -1
        _network(data, p, _link(data, p, link[row]))


def decode(data: NDArray[np.uint8], index: PacketIndex) -> Packets:
    """Return a ``PACKET`` record for each packet of the index."""
    packets = np.zeros(len(index), PACKET)
    _decode(data, index.start, index.captured, index.wire, index.link, packets)
    return packets
