"""Protocols of hosts over UDP, by Scapy's layers, aiocoap and the standard library."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator
from random import Random

import aiocoap
from aiocoap.numbers import codes, types
from scapy.asn1.asn1 import ASN1_INTEGER, ASN1_OID, ASN1_STRING
from scapy.contrib.gtp import (
    GTP_U_Header,
    GTPCreatePDPContextRequest,
    GTPDeletePDPContextRequest,
    GTPEchoRequest,
    GTPEchoResponse,
    GTPHeader,
)
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DUID_LLT,
    DHCP6_Advertise,
    DHCP6_InfoRequest,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientFQDN,
    DHCP6OptClientId,
    DHCP6OptDNSServers,
    DHCP6OptElapsedTime,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptOptReq,
    DHCP6OptServerId,
)
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.ntp import NTPHeader
from scapy.layers.radius import Radius, RadiusAttr_NAS_IP_Address, RadiusAttribute
from scapy.layers.rtp import RTP
from scapy.layers.snmp import SNMP, SNMPbulk, SNMPget, SNMPnext, SNMPresponse, SNMPvarbind
from scapy.layers.tftp import TFTP, TFTP_ACK, TFTP_DATA, TFTP_ERROR, TFTP_RRQ, TFTP_WRQ

from .said import ANSWERS, ASKS, Said, host, ipv4, ipv6, mac, sentence, word


def ntp(rng: Random) -> Iterator[Said]:
    """Clients and servers of versions 1 to 4, symmetric peers, clients that fill in nothing."""
    clock, version = rng.uniform(3.2e9, 3.95e9), rng.choice((1, 2, 3, 3, 4, 4, 4))
    for _ in range(16):
        clock += rng.expovariate(1 / 60)
        many = {"version": version, "poll": rng.randint(4, 10), "precision": rng.randrange(-24, -6)}
        if rng.random() < 0.4:
            yield (
                ASKS,
                bytes(NTPHeader(mode=3, leap=rng.choice((0, 3)), stratum=0, sent=clock, ref=0, orig=0, recv=0, **many)),
            )
        else:
            yield (
                ASKS,
                bytes(
                    NTPHeader(
                        mode=rng.choice((1, 3)),
                        stratum=rng.randint(1, 4),
                        delay=rng.random() / 10,
                        id=ipv4(rng),
                        dispersion=rng.random(),
                        ref=clock - 64,
                        orig=clock - 63,
                        recv=clock - 63,
                        sent=clock,
                        **many,
                    )
                ),
            )
        yield (
            ANSWERS,
            bytes(
                NTPHeader(
                    mode=rng.choice((4, 4, 2)),
                    stratum=rng.randint(1, 3),
                    delay=rng.random() / 10,
                    dispersion=rng.random() / 5,
                    id=ipv4(rng),
                    ref=clock - rng.randrange(900),
                    orig=clock,
                    recv=clock + 0.01,
                    sent=clock + 0.011,
                    **many,
                )
            ),
        )


def dhcp(rng: Random) -> Iterator[Said]:
    """Discovery, offer, request, acknowledgement, renewal and information, from several makes of client."""
    asks = [
        [1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252],
        [1, 28, 2, 3, 15, 6, 12],
        [1, 3, 6, 15, 119, 252],
    ]
    vendor = rng.choice(("MSFT 5.0", "dhcpcd-9.4.1", "android-dhcp-13", "udhcp 1.30.1", None))
    server = ipv4(rng)
    for _ in range(8):
        client = bytes.fromhex(mac(rng).replace(":", ""))
        xid, address = rng.getrandbits(32), ipv4(rng)
        common = [("client_id", b"\1" + client), ("hostname", word(rng).encode())]
        common += [("vendor_class_id", vendor.encode())] if vendor else []
        wishes = [("param_req_list", rng.choice(asks))]
        lease = [
            ("server_id", server),
            ("lease_time", rng.choice((600, 3600, 86400))),
            ("subnet_mask", "255.255.255.0"),
            ("router", server),
            ("name_server", server),
            ("domain", host(rng).encode()),
        ]
        for kind, side in (("discover", 1), ("offer", 2), ("request", 1), ("ack", 2), ("inform", 1)):
            head = BOOTP(
                op=side,
                xid=xid,
                chaddr=client + bytes(10),
                secs=rng.choice((0, 0, rng.randrange(30))),
                flags=rng.choice((0, 0x8000)),
                yiaddr=address if side == 2 else "0.0.0.0",
                siaddr=server if side == 2 else "0.0.0.0",
                ciaddr=address if kind == "inform" else "0.0.0.0",
            )
            body = common + wishes if side == 1 else lease[: rng.randint(3, 6)]
            made = bytes(head / DHCP(options=[("message-type", kind), *body, "end"]))
            yield side, made.ljust(300, b"\0")


def dhcpv6(rng: Random) -> Iterator[Said]:
    """Solicitation to reply, and requests for information."""
    own = bytes.fromhex(mac(rng).replace(":", ""))
    for _ in range(10):
        client = (
            DUID_LLT(lladdr=mac(rng), timeval=rng.getrandbits(29)) if rng.random() < 0.7 else DUID_LL(lladdr=mac(rng))
        )
        asked = DHCP6OptElapsedTime(elapsedtime=rng.choice((0, 100, 3100, 0xFFFF)))
        asked /= DHCP6OptClientId(duid=client)
        number = rng.getrandbits(24)
        wish = DHCP6OptIA_NA(iaid=rng.getrandbits(32), T1=0, T2=0)
        named = DHCP6OptClientFQDN(fqdn=word(rng)) / DHCP6OptOptReq(reqopts=rng.choice(([17, 23, 24, 39], [23, 24])))
        yield ASKS, bytes(DHCP6_Solicit(trid=number) / asked / wish / named)
        yield ASKS, bytes(DHCP6_InfoRequest(trid=number ^ 1) / asked / named)
        server = DHCP6OptServerId(duid=DUID_LL(lladdr=own.hex(":")))
        gained = DHCP6OptIA_NA(iaid=wish.iaid, T1=302400, T2=483840, ianaopts=[DHCP6OptIAAddress(addr=ipv6(rng))])
        told = DHCP6OptClientId(duid=client) / server / gained / DHCP6OptDNSServers(dnsservers=[ipv6(rng)])
        for kind in (DHCP6_Advertise, DHCP6_Reply):
            yield ANSWERS, bytes(kind(trid=number) / told)
        yield ASKS, bytes(DHCP6_Request(trid=number ^ 2) / asked / server / wish / named)


def tftp(rng: Random) -> Iterator[Said]:
    """A file up or down, block by block, or an error."""
    upwards, name = rng.random() < 0.5, f"{word(rng)}.{rng.choice(('bin', 'cfg', 'txt', 'img'))}"
    kind = TFTP_WRQ if upwards else TFTP_RRQ
    yield ASKS, bytes(TFTP() / kind(filename=name, mode=rng.choice(("octet", "netascii"))))
    for block in range(1, rng.randint(4, 16)):
        size = rng.choice((512, 512, 512, rng.randrange(512)))
        content = rng.choice((rng.randbytes(size), sentence(rng, 90).encode()[:size]))
        yield 1 if upwards else 2, bytes(TFTP() / TFTP_DATA(block=block) / content)
        yield 2 if upwards else 1, bytes(TFTP() / TFTP_ACK(block=block))
    yield ANSWERS, bytes(TFTP() / TFTP_ERROR(errorcode=rng.randint(1, 7), errormsg=sentence(rng, 4)))


def snmp(rng: Random) -> Iterator[Said]:
    """Gets, walks and answers of versions 1 and 2c."""
    version, community = rng.choice((0, 1)), rng.choice(("public", "private", word(rng)))
    for _ in range(14):
        number = rng.getrandbits(31)
        names = [
            f"1.3.6.1.2.1.{rng.choice((1, 2, 25))}.{rng.randint(1, 9)}.{rng.randint(1, 30)}"
            for _ in range(rng.randint(1, 3))
        ]
        bare = [SNMPvarbind(oid=ASN1_OID(name)) for name in names]
        kinds = [SNMPget(id=number, varbindlist=bare), SNMPnext(id=number, varbindlist=bare)]
        if version:
            kinds.append(SNMPbulk(id=number, max_repetitions=rng.choice((10, 25)), varbindlist=bare))
        yield ASKS, bytes(SNMP(version=version, community=community, PDU=rng.choice(kinds)))
        values = [rng.choice((ASN1_INTEGER(rng.getrandbits(20)), ASN1_STRING(sentence(rng, 5)))) for _ in names]
        bound = [SNMPvarbind(oid=ASN1_OID(n), value=v) for n, v in zip(names, values, strict=True)]
        yield ANSWERS, bytes(SNMP(version=version, community=community, PDU=SNMPresponse(id=number, varbindlist=bound)))


def radius(rng: Random) -> Iterator[Said]:
    """Access and accounting."""
    for number in range(14):
        told = [
            RadiusAttribute(type=1, value=word(rng).encode()),
            RadiusAttribute(type=2, value=rng.randbytes(16)),
            RadiusAttr_NAS_IP_Address(value=ipv4(rng)),
            RadiusAttribute(type=31, value=mac(rng).encode()),
        ]
        yield (
            ASKS,
            bytes(Radius(code=rng.choice((1, 1, 4)), id=number, authenticator=rng.randbytes(16), attributes=told)),
        )
        kept = [RadiusAttribute(type=18, value=sentence(rng, 4).encode())][: rng.randrange(2)]
        yield (
            ANSWERS,
            bytes(Radius(code=rng.choice((2, 3, 5)), id=number, authenticator=rng.randbytes(16), attributes=kept)),
        )


def rtp(rng: Random) -> Iterator[Said]:
    """One stream of speech or video."""
    kind, size = rng.choice(((0, 160), (8, 160), (0, 80), (18, 20), (9, 160), (96, 900), (111, 70), (3, 33), (107, 80)))
    source, clock, number = rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(16)
    quiet = bytes([rng.choice((0xFF, 0xD5, 0x7F, 0x55))])
    for i in range(24):
        clock, number = clock + size & 0xFFFFFFFF, number + 1 & 0xFFFF
        filled = quiet * size if rng.random() < 0.3 else rng.randbytes(size if kind < 90 else rng.randrange(20, size))
        head = RTP(payload_type=kind, sourcesync=source, timestamp=clock, sequence=number, marker=int(i == 0))
        yield rng.choice((1, 2)), bytes(head / filled)


def syslog(rng: Random) -> Iterator[Said]:
    """Records of the standard library's handler and lines as RFC 3164 and routers write them."""
    handler = logging.handlers.SysLogHandler
    own, months = word(rng), ("Jan", "Mar", "Jun", "Oct")
    for number in range(20):
        pri = rng.randrange(24) << 3 | rng.randrange(8)
        level = rng.choice(list(handler.priority_names))
        clock = ":".join(f"{rng.randrange(most):02d}" for most in (24, 60, 60))
        stamp = f"{rng.choice(months)} {rng.randint(1, 28):2d} {clock}"
        text = sentence(rng, 16)
        lines = (
            f"<{pri}>{stamp} {own} {word(rng)}[{rng.randrange(30000)}]: {text}",
            f"<{pri}>{word(rng)}: {level} {text}\0",
            f"<{pri}>{number}: {stamp}: %{word(rng).upper()}-{rng.randrange(8)}-{word(rng).upper()}: {text}",
            f"<{pri}>1 2024-0{rng.randint(1, 9)}-11T10:{number:02d}:00Z {own} {word(rng)} {number} - - {text}",
        )
        yield ASKS, rng.choice(lines).encode()


