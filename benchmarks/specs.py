"""Specifications written by hand, with messages to match: a fixed header, DNS, and length + TLV + CRC."""

from __future__ import annotations

import random
import zlib

import dns.message
import dns.rrset

from qbitel.discovery.spec import (
    Checksum,
    Constant,
    Element,
    Enum,
    Field,
    Fixed,
    FromLength,
    Length,
    MessageType,
    ProtocolSpec,
    Range,
    Repeat,
    Rest,
    SelfDelimiting,
    Times,
    ToEnd,
    ValueGuard,
)


def number(name: str, size: int, **parts: object) -> Field:
    """A big-endian number of so many bytes."""
    return Field.model_validate(
        {"name": name, "width": Fixed(size=size), "encoding": "uint", "endianness": "big", **parts}
    )


HEADER = ProtocolSpec(
    protocol="header",
    types=[
        MessageType(
            name="message",
            guards=[ValueGuard(offset=0, width=2, values=[b"\x51\x42"])],
            elements=[
                number("magic", 2, constraints=[Constant(value=b"\x51\x42")]),
                number("version", 1, constraints=[Range(minimum=1, maximum=3)]),
                number("kind", 1, constraints=[Enum(values=[bytes([kind]) for kind in range(8)])]),
                number("sequence", 4),
                number("size", 2, constraints=[Length(of="rest")]),
                number("flags", 2),
                number("time", 4),
                Field(name="body", width=Rest()),
            ],
        )
    ],
)

QUESTION: list[Element] = [
    Field(name="name", width=SelfDelimiting(form="labels")),
    number("type", 2),
    number("class", 2),
]
RECORD: list[Element] = [
    Field(name="name", width=SelfDelimiting(form="labels")),
    number("type", 2),
    number("class", 2),
    number("ttl", 4),
    number("size", 2),
    Field(name="data", width=FromLength(field="size")),
]


def _dns(name: str, bit: bytes) -> MessageType:
    sections = {"answers": "answer_count", "authorities": "authority_count", "additionals": "additional_count"}
    return MessageType(
        name=name,
        guards=[ValueGuard(offset=2, width=1, mask=b"\x80", values=[bit])],
        elements=[
            number("id", 2),
            number("flags", 2),
            number("question_count", 2),
            *(number(count, 2) for count in sections.values()),
            Repeat(name="questions", stop=Times(field="question_count"), group="question"),
            *(Repeat(name=s, stop=Times(field=count), group="record") for s, count in sections.items()),
        ],
    )


DNS = ProtocolSpec(
    protocol="dns",
    groups={"question": QUESTION, "record": RECORD},
    types=[_dns("query", b"\x00"), _dns("response", b"\x80")],
)

TLV = ProtocolSpec(
    protocol="tlv",
    types=[
        MessageType(
            name="message",
            guards=[ValueGuard(offset=0, width=2, values=[b"\xca\xfe"])],
            elements=[
                number("magic", 2, constraints=[Constant(value=b"\xca\xfe")]),
                number("kind", 1, constraints=[Enum(values=[bytes([kind]) for kind in range(1, 9)])]),
                number("sequence", 2),
                number("size", 2, constraints=[Length(of="field", target="body")]),
                Field(
                    name="body",
                    width=FromLength(field="size"),
                    elements=[
                        Repeat(
                            name="entries",
                            stop=ToEnd(),
                            elements=[
                                number("tag", 1, constraints=[Range(minimum=1, maximum=31)]),
                                number("length", 1),
                                Field(name="value", width=FromLength(field="length")),
                            ],
                        )
                    ],
                ),
                number(
                    "crc",
                    4,
                    constraints=[
                        Checksum(
                            algorithm="crc",
                            start=0,
                            end=-4,
                            poly=0x04C11DB7,
                            init=0xFFFFFFFF,
                            refin=True,
                            refout=True,
                            xorout=0xFFFFFFFF,
                        )
                    ],
                ),
            ],
        )
    ],
)


def header_messages(count: int, seed: int = 1) -> list[bytes]:
    """Messages of 48 bytes: 16 of header, 32 of body."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        head = b"\x51\x42" + bytes([rng.randint(1, 3), rng.randrange(8)]) + index.to_bytes(4, "big") + b"\x00\x26"
        made.append(head + rng.randbytes(38))
    return made


def dns_messages(count: int, seed: int = 1) -> list[bytes]:
    """Queries and responses (A, AAAA, CNAME, MX; one to three records, names compressed) by dnspython."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        name = f"host{rng.randrange(1000)}.{rng.choice(['example', 'test', 'invalid'])}.net."
        query = dns.message.make_query(name, rng.choice(["A", "AAAA", "MX"]), use_edns=False)
        query.id = index & 0xFFFF
        if index % 2 == 0:
            made.append(query.to_wire())
            continue
        response = dns.message.make_response(query)
        addresses = [f"192.0.2.{rng.randrange(1, 255)}" for _ in range(rng.randint(1, 2))]
        response.answer.append(dns.rrset.from_text(name, 300, "IN", "A", *addresses))
        if rng.random() < 0.5:
            response.answer.append(dns.rrset.from_text(f"www.{name}", 60, "IN", "CNAME", name))
        made.append(response.to_wire())
    return made


def tlv_messages(count: int, seed: int = 1) -> list[bytes]:
    """Magic, kind, sequence, size, one to four entries of up to 16 bytes, CRC-32."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        entries = b""
        for _ in range(rng.randint(1, 4)):
            value = rng.randbytes(rng.randint(0, 16))
            entries += bytes([rng.randint(1, 31), len(value)]) + value
        head = b"\xca\xfe" + bytes([rng.randint(1, 8)]) + (index & 0xFFFF).to_bytes(2, "big")
        body = head + len(entries).to_bytes(2, "big") + entries
        made.append(body + zlib.crc32(body).to_bytes(4, "big"))
    return made
