"""The family of DNS by dnspython, and NetBIOS names and datagrams by Scapy."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from scapy.layers.netbios import NBNSHeader, NBNSQueryRequest, NBNSQueryResponse, NBNSRegistrationRequest, NBTDatagram
from scapy.layers.smb import SMB_Header, SMBTransaction_Request
from scapy.packet import Raw

from .said import ANSWERS, ASKS, Said, host, ipv4, ipv6, word

KINDS = ("A", "A", "A", "AAAA", "AAAA", "MX", "TXT", "PTR", "NS", "SOA", "SRV", "CNAME", "HTTPS")


def _record(rng: Random, name: str, kind: str) -> dns.rrset.RRset:
    name = name.rstrip(".") + "."
    values = {
        "A": ipv4(rng),
        "AAAA": ipv6(rng),
        "MX": f"{rng.choice((5, 10, 20))} {host(rng)}.",
        "TXT": f'"{word(rng)}={word(rng)}"',
        "PTR": f"{host(rng)}.",
        "NS": f"{host(rng)}.",
        "CNAME": f"{host(rng)}.",
        "SOA": f"{host(rng)}. {host(rng)}. {rng.randrange(10**9)} 3600 600 86400 300",
        "SRV": f"0 {rng.randrange(9)} {rng.choice((80, 389, 5060, 5222))} {host(rng)}.",
        "HTTPS": "1 . alpn=h2",
    }
    return dns.rrset.from_text(name, rng.choice((10, 60, 120, 300, 3600, 4500, 86400)), "IN", kind, values[kind])


def _question(rng: Random, name: str, kind: str) -> dns.message.QueryMessage:
    asked = dns.message.make_query(name, kind, use_edns=rng.random() < 0.4)
    asked.id = rng.getrandbits(16)
    return asked


def dns_messages(rng: Random) -> Iterator[Said]:
    """Questions and answers of a resolver: found, aliased, refused, not there."""
    for _ in range(20):
        name, kind = host(rng), rng.choice(KINDS)
        if kind == "PTR":
            name = ".".join(reversed(ipv4(rng).split("."))) + ".in-addr.arpa"
        asked = _question(rng, name, kind)
        yield ASKS, asked.to_wire()
        told = dns.message.make_response(asked, recursion_available=True)
        if rng.random() < 0.2:
            told.set_rcode(rng.choice((dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.REFUSED)))
            told.authority.append(_record(rng, name.split(".", 1)[-1], "SOA"))
        else:
            told.answer = [_record(rng, name, kind) for _ in range(rng.choice((1, 1, 2, 4)))]
            told.additional = [_record(rng, host(rng), "A") for _ in range(rng.choice((0, 0, 1, 3)))]
        yield ANSWERS, told.to_wire(max_size=65535)


def mdns(rng: Random) -> Iterator[Said]:
    """Questions for services and announcements with cache-flush and shared records."""
    services = [f"_{word(rng)}._{rng.choice(('tcp', 'tcp', 'udp'))}.local." for _ in range(5)]
    services += ["_ipp._tcp.local.", "_http._tcp.local.", "_googlecast._tcp.local.", "_services._dns-sd._udp.local."]
    own = f"{word(rng)}.local."
    for _ in range(16):
        asked = dns.message.make_query(rng.choice(services), rng.choice(("PTR", "PTR", "SRV", "ANY")), flags=0)
        for name in rng.sample(services, rng.randrange(4)):
            asked.find_rrset(
                asked.question, dns.name.from_text(name), 1, dns.rdatatype.PTR, create=True, force_unique=True
            )
        asked.id = 0
        if rng.random() < 0.3:
            asked.answer = [_record(rng, rng.choice(services), "PTR")]
        yield ASKS, asked.to_wire()
        told = dns.message.QueryMessage(id=0)
        told.flags = dns.flags.QR | dns.flags.AA
        one = rng.choice(services)
        told.answer = [dns.rrset.from_text(one, 4500, "IN", "PTR", f"{word(rng)}.{one}")]
        told.additional = [_record(rng, f"{word(rng)}.{one}", "SRV"), _record(rng, f"{word(rng)}.{one}", "TXT")]
        told.additional += [_record(rng, own, kind) for kind in ("A", "AAAA")[: rng.randint(1, 2)]]
        yield ASKS, told.to_wire(max_size=65535)


def llmnr(rng: Random) -> Iterator[Said]:
    """Questions for single labels and answers to them."""
    for _ in range(16):
        name = rng.choice((word(rng), word(rng).upper(), f"DESKTOP-{rng.getrandbits(28):07X}", "wpad", "isatap"))
        asked = dns.message.make_query(f"{name}.", rng.choice(("A", "AAAA", "ANY")), flags=0)
        asked.id = rng.getrandbits(16)
        yield ASKS, asked.to_wire()
        if rng.random() < 0.3:
            told = dns.message.make_response(asked)
            told.flags = dns.flags.QR
            told.answer = [_record(rng, f"{name}.", "A")]
            yield ANSWERS, told.to_wire()


def nbns(rng: Random) -> Iterator[Said]:
    """Name queries, registrations and answers."""
    for _ in range(16):
        name = word(rng).upper()[:15]
        kind = rng.choice((0x4141, 0x4341, 0x424C, 0x4142))
        asked = NBNSQueryRequest(QUESTION_NAME=name.encode(), SUFFIX=kind)
        flags = {"NAME_TRN_ID": rng.getrandbits(16)}
        yield ASKS, bytes(NBNSHeader(NM_FLAGS=rng.choice((0x10, 0x11, 0x01)), **flags) / asked)
        yield (
            ASKS,
            bytes(
                NBNSHeader(OPCODE=5, NM_FLAGS=0x11, QDCOUNT=1, ARCOUNT=1, **flags)
                / NBNSRegistrationRequest(QUESTION_NAME=name.encode(), SUFFIX=kind, NB_ADDRESS=ipv4(rng))
            ),
        )
        if rng.random() < 0.5:
            told = NBNSQueryResponse(RR_NAME=name.encode(), SUFFIX=kind)
            yield ANSWERS, bytes(NBNSHeader(RESPONSE=1, NM_FLAGS=0x50, QDCOUNT=0, ANCOUNT=1, **flags) / told)


def nbdgm(rng: Random) -> Iterator[Said]:
    """Browser announcements in mailslots."""
    for _ in range(14):
        name = word(rng).upper()[:15]
        body = bytes([rng.choice((1, 12, 15)), rng.randrange(8)]) + rng.randbytes(4) + name.encode().ljust(16, b"\0")
        body += bytes([rng.choice((5, 6, 10)), rng.randrange(3)]) + rng.randbytes(4) + b"\x0f\x01\x55\xaa\0"
        slot = SMBTransaction_Request(Name=b"\\MAILSLOT\\BROWSE", Setup=[1, 1, 2], Buffer=[("Data", Raw(body))])
        inside = bytes(SMB_Header(Command=0x25) / slot)
        made = NBTDatagram(
            Type=rng.choice((0x10, 0x11)),
            Flags=rng.choice((2, 0x0A, 0x0E)),
            ID=rng.getrandbits(16),
            SourceIP=ipv4(rng),
            SourceName=name.encode(),
            DestinationName=rng.choice((b"WORKGROUP", b"\x01\x02__MSBROWSE__")),
        )
        yield ASKS, bytes(made / inside)


TALKS = {"dns": dns_messages, "llmnr": llmnr, "mdns": mdns, "nbdgm": nbdgm, "nbns": nbns}
