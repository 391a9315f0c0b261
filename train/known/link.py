"""Protocols of links and routers, by Scapy's layers."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from scapy.contrib.bfd import BFD
from scapy.contrib.bgp import (
    BGPCapFourBytesASN,
    BGPCapMultiprotocol,
    BGPHeader,
    BGPKeepAlive,
    BGPNLRI_IPv4,
    BGPNotification,
    BGPOpen,
    BGPOptParam,
    BGPPAASPath,
    BGPPAMultiExitDisc,
    BGPPANextHop,
    BGPPAOrigin,
    BGPPathAttr,
    BGPUpdate,
)
from scapy.contrib.eigrp import EIGRP, EIGRPIntRoute, EIGRPParam, EIGRPSwVer
from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mr
from scapy.contrib.isis import (
    ISIS_L2_CSNP,
    ISIS_AreaEntry,
    ISIS_AreaTlv,
    ISIS_CommonHdr,
    ISIS_IpInterfaceAddressTlv,
    ISIS_L2_LAN_Hello,
    ISIS_LspEntry,
    ISIS_LspEntryTlv,
    ISIS_PaddingTlv,
    ISIS_ProtocolsSupportedTlv,
)
from scapy.contrib.ospf import OSPF_DBDesc, OSPF_Hdr, OSPF_Hello, OSPF_LSA_Hdr, OSPF_LSAck, OSPF_LSReq, OSPF_LSReq_Item
from scapy.contrib.pim import (
    PIMv2GroupAddrs,
    PIMv2Hdr,
    PIMv2Hello,
    PIMv2HelloDRPriority,
    PIMv2HelloGenerationID,
    PIMv2HelloHoldtime,
    PIMv2JoinAddrs,
    PIMv2JoinPrune,
    PIMv2PruneAddrs,
)
from scapy.layers.hsrp import HSRP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLDMultAddrRec,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, STP
from scapy.layers.rip import RIP, RIPEntry
from scapy.layers.vrrp import VRRP, VRRPv3

from .said import ASKS, Said, ipv4, ipv6, mac


def arp(rng: Random) -> Iterator[Said]:
    """Requests, answers, announcements."""
    net = ipv4(rng).rsplit(".", 1)[0]
    for _ in range(24):
        one, two = (f"{net}.{rng.randint(1, 254)}" for _ in range(2))
        asked = ARP(op=1, hwsrc=mac(rng), psrc=one, hwdst="00:00:00:00:00:00", pdst=rng.choice((two, two, one)))
        yield ASKS, bytes(asked)
        if rng.random() < 0.5:
            yield ASKS, bytes(ARP(op=2, hwsrc=mac(rng), psrc=two, hwdst=asked.hwsrc, pdst=one))


def icmp(rng: Random) -> Iterator[Said]:
    """Echoes as Linux, Windows and small devices send them; errors that carry the packet they are about."""
    ident, style = rng.getrandbits(16), rng.randrange(4)
    clock = rng.randrange(1_300_000_000, 1_900_000_000)
    filling = (
        bytes(range(8, 64)),
        b"abcdefghijklmnopqrstuvwabcdefghi",
        bytes(rng.choice((8, 32, 64))),
        rng.randbytes(40),
    )
    for number in range(1, 16):
        stamp = (clock + number).to_bytes(8, "little") if style == 0 else b""
        data = stamp + filling[style]
        for kind in (8, 0):
            yield ASKS, bytes(ICMP(type=kind, id=ident, seq=number) / data)
    for _ in range(15):
        inner = IP(src=ipv4(rng), dst=ipv4(rng), id=rng.getrandbits(16), ttl=rng.randint(1, 128))
        ports = {"sport": rng.getrandbits(16), "dport": rng.choice((53, 80, 137, 161, 443, rng.getrandbits(16)))}
        layer = UDP(**ports) / rng.randbytes(rng.choice((0, 20, 40))) if rng.random() < 0.7 else TCP(**ports)
        kind, code = rng.choice(((3, 3), (3, 1), (3, 13), (3, 10), (11, 0), (5, 1)))
        yield ASKS, bytes(ICMP(type=kind, code=code) / bytes(inner / layer)[: rng.choice((28, 128, 548))])
    yield ASKS, bytes(ICMP(type=13, id=ident, seq=1, ts_ori=rng.getrandbits(26)))


def _neighbours(rng: Random) -> Iterator[IPv6]:
    for _ in range(10):
        near, own = ipv6(rng), mac(rng)
        yield ICMPv6ND_NS(tgt=near) / ICMPv6NDOptSrcLLAddr(lladdr=own)
        yield ICMPv6ND_NS(tgt=ipv6(rng))
        yield ICMPv6ND_NA(tgt=near, R=rng.getrandbits(1), S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=own)
        group = f"ff02::1:ff{rng.getrandbits(8):02x}:{rng.getrandbits(16):x}"
        records = [ICMPv6MLDMultAddrRec(rtype=rng.choice((3, 4)), dst=group) for _ in range(rng.randint(1, 3))]
        yield ICMPv6MLReport2(records=records)
        yield ICMPv6MLReport(mladdr=group)


def icmpv6(rng: Random) -> Iterator[Said]:
    """Neighbours, routers, listeners, echoes and errors; checksums are those of the IPv6 header around them."""
    said = list(_neighbours(rng))
    for number in range(6):
        for kind in (ICMPv6EchoRequest, ICMPv6EchoReply):
            said.append(
                kind(id=rng.getrandbits(16), seq=number, data=rng.choice((bytes(range(56)), rng.randbytes(32))))
            )
        said.append(ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=mac(rng)))
        prefix = ICMPv6NDOptPrefixInfo(prefix=f"2001:db8:{rng.getrandbits(16):x}::", prefixlen=64)
        said.append(
            ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=mac(rng)) / ICMPv6NDOptMTU() / prefix
        )
        inner = IPv6(src=ipv6(rng), dst=ipv6(rng)) / UDP(sport=rng.getrandbits(16)) / rng.randbytes(24)
        said.append(ICMPv6DestUnreach(code=rng.choice((1, 3, 4))) / inner)
    for one in said:
        yield ASKS, bytes(IPv6(src=ipv6(rng), dst=ipv6(rng)) / one)[40:]


def igmp(rng: Random) -> Iterator[Said]:
    """Queries, reports and leaves of versions 1 to 3."""
    for _ in range(16):
        group = f"{rng.choice((224, 239, 239, 233))}.{rng.getrandbits(8)}.{rng.getrandbits(8)}.{rng.getrandbits(8)}"
        yield ASKS, bytes(IGMP(type=rng.choice((0x11, 0x12, 0x16, 0x17)), mrcode=rng.choice((0, 20, 100)), gaddr=group))
        records = [IGMPv3gr(rtype=rng.randint(1, 6), maddr=group) for _ in range(rng.randint(1, 4))]
        yield ASKS, bytes(IGMPv3(type=0x22, mrcode=0) / IGMPv3mr(records=records))


def stp(rng: Random) -> Iterator[Said]:
    """Configuration and rapid configuration of a bridged network, and changes of topology."""
    root, ages = mac(rng), rng.random() < 0.5
    rapid = rng.random() < 0.5
    for _ in range(16):
        made = STP(
            version=2 if rapid else 0,
            bpdutype=2 if rapid else 0,
            rootid=rng.choice((0x8000, 0x8001, 0x6001)),
            rootmac=root,
            bridgemac=mac(rng),
            bridgeid=0x8000 + rng.randrange(64),
            portid=0x8000 + rng.randrange(60),
            bpduflags=rng.choice((0, 1, 0x3C, 0x7C, 0x0E)),
            pathcost=rng.choice((0, 4, 19, 20000)),
            age=rng.randrange(3) if ages else 0,
            maxage=20,
            hellotime=2,
            fwddelay=15,
        )
        yield ASKS, bytes(made)[:35] + (b"\0" if rapid else b"")
    yield ASKS, bytes.fromhex("00000080")


def pim(rng: Random) -> Iterator[Said]:
    """Hellos, joins and prunes."""
    generation = rng.getrandbits(32)
    for _ in range(10):
        options = [PIMv2HelloHoldtime(holdtime=105), PIMv2HelloDRPriority(dr_priority=rng.randrange(4))]
        if rng.random() < 0.7:
            options.append(PIMv2HelloGenerationID(generation_id=generation))
        yield ASKS, bytes(PIMv2Hdr() / PIMv2Hello(option=options))
        joins = [PIMv2JoinAddrs(src_ip=ipv4(rng)) for _ in range(rng.randint(0, 2))]
        prunes = [PIMv2PruneAddrs(src_ip=ipv4(rng)) for _ in range(rng.randint(0, 1))]
        group = PIMv2GroupAddrs(
            gaddr=f"239.1.{rng.getrandbits(8)}.{rng.getrandbits(8)}",
            join_ips=joins,
            prune_ips=prunes,
            num_joins=len(joins),
            num_prunes=len(prunes),
        )
        asked = PIMv2JoinPrune(up_neighbor_ip=ipv4(rng), num_group=1, jp_ips=[group])
        yield ASKS, bytes(PIMv2Hdr() / asked)


def vrrp(rng: Random) -> Iterator[Said]:
    """Announcements of versions 2 and 3."""
    for _ in range(8):
        many = {"vrid": rng.randint(1, 255), "priority": rng.choice((100, 110, 200, 255, 0))}
        addresses = [ipv4(rng) for _ in range(rng.randint(1, 3))]
        yield ASKS, bytes(VRRP(addrlist=addresses, adv=1, authtype=rng.choice((0, 0, 1)), **many))
        here = IP(src=ipv4(rng), dst="224.0.0.18", proto=112)
        yield ASKS, bytes(here / VRRPv3(addrlist=addresses, adv=100, **many))[20:]


def hsrp(rng: Random) -> Iterator[Said]:
    """Hellos, coups and resignations of version 0."""
    for _ in range(12):
        made = HSRP(
            opcode=rng.choice((0, 0, 0, 1, 2)),
            state=rng.choice((1, 2, 4, 8, 16)),
            hellotime=3,
            holdtime=10,
            priority=rng.choice((100, 105, 120)),
            group=rng.randrange(30),
            virtualIP=ipv4(rng),
        )
        yield ASKS, bytes(made)[:20]


def bfd(rng: Random) -> Iterator[Said]:
    """Control packets of a session that comes up."""
    for _ in range(10):
        made = BFD(
            diag=rng.choice((0, 0, 3)),
            sta=rng.choice((1, 2, 3, 3)),
            my_discriminator=rng.getrandbits(32),
            your_discriminator=rng.choice((0, rng.getrandbits(32))),
            min_tx_interval=rng.choice((10**6, 300000, 50000)),
            min_rx_interval=rng.choice((10**6, 300000)),
            echo_rx_interval=rng.choice((0, 50000)),
        )
        yield rng.choice((1, 2)), bytes(made)


def isis(rng: Random) -> Iterator[Said]:
    """Hellos with and without padding, and lists of what is known."""
    for _ in range(10):
        area = ISIS_AreaTlv(areas=[ISIS_AreaEntry(areaid=f"49.{rng.randrange(1, 99):04d}")])
        supports = ISIS_ProtocolsSupportedTlv(nlpids=["IPv4", "IPv6"][: rng.randint(1, 2)])
        own = ISIS_IpInterfaceAddressTlv(addresses=[ipv4(rng)])
        tlvs = [area, supports, own]
        if rng.random() < 0.4:
            tlvs += [ISIS_PaddingTlv(padding=bytes(255)) for _ in range(5)]
        source = ".".join(f"{rng.getrandbits(16):04x}" for _ in range(3))
        hello = ISIS_L2_LAN_Hello(
            circuittype=rng.choice((2, 3)), sourceid=source, holdingtime=rng.choice((10, 30)), tlvs=tlvs
        )
        yield ASKS, bytes(ISIS_CommonHdr() / hello)
        entries = [ISIS_LspEntry(lspid=f"{source}.00-00", seqnum=rng.randrange(99)) for _ in range(rng.randint(1, 5))]
        known = ISIS_L2_CSNP(sourceid=f"{source}.00", tlvs=[ISIS_LspEntryTlv(entries=entries)])
        yield ASKS, bytes(ISIS_CommonHdr() / known)


def bgp(rng: Random) -> Iterator[Said]:
    """Opening, updates with paths and withdrawals, keep-alives, a notification."""
    own = rng.randint(64512, 65534)
    for side in (1, 2):
        offers = [BGPCapMultiprotocol(), BGPCapFourBytesASN(asn=own)][: rng.randint(1, 2)]
        wishes = [BGPOptParam(param_type=2, param_value=one) for one in offers]
        yield side, bytes(BGPHeader(type=1) / BGPOpen(my_as=own, hold_time=180, bgp_id=ipv4(rng), opt_params=wishes))
        yield side, bytes(BGPHeader(type=4) / BGPKeepAlive())
    for _ in range(20):
        routes = [BGPNLRI_IPv4(prefix=f"{ipv4(rng).rsplit('.', 1)[0]}.0/24") for _ in range(rng.randint(1, 12))]
        if rng.random() < 0.2:
            yield rng.choice((1, 2)), bytes(BGPHeader(type=2) / BGPUpdate(withdrawn_routes=routes))
            continue
        hops = [rng.randint(1, 65000) for _ in range(rng.randint(1, 6))]
        path = BGPPAASPath(segments=[BGPPAASPath.ASPathSegment(segment_type=2, segment_value=hops)])
        told = [
            BGPPathAttr(type_flags=0x40, type_code=1, attribute=BGPPAOrigin(origin=rng.randrange(3))),
            BGPPathAttr(type_flags=0x40, type_code=2, attribute=path),
            BGPPathAttr(type_flags=0x40, type_code=3, attribute=BGPPANextHop(next_hop=ipv4(rng))),
        ]
        if rng.random() < 0.5:
            told.append(BGPPathAttr(type_flags=0x80, type_code=4, attribute=BGPPAMultiExitDisc(med=rng.randrange(200))))
        yield rng.choice((1, 2)), bytes(BGPHeader(type=2) / BGPUpdate(path_attr=told, nlri=routes))
    yield 1, bytes(BGPHeader(type=3) / BGPNotification(error_code=rng.randint(1, 6)))


def ospf(rng: Random) -> Iterator[Said]:
    """Hellos, descriptions, requests and acknowledgements."""
    router, area = ipv4(rng), rng.choice(("0.0.0.0", "0.0.0.1"))
    for _ in range(8):
        lsas = [OSPF_LSA_Hdr(id=ipv4(rng), adrouter=ipv4(rng), seq=0x80000001 + rng.randrange(99)) for _ in range(3)]
        bodies = (
            OSPF_Hello(router=ipv4(rng), backup=ipv4(rng), neighbors=[ipv4(rng)][: rng.randrange(2)]),
            OSPF_DBDesc(ddseq=rng.getrandbits(24), lsaheaders=lsas[: rng.randrange(4)]),
            OSPF_LSReq(requests=[OSPF_LSReq_Item(id=ipv4(rng), adrouter=ipv4(rng))]),
            OSPF_LSAck(lsaheaders=lsas),
        )
        for body in bodies:
            yield ASKS, bytes(OSPF_Hdr(src=router, area=area) / body)


def rip(rng: Random) -> Iterator[Said]:
    """Requests and answers of versions 1 and 2."""
    version = rng.choice((1, 2, 2))
    yield ASKS, bytes(RIP(cmd=1, version=version) / RIPEntry(AF=0, metric=16))
    for _ in range(10):
        made = RIP(cmd=2, version=version)
        for _ in range(rng.randint(1, 12)):
            mask = "255.255.255.0" if version == 2 else "0.0.0.0"
            made /= RIPEntry(addr=ipv4(rng), mask=mask, metric=rng.randint(1, 16))
        yield 2, bytes(made)


def eigrp(rng: Random) -> Iterator[Said]:
    """Hellos and updates."""
    number = rng.randint(1, 200)
    for _ in range(10):
        yield ASKS, bytes(EIGRP(asn=number, opcode=5, tlvlist=[EIGRPParam(), EIGRPSwVer()]))
        route = EIGRPIntRoute(nexthop=ipv4(rng), dst=ipv4(rng), prefixlen=24, delay=rng.getrandbits(20))
        yield ASKS, bytes(EIGRP(asn=number, opcode=1, flags=rng.randrange(2), seq=rng.randrange(99), tlvlist=[route]))


TALKS = {
    "arp": arp,
    "bfd": bfd,
    "bgp": bgp,
    "eigrp": eigrp,
    "hsrp": hsrp,
    "icmp": icmp,
    "icmpv6": icmpv6,
    "igmp": igmp,
    "isis": isis,
    "ospf": ospf,
    "pim": pim,
    "rip": rip,
    "stp": stp,
    "vrrp": vrrp,
}
