"""Packet files, link layers, fragments, direction and grouping."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import LLC, SNAP, STP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Dot3, Ether, Loopback
from scapy.packet import Packet, Raw

from qbitel.discovery.batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT, packet_and_part
from qbitel.discovery.captures import Capture, CaptureLimits, messages_of, read_capture
from qbitel.discovery.errors import InputError, LimitError, NotFoundError
from qbitel.discovery.spec import MessageRef
from qbitel.discovery.spec.framing import LengthFraming

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
PING = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=40000, dport=7000) / b"ping"


def pcap(frames: list[bytes], link: int = 1, order: str = "<", magic: int = 0xA1B2C3D4, cut: int = 65535) -> bytes:
    """Return a pcap file; frame i is taken at i seconds and i ticks, and cut at the snap length."""
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, cut, link)
    for i, frame in enumerate(frames):
        out += struct.pack(order + "IIII", i, i, min(cut, len(frame)), len(frame)) + frame[:cut]
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """Return a section header."""
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str = "<", link: int = 1, options: bytes = b"", snap: int = 0) -> bytes:
    """Return an interface description."""
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options)


def enhanced(frame: bytes, ticks: int, which: int = 0, order: str = "<") -> bytes:
    """Return an enhanced packet block."""
    head = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(order, 6, head + frame)


def only(capture: Capture) -> list[bytes]:
    """Return the payloads of the only group."""
    assert len(capture.groups) == 1, [group.name for group in capture.groups]
    return capture.groups[0].batch.payloads()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "tick"), [(0xA1B2C3D4, 1e-6), (0xA1B23C4D, 1e-9)])
def test_pcap_of_both_endians_and_resolutions(order: str, magic: int, tick: float) -> None:
    """Both byte orders, microseconds and nanoseconds, give the same packets and their times."""
    capture = read_capture(pcap([bytes(ETHER / PING)] * 3, order=order, magic=magic))
    assert capture.format == "pcap"
    assert only(capture) == [b"ping"] * 3
    assert capture.groups[0].batch.view().ts.tolist() == pytest.approx([0, 1 + tick, 2 + 2 * tick], abs=1e-10)


def test_pcapng_sections_resolutions_offsets_and_packet_blocks() -> None:
    """Sections of either endian, if_tsresol, if_tsoffset, enhanced, simple and old packet blocks are read."""
    frame = bytes(ETHER / PING)
    nano = struct.pack("<HHB3xHHq", 9, 1, 9, 14, 8, 1000) + bytes(4)
    binary = struct.pack(">HHB3x", 9, 1, 0x8A) + bytes(4)
    old = struct.pack(">HHIIII", 0, 0, 0, 2048, len(frame), len(frame)) + frame
    content = section() + interface() + interface(options=nano)
    content += enhanced(frame, 1_500_000) + enhanced(frame, 2_500_000_000, 1)
    content += block("<", 3, struct.pack("<I", len(frame)) + frame) + block("<", 5, bytes(12))
    content += section(">") + interface(">", options=binary) + enhanced(frame, 1536, 0, ">") + block(">", 2, old)
    capture = read_capture(content)
    assert capture.format == "pcapng"
    assert only(capture) == [b"ping"] * 5
    assert capture.groups[0].batch.to_arrow().column("ts").to_pylist() == [1.5, 1002.5, None, 1.5, 2.0]
    assert capture.warnings == []


@pytest.mark.parametrize("pack", [gzip.compress, lambda raw: pa.compress(raw, "zstd", asbytes=True)])
def test_compressed_captures_are_read_within_a_bound(pack: object) -> None:
    """gzip and zstd are taken off; more than the bound is refused, a missing tail gives the packets before it."""
    frame = bytes(ETHER / PING / Raw(bytes(2)))
    raw = pcap([frame[:-2] + i.to_bytes(2, "big") for i in range(2000)])
    packed = pack(raw)  # type: ignore[operator]
    assert len(only(read_capture(packed))) == 2000
    with pytest.raises(LimitError, match="decompresses"):
        read_capture(packed, limits=CaptureLimits(expanded_bytes=1000))


def test_a_cut_gzip_file_gives_what_came_before() -> None:
    """A gzip file without its end is a partial result with a warning."""
    frame = bytes(ETHER / PING / Raw(bytes(4)))
    raw = pcap([frame[:-4] + bytes([i % 7, i % 11, i % 13, i % 251]) for i in range(5000)])
    packed = gzip.compress(raw)
    capture = read_capture(packed[: len(packed) // 2])
    assert 100 < len(only(capture)) < 5000
    assert any("gzip" in warning for warning in capture.warnings)


def test_zstd_with_frames_of_no_data_or_a_damaged_tail_gives_all_that_is_whole() -> None:
    """A skippable frame in front is stepped over; garbage behind the last frame costs a warning, not the packets."""
    packed = pa.compress(pcap([bytes(ETHER / PING)] * 50), "zstd", asbytes=True)
    skipped = struct.pack("<II", 0x184D2A53, 4) + b"none"
    assert len(only(read_capture(skipped + packed + skipped))) == 50
    capture = read_capture(packed + b"garbage")
    assert len(only(capture)) == 50
    assert any("zstd data is damaged" in warning for warning in capture.warnings)


def cooked(layer: type[Packet], **fields: int) -> bytes:
    """Return a Linux cooked frame."""
    return bytes(layer(**fields) / PING)


ADDRESSES = {f"addr{i}": f"02:00:00:00:00:0{i}" for i in (1, 2, 3)}
WIRELESS = Dot11(type=2, subtype=8, FCfield=1, **ADDRESSES) / Dot11QoS() / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
WIRELESS = bytes(WIRELESS / SNAP(OUI=0, code=0x0800) / PING)
LINKS = {
    "ethernet": (1, bytes(ETHER / PING)),
    "vlan": (1, bytes(ETHER / Dot1Q(vlan=5) / PING)),
    "qinq": (1, bytes(ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=5) / PING)),
    "padded": (1, bytes(ETHER / PING) + bytes(20)),
    "cooked": (113, cooked(CookedLinux, proto=0x0800)),
    "cooked2": (276, cooked(CookedLinuxV2, proto=0x0800)),
    "raw": (101, bytes(PING)),
    "null": (0, bytes(Loopback(type=2) / PING)),
    "loop": (108, struct.pack(">I", 2) + bytes(PING)),
    "wireless": (105, WIRELESS),
    "radiotap": (127, bytes(RadioTap()) + WIRELESS),
    "padded radiotap": (127, bytes(RadioTap(present="Flags", Flags="pad")) + WIRELESS[:26] + bytes(2) + WIRELESS[26:]),
    "timed radiotap": (127, bytes(RadioTap(present="TSFT+Flags+Rate", Flags="FCS")) + WIRELESS + b"\1\2\3\4"),
    "prism": (119, struct.pack("<II", 0x41, 144) + bytes(136) + WIRELESS),
    "avs": (119, struct.pack(">II", 0x80211001, 64) + bytes(56) + WIRELESS),
}


@pytest.mark.parametrize("name", LINKS)
def test_link_layers(name: str) -> None:
    """Each link layer leads to the same UDP payload, without padding."""
    link, frame = LINKS[name]
    capture = read_capture(pcap([frame], link))
    assert [group.name for group in capture.groups] == ["udp_7000"], capture.warnings
    assert only(capture) == [b"ping"]
    row = capture.groups[0].batch.to_arrow().to_pylist()[0]
    assert (row["src"], row["dst"], row["sport"], row["dport"]) == (b"\x0a\0\0\1", b"\x0a\0\0\2", 40000, 7000)


def test_radio_frames_in_parts_are_told_and_left_out() -> None:
    """Fragments of radio frames and frames that hold several are no messages, and the warning says what they are."""
    several, fragment_of = bytearray(WIRELESS), bytearray(WIRELESS)
    several[24] |= 0x80
    fragment_of[22] |= 1
    capture = read_capture(pcap([bytes(several), bytes(fragment_of), WIRELESS], 105))
    assert only(capture) == [b"ping"]
    assert any("2 radio frames" in warning for warning in capture.warnings)


def test_frame_check_sequences_that_the_file_tells_of_are_no_payload() -> None:
    """A pcap whose link type says that frames end with four bytes of check sequence gives payloads without them."""
    frame = bytes(ETHER / Raw(b"goose" * 12)).replace(b"\x90\0", b"\x88\xb8", 1) + b"\1\2\3\4"
    assert only(read_capture(pcap([frame], 1 | 1 << 26 | 2 << 28))) == [b"goose" * 12]


def test_protocols_on_ethernet_on_ip_and_on_unknown_links_are_groups() -> None:
    """EtherTypes, LLC, IP protocols and unknown link types are groups with their number in the name."""
    frames = [
        bytes(ETHER / Raw(b"x")).replace(b"\x90\0", b"\x88\xcc", 1),
        bytes(Dot3(src="02:00:00:00:00:01", dst="01:80:c2:00:00:00") / LLC() / STP()) + bytes(8),
        bytes(ETHER / IP(src="10.0.0.1", dst="10.0.0.2", proto=89) / b"ospf"),
        bytes(ETHER / IPv6(src="fd00::1", dst="fd00::2", nh=89) / b"ospf"),
    ]
    capture = read_capture(pcap(frames))
    assert {group.name: group.batch.payloads() for group in capture.groups} == {
        "eth_88cc": [b"x"],
        "ip_89": [b"ospf", b"ospf"],
        "llc_42": [bytes(STP())],
    }
    assert read_capture(pcap([b"can frame"], link=227)).group("link_227").batch.payloads() == [b"can frame"]


def test_fragments_of_both_ip_versions_are_joined_in_any_order() -> None:
    """Datagrams are rebuilt from fragments in any order and interleaved; one with a missing part is counted as lost."""
    body = bytes(range(256)) * 12
    four = fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=7) / UDP(sport=40000, dport=7000) / body, 1000)
    header = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(id=9)
    six = fragment6(header / UDP(sport=40000, dport=7000) / body, 1280)
    lost = fragment(IP(src="10.0.0.3", dst="10.0.0.2", id=8) / UDP(sport=40000, dport=7000) / body, 1000)[1:]
    packets = [packet for pair in zip(four[::-1], six, strict=False) for packet in pair]
    missing = [p for p in four + six if p not in packets]
    capture = read_capture(pcap([bytes(ETHER / p) for p in [*packets, *missing, *lost, four[0]]]))
    assert only(capture) == [body, body]
    assert capture.counters.fragments_lost == len(lost) + 1
    assert any("fragments" in warning for warning in capture.warnings)


def test_a_fragment_that_comes_twice_counts_once() -> None:
    """Of bytes that are sent twice the first copy stays, also where the second one differs."""
    body = bytes(range(200)) * 15
    parts = fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=7) / UDP(sport=40000, dport=7000) / body, 1000)
    forged = parts[1].copy()
    forged[IP].remove_payload()
    forged.proto = 17
    forged /= Raw(bytes(len(parts[1][IP].payload)))
    capture = read_capture(pcap([bytes(ETHER / p) for p in (parts[0], parts[1], forged, *parts[2:])]))
    assert only(capture) == [body]
    assert capture.counters.fragments_lost == 0


def test_fragments_of_an_old_datagram_are_not_joined_to_a_new_one_of_its_number() -> None:
    """What waits for more than a minute is lost: the datagram that has its number later is its own."""
    old, new = (
        fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=7) / UDP(sport=40000, dport=7000) / (letter * 3000), 1000)
        for letter in (b"a", b"b")
    )
    frames = [bytes(ETHER / p) for p in (old[0], *[PING] * 70, *new)]  # a packet a second
    capture = read_capture(pcap(frames))
    assert [row for row in only(capture) if row != b"ping"] == [b"b" * 3000]
    assert capture.counters.fragments_lost == 1
    assert only(read_capture(pcap(frames[:2] + frames[-2:]))) == [b"ping"]


def test_ipv6_extension_headers_are_stepped_over() -> None:
    """Destination options and an atomic fragment header before UDP do not hide it."""
    packet = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment()
    packet /= UDP(sport=40000, dport=7000) / b"ping"
    assert only(read_capture(pcap([bytes(ETHER / packet)]))) == [b"ping"]


def test_extension_headers_in_reassembled_datagrams_and_before_ipv4_payloads_are_stepped_over() -> None:
    """Destination options that were fragmented with the payload, and AH in IPv4, do not hide UDP."""
    head = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(id=3) / IPv6ExtHdrDestOpt()
    parts = fragment6(head / UDP(sport=40000, dport=7000) / bytes(3000), 1280)
    assert len(parts) > 2
    assert only(read_capture(pcap([bytes(ETHER / part) for part in parts]))) == [bytes(3000)]
    authentication = b"\x11\4" + bytes(22)
    whole = IP(src="10.0.0.1", dst="10.0.0.2", proto=51) / Raw(authentication + bytes(PING)[20:])
    assert only(read_capture(pcap([bytes(ETHER / whole)]))) == [b"ping"]


def segment(client: bool, flags: str, seq: int, data: bytes = b"", ports: tuple[int, int] = (40000, 502)) -> bytes:
    """Return a TCP frame between 10.0.0.1 (client) and 10.0.0.2."""
    src, dst = ("10.0.0.1", "10.0.0.2") if client else ("10.0.0.2", "10.0.0.1")
    sport, dport = ports if client else ports[::-1]
    return bytes(ETHER / IP(src=src, dst=dst) / TCP(sport=sport, dport=dport, seq=seq, flags=flags) / data)


def test_the_sender_of_the_syn_is_the_client_whatever_the_ports() -> None:
    """A SYN decides direction and service port even where the client has the lower port."""
    ports = (900, 50000)
    frames = [segment(True, "S", 1, b"", ports), segment(False, "PA", 5, b"hi", ports)]
    frames.append(segment(True, "PA", 2, b"yo", ports))
    streams = read_capture(pcap(frames)).group("tcp_50000").streams
    found = [(int(streams.direction[i]), streams.stream(i)) for i in range(2)]
    assert found == [(CLIENT_TO_SERVER, b"yo"), (SERVER_TO_CLIENT, b"hi")]


def test_without_a_syn_the_port_that_serves_more_flows_is_the_service() -> None:
    """High service ports are found by their use; one flow alone goes by the lower port."""
    frames = [segment(True, "PA", 1, b"a", (client, 44818)) for client in (1025, 1026, 60000)]
    assert [group.name for group in read_capture(pcap(frames)).groups] == ["tcp_44818"]
    assert [group.name for group in read_capture(pcap(frames[:1])).groups] == ["tcp_1025"]
    assert [group.name for group in read_capture(pcap(frames[:1]), port=44818).groups] == ["tcp_44818"]


def test_port_and_transport_choose_what_is_grouped() -> None:
    """A port keeps only its flows and counts the rest; grouping by transport joins all ports."""
    udp = [bytes(ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=40000, dport=p) / b"x") for p in (7000, 7001)]
    capture = read_capture(pcap([*udp, segment(True, "PA", 1, b"a")]), port=7001)
    assert [group.name for group in capture.groups] == ["udp_7001"]
    assert capture.counters.filtered == 2
    whole = read_capture(pcap([*udp, segment(True, "PA", 1, b"a")]), group="transport")
    assert [(group.name, group.packets) for group in whole.groups] == [("udp", 2), ("tcp", 1)]
    with pytest.raises(NotFoundError, match="udp_9"):
        whole.group("udp_9")
    with pytest.raises(InputError, match="framed"):
        whole.group("tcp").batch.view()


def test_both_directions_of_a_flow_share_its_hash_and_other_flows_do_not() -> None:
    """The flow hash is that of the endpoints in ascending order."""
    there = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=40000, dport=7000) / b"q"
    back = IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=7000, dport=40000) / b"r"
    other = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=40001, dport=7000) / b"q"
    view = read_capture(pcap([bytes(ETHER / p) for p in (there, back, other)])).groups[0].batch.view()
    assert view.flow[0] == view.flow[1] != view.flow[2]
    assert view.direction.tolist() == [CLIENT_TO_SERVER, SERVER_TO_CLIENT, CLIENT_TO_SERVER]
    assert view.number.tolist() == [0, 1, 2]


def test_a_snap_length_marks_what_is_missing(tmp_path: Path) -> None:
    """Cut packets keep the captured part; the missing bytes are counted, and marked in streams."""
    frames = [segment(True, "PA", 1, b"a" * 100), segment(True, "PA", 101, b"b" * 10)]
    frames.append(bytes(ETHER / PING / Raw(bytes(100))))
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(frames, cut=84))
    capture = read_capture(path)
    streams = capture.group("tcp_502").streams
    assert streams.stream(0) == b"a" * 30 + b"b" * 10
    assert streams.segment_gap.tolist() == [0, 70]
    assert capture.group("udp_7000").batch.payloads() == [b"ping" + bytes(38)]
    assert (capture.counters.truncated, capture.counters.lost_bytes) == (2, 70 + 62)
    assert any("snap length" in warning for warning in capture.warnings)


def test_messages_of_streams_carry_the_packet_they_start_in() -> None:
    """Time, direction and ports of a message are those of the packet with its first byte; its number says which."""
    frames = [segment(True, "PA", 1, b"\3ab\2"), segment(False, "PA", 1, b"\2z"), segment(True, "PA", 5, b"c\1")]
    group = read_capture(pcap(frames)).group("tcp_502")
    batch = messages_of(group, LengthFraming(offset=0, width=1, endianness="big", bias=0))
    assert batch.payloads() == [b"\3ab", b"\2c", b"\2z", b"\1"]
    rows = batch.to_arrow().to_pylist()
    assert [packet_and_part(row["number"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert [MessageRef.at("", row["number"]).place for row in rows] == ["0", "0.1", "1", "2"]
    assert [row["ts"] for row in rows] == pytest.approx([0, 0, 1.000001, 2.000002])
    assert [row["direction"] for row in rows] == [1, 1, 2, 1]
    assert [(row["src"], row["sport"]) for row in rows[1:3]] == [(b"\n\0\0\1", 40000), (b"\n\0\0\2", 502)]
    assert len({row["flow"] for row in rows}) == 1


def test_late_bytes_from_before_a_stream_are_counted() -> None:
    """A capture that starts in the middle starts a stream with the first packet seen; earlier bytes are counted."""
    frames = [segment(True, "PA", 11, b"later"), segment(True, "PA", 1, b"early bytes")]
    capture = read_capture(pcap(frames))
    assert capture.group("tcp_502").streams.stream(0) == b"later"
    assert (capture.counters.early_bytes, capture.counters.duplicate_bytes) == (10, 1)
    assert any("before the first packet" in warning for warning in capture.warnings)


def test_packets_of_an_undefined_interface_are_left_out_with_a_warning() -> None:
    """A packet block that names an interface the section lacks is counted; the others are read."""
    frame = bytes(ETHER / PING)
    capture = read_capture(section() + interface() + enhanced(frame, 0, 3) + enhanced(frame, 0))
    assert only(capture) == [b"ping"]
    assert capture.counters.ignored == 1
    assert any("interface" in warning for warning in capture.warnings)