def ssdp(rng: Random) -> Iterator[Said]:
    """Searches, announcements and answers (UPnP device architecture 1.1, texts of common stacks)."""
    address, uuid = (
        ipv4(rng),
        f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-1000-8000-{rng.getrandbits(48):012x}",
    )
    server = rng.choice(
        ("Linux/3.14 UPnP/1.0 IpBridge/1.26", "Microsoft-Windows/10.0 UPnP/1.0", "POSIX, UPnP/1.0, Intel MicroStack")
    )
    upper = rng.random() < 0.6
    for _ in range(12):
        target = rng.choice(
            (
                "upnp:rootdevice",
                "ssdp:all",
                f"uuid:{uuid}",
                "urn:schemas-upnp-org:device:MediaServer:1",
                f"urn:{word(rng)}-org:service:{word(rng)}:1",
            )
        )
        where = f"http://{address}:{rng.choice((80, 8080, 49152, 2869))}/{word(rng)}.xml"
        search = [
            "M-SEARCH * HTTP/1.1",
            "HOST: 239.255.255.250:1900",
            'MAN: "ssdp:discover"',
            f"MX: {rng.randint(1, 5)}",
            f"ST: {target}",
        ]
        told = [
            "HOST: 239.255.255.250:1900",
            f"CACHE-CONTROL: max-age={rng.choice((100, 1800))}",
            f"LOCATION: {where}",
            f"SERVER: {server}",
            f"NT: {target}",
            rng.choice(("NTS: ssdp:alive", "NTS: ssdp:byebye")),
            f"USN: uuid:{uuid}::{target}",
        ]
        rest = search[1:]
        rng.shuffle(rest)
        answer = ["HTTP/1.1 200 OK", *told[1:4], f"ST: {target}", "EXT:", told[6]]
        for side, lines in ((1, [search[0], *rest]), (1, ["NOTIFY * HTTP/1.1", *told]), (2, answer)):
            shown = lines if upper else [lines[0], *(_lowered(line) for line in lines[1:])]
            yield side, ("\r\n".join(shown) + "\r\n\r\n").encode()


