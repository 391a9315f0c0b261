"""The benchmark's protocols as Scapy, Kaitai's Python runtime and dpkt read them, written as their users would."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import dpkt
from kaitaistruct import BytesIO, KaitaiStream, KaitaiStruct
from scapy.fields import (
    ByteEnumField,
    ByteField,
    FieldLenField,
    IntField,
    PacketListField,
    ShortField,
    StrLenField,
    XIntField,
    XShortField,
)
from scapy.layers.dns import DNS
from scapy.packet import Packet


class ScapyHeader(Packet):
    """The fixed header."""

    name = "Header"
    fields_desc = [
        XShortField("magic", 0x5142),
        ByteField("version", 1),
        ByteEnumField("kind", 0, {}),
        IntField("sequence", 0),
        ShortField("size", 0),
        ShortField("flags", 0),
        IntField("time", 0),
    ]


class ScapyEntry(Packet):
    """One entry of the TLV protocol."""

    name = "Entry"
    fields_desc = [
        ByteField("tag", 1),
        FieldLenField("length", None, length_of="value", fmt="B"),
        StrLenField("value", b"", length_from=lambda packet: packet.length),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """What follows an entry is the next one."""
        return b"", s


class ScapyTlv(Packet):
    """Length, entries and CRC."""

    name = "Tlv"
    fields_desc = [
        XShortField("magic", 0xCAFE),
        ByteField("kind", 1),
        ShortField("sequence", 0),
        FieldLenField("size", None, length_of="entries"),
        PacketListField("entries", [], ScapyEntry, length_from=lambda packet: packet.size),
        XIntField("crc", 0),
    ]


def scapy_reader(layer: type[Packet]) -> Callable[[bytes], object]:
    """Dissect; Scapy reads its fields at once."""
    return lambda message: layer(message)


class KaitaiHeader(KaitaiStruct):
    """The fixed header, as the Kaitai compiler writes it."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self._read()

    def _read(self) -> None:
        self.magic = self._io.read_u2be()
        self.version = self._io.read_u1()
        self.kind = self._io.read_u1()
        self.sequence = self._io.read_u4be()
        self.size = self._io.read_u2be()
        self.flags = self._io.read_u2be()
        self.time = self._io.read_u4be()
        self.body = self._io.read_bytes_full()


class KaitaiLabel(KaitaiStruct):
    """One label or pointer of a name."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self._read()

    def _read(self) -> None:
        self.length = self._io.read_u1()
        if self.length >= 192:
            self.pointer = self._io.read_u1()
        else:
            self.name = self._io.read_bytes(self.length)


class KaitaiName(KaitaiStruct):
    """A domain name."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self._read()

    def _read(self) -> None:
        self.labels = []
        while True:
            label = KaitaiLabel(self._io)
            self.labels.append(label)
            if label.length == 0 or label.length >= 192:
                break


class KaitaiQuestion(KaitaiStruct):
    """A question."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self.name = KaitaiName(self._io)
        self.type = self._io.read_u2be()
        self.query_class = self._io.read_u2be()


class KaitaiRecord(KaitaiStruct):
    """A resource record."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self.name = KaitaiName(self._io)
        self.type = self._io.read_u2be()
        self.answer_class = self._io.read_u2be()
        self.ttl = self._io.read_u4be()
        self.size = self._io.read_u2be()
        self.data = self._io.read_bytes(self.size)


class KaitaiDns(KaitaiStruct):
    """A DNS message."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self._read()

    def _read(self) -> None:
        self.id = self._io.read_u2be()
        self.flags = self._io.read_u2be()
        self.qdcount = self._io.read_u2be()
        self.ancount = self._io.read_u2be()
        self.nscount = self._io.read_u2be()
        self.arcount = self._io.read_u2be()
        self.queries = [KaitaiQuestion(self._io) for _ in range(self.qdcount)]
        self.answers = [KaitaiRecord(self._io) for _ in range(self.ancount)]
        self.authorities = [KaitaiRecord(self._io) for _ in range(self.nscount)]
        self.additionals = [KaitaiRecord(self._io) for _ in range(self.arcount)]


class KaitaiEntry(KaitaiStruct):
    """One entry of the TLV protocol."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self.tag = self._io.read_u1()
        self.length = self._io.read_u1()
        self.value = self._io.read_bytes(self.length)


class KaitaiEntries(KaitaiStruct):
    """The body of the TLV protocol."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self.entries = []
        while not self._io.is_eof():
            self.entries.append(KaitaiEntry(self._io))


class KaitaiTlv(KaitaiStruct):
    """Length, entries and CRC."""

    def __init__(self, stream: KaitaiStream) -> None:
        super().__init__(stream)
        self._read()

    def _read(self) -> None:
        self.magic = self._io.read_u2be()
        self.kind = self._io.read_u1()
        self.sequence = self._io.read_u2be()
        self.size = self._io.read_u2be()
        self._raw_body = self._io.read_bytes(self.size)
        self.body = KaitaiEntries(KaitaiStream(BytesIO(self._raw_body)))
        self.crc = self._io.read_u4be()


def kaitai_reader(struct_type: type[KaitaiStruct]) -> Callable[[bytes], object]:
    """Read as ``from_bytes`` does."""
    return lambda message: struct_type(KaitaiStream(BytesIO(message)))


class DpktHeader(dpkt.Packet):
    """The fixed header."""

    __hdr__ = (
        ("magic", "H", 0x5142),
        ("version", "B", 1),
        ("kind", "B", 0),
        ("sequence", "I", 0),
        ("size", "H", 0),
        ("flags", "H", 0),
        ("time", "I", 0),
    )


class DpktTlv(dpkt.Packet):
    """Length, entries and CRC."""

    __hdr__ = (("magic", "H", 0xCAFE), ("kind", "B", 1), ("sequence", "H", 0), ("size", "H", 0))

    def unpack(self, buf: bytes) -> None:
        """Read the header, then the entries."""
        dpkt.Packet.unpack(self, buf)
        self.entries: list[DpktEntry] = []
        data: Any = self.data[: self.size]
        while data:
            entry = DpktEntry(data)
            self.entries.append(entry)
            data = data[len(entry) :]
        self.crc = struct.unpack(">I", self.data[self.size :])[0]


class DpktEntry(dpkt.Packet):
    """One entry of the TLV protocol."""

    __hdr__ = (("tag", "B", 1), ("length", "B", 0))

    def unpack(self, buf: bytes) -> None:
        """Read tag and length, then the value."""
        dpkt.Packet.unpack(self, buf)
        self.data = self.data[: self.length]


READERS: dict[str, dict[str, Callable[[bytes], object]]] = {
    "header": {"scapy": scapy_reader(ScapyHeader), "kaitai": kaitai_reader(KaitaiHeader), "dpkt": DpktHeader},
    "dns": {"scapy": scapy_reader(DNS), "kaitai": kaitai_reader(KaitaiDns), "dpkt": dpkt.dns.DNS},
    "tlv": {"scapy": scapy_reader(ScapyTlv), "kaitai": kaitai_reader(KaitaiTlv), "dpkt": DpktTlv},
}