def _lowered(line: str) -> str:
    name, _, value = line.partition(":")
    return f"{name.title()}:{value}"


def gtp(rng: Random) -> Iterator[Said]:
    """Echoes, tunnels made and ended, and packets in tunnels."""
    tunnel = rng.getrandbits(32)
    for number in range(10):
        yield ASKS, bytes(GTPHeader(teid=0, seq=number, S=1) / GTPEchoRequest())
        yield ANSWERS, bytes(GTPHeader(teid=0, seq=number, S=1) / GTPEchoResponse())
        inner = IP(src=ipv4(rng), dst=ipv4(rng)) / rng.choice(
            (UDP() / rng.randbytes(30), TCP(), ICMP() / rng.randbytes(56))
        )
        yield ASKS, bytes(GTP_U_Header(teid=tunnel, gtp_type=255) / inner)
        asked = GTPCreatePDPContextRequest()
        yield ASKS, bytes(GTPHeader(teid=0, seq=number, S=1, gtp_type=16) / asked)
        yield ASKS, bytes(GTPHeader(teid=tunnel, seq=number, S=1, gtp_type=20) / GTPDeletePDPContextRequest())


def coap(rng: Random) -> Iterator[Said]:
    """Requests and answers of a sensor."""
    for _ in range(14):
        token = rng.randbytes(rng.choice((0, 2, 4, 8)))
        number, content = (
            rng.getrandbits(16),
            rng.choice((b"", sentence(rng, 5).encode(), b'{"v":%d}' % rng.randrange(99))),
        )
        asked = aiocoap.Message(code=rng.choice((codes.GET, codes.PUT, codes.POST)), payload=content)
        asked.mid, asked.token, asked.mtype = number, token, rng.choice((types.CON, types.NON))
        asked.opt.uri_path = tuple(word(rng) for _ in range(rng.randint(1, 3)))
        yield ASKS, asked.encode()
        told = aiocoap.Message(code=rng.choice((codes.CONTENT, codes.CHANGED, codes.NOT_FOUND)), payload=content)
        told.mid, told.token, told.mtype = number, token, types.ACK
        told.opt.content_format = rng.choice((0, 50, 60))
        yield ANSWERS, told.encode()


TALKS = {
    "coap": coap,
    "dhcp": dhcp,
    "dhcpv6": dhcpv6,
    "gtp": gtp,
    "ntp": ntp,
    "radius": radius,
    "rtp": rtp,
    "snmp": snmp,
    "ssdp": ssdp,
    "syslog": syslog,
    "tftp": tftp,
}
