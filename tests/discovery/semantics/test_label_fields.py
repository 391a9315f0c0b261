"""Fields of a given layout are labelled by their values; held-out messages refute what does not hold."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.semantics import label_fields
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import (
    Checksum,
    Constant,
    Count,
    Element,
    Enum,
    Field,
    Fixed,
    Flags,
    FromLength,
    KeyField,
    Length,
    MessageType,
    Opaque,
    Padding,
    ProtocolSpec,
    Range,
    Repeat,
    Rest,
    Text,
    Times,
    ValueGuard,
    walk,
)  # fmt: skip
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings()
RNG = np.random.default_rng(1)


def sample_of(payloads: list[bytes]) -> Sample:
    """The sample of these messages."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(MessageBatch.from_payloads(payloads), "cd" * 8)
    return statistics.sample()


def labelled(payloads: list[bytes], elements: list[Element]) -> tuple[dict[str, Field], ProtocolSpec]:
    """The fields by name after labelling one type of this layout."""
    spec = ProtocolSpec(types=[MessageType(name="t", elements=elements)])
    spec = label_fields(spec, sample_of(payloads), SETTINGS)
    return {e.name: e for e in walk(spec.types[0].elements) if isinstance(e, Field)}, spec


def number(name: str, size: int) -> Field:
    """A number of fixed width that nobody labelled yet."""
    return Field(name=name, width=Fixed(size=size), encoding="uint", endianness="big" if size > 1 else None)


def test_magic_enum_range_and_identifier() -> None:
    """A constant at the front is magic, few values an enum, many a range, all different ones an identifier."""
    messages = [
        b"\xca\xfe" + bytes([RNG.choice([1, 2, 5])]) + struct.pack(">H", int(RNG.integers(100, 900))) + RNG.bytes(4)
        for _ in range(300)
    ]
    fields, spec = labelled(messages, [number("a", 2), number("b", 1), number("c", 2), number("d", 4)])
    assert (fields["a"].semantic, fields["a"].constraints) == ("magic", [Constant(value=b"\xca\xfe")])
    assert (fields["b"].semantic, fields["b"].constraints) == ("enum", [Enum(values=[b"\1", b"\2", b"\5"])])
    assert fields["c"].semantic == "integer"
    (bounds,) = fields["c"].constraints
    assert isinstance(bounds, Range) and 100 <= bounds.minimum < bounds.maximum < 900
    assert fields["d"].semantic == "identifier"
    assert {"constant:t.a", "enum:t.b", "range:t.c", "field:t.d"} <= set(spec.evidence)
    assert spec.evidence["enum:t.b"].held_out_trials > 0


def test_held_out_messages_refute_an_enum() -> None:
    """Values that only held-out messages have refute a closed set of values."""
    sample = sample_of([bytes([int(RNG.choice([1, 2, 3]))]) + RNG.bytes(6) for _ in range(400)])
    starts = sample.view.starts[sample.held_out]
    data = sample.view.data.copy()
    data[starts[::4]] = 0x77
    changed = Sample(**{**sample.__dict__, "view": type(sample.view)(**{**sample.view.__dict__, "data": data})})
    spec = ProtocolSpec(types=[MessageType(name="t", elements=[number("a", 1), Field(name="b", width=Fixed(size=6))])])
    field = label_fields(spec, changed, SETTINGS).types[0].elements[0]
    assert isinstance(field, Field)
    assert all(c.kind != "enum" for c in field.constraints)


def test_flags() -> None:
    """Bits that are set alone and together are flags, and their mask is kept."""
    messages = [bytes([int(RNG.choice([0x01, 0x02, 0x10, 0x12, 0x80, 0x11]))]) + RNG.bytes(6) for _ in range(300)]
    fields, _ = labelled(messages, [number("a", 1), Field(name="b", width=Fixed(size=6))])
    assert (fields["a"].semantic, fields["a"].constraints) == ("flags", [Flags(mask=b"\x93")])


def test_count_before_a_zero_is_no_flags() -> None:
    """Numbers from 0 to 9 in the high byte of two: far apart as they stand, but not from the other end."""
    messages = [bytes([int(RNG.integers(0, 10)), 0]) + RNG.bytes(6) for _ in range(300)]
    fields, _ = labelled(messages, [number("a", 2), Field(name="b", width=Fixed(size=6))])
    assert fields["a"].semantic != "flags"


@pytest.mark.parametrize(
    ("encode", "charset", "padding", "encoding"),
    [
        (lambda t: t.encode(), "ascii", None, "ascii"),
        (lambda t: t.encode().ljust(24, b"\0"), "ascii", b"\0", "ascii"),
        (lambda t: t.encode("utf-16-le"), "utf-16le", None, "utf16"),
        (lambda t: (t + "é").encode(), "utf-8", None, "utf8"),
    ],
)
def test_text(encode: object, charset: str, padding: bytes | None, encoding: str) -> None:
    """Text is labelled with its character set and padding."""
    words = ["pump", "valve", "tank", "motor", "sensor"]
    messages = [bytes([i % 7]) + encode(f"{words[i % 5]}-{i}") for i in range(200)]  # type: ignore[operator]
    fields, _ = labelled(messages, [number("a", 1), Field(name="b", width=Rest())])
    assert (fields["b"].semantic, fields["b"].encoding) == ("text", encoding)
    assert fields["b"].constraints == [Text(charset=charset, padding=padding)]  # type: ignore[arg-type]


def test_float_bcd_padding_and_opaque() -> None:
    """Floating point, packed digits, padding and random bytes are told apart."""
    messages = []
    for i in range(400):
        digits = bytes(int(d) * 16 + int(e) for d, e in RNG.integers(0, 10, (3, 2)))
        real = struct.pack("<f", float(RNG.normal() * 10.0 ** RNG.integers(-1, 4)))
        messages.append(real + digits + RNG.bytes(24) + bytes(int(i % 5)))
    layout: list[Element] = [
        number("real", 4), Field(name="digits", width=Fixed(size=3)), Field(name="body", width=Fixed(size=24)),
        Field(name="tail", width=Rest()),
    ]  # fmt: skip
    fields, _ = labelled(messages, layout)
    assert (fields["real"].semantic, fields["real"].encoding, fields["real"].endianness) == ("float", "float", "little")
    assert (fields["digits"].semantic, fields["digits"].encoding) == ("bcd", "bcd")
    assert (fields["body"].semantic, fields["body"].constraints) == ("opaque", [Opaque()])
    assert (fields["tail"].semantic, fields["tail"].constraints) == ("padding", [Padding(byte=0)])


def test_roles_of_the_layout() -> None:
    """The field that a width refers to is a length, the one that a repeat refers to a count."""
    messages = []
    for _ in range(100):
        body, items = RNG.bytes(int(RNG.integers(1, 9))), int(RNG.integers(1, 5))
        messages.append(bytes([len(body)]) + body + bytes([items]) + RNG.bytes(2 * items))
    layout: list[Element] = [
        number("a", 1), Field(name="b", width=FromLength(field="a")), number("c", 1),
        Repeat(name="items", stop=Times(field="c"), elements=[number("d", 2)]),
    ]  # fmt: skip
    fields, _ = labelled(messages, layout)
    assert (fields["a"].semantic, fields["a"].constraints) == ("length", [Length(of="field", target="b")])
    assert (fields["c"].semantic, fields["c"].constraints) == ("count", [Count(target="items")])


def test_byte_order_is_decided_together() -> None:
    """Numbers that show no order of their own are read like the others."""
    draws = [(*RNG.integers(300, 1500, 3), RNG.integers(0, 65536)) for _ in range(200)]
    messages = [struct.pack("<HHIH", *(int(value) for value in draw)) for draw in draws]
    fields, _ = labelled(messages, [number("a", 2), number("b", 2), number("c", 4), number("d", 2)])
    assert [fields[name].endianness for name in "abcd"] == ["little"] * 4


def crc16_modbus(body: bytes) -> int:
    """CRC-16/MODBUS bit by bit."""
    register = 0xFFFF
    for byte in body:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register


def test_a_reflected_crc_says_nothing_of_the_order_of_numbers() -> None:
    """CRC-16/MODBUS goes low byte first by convention; a number that shows no order of its own stays big-endian."""
    draws = [(int(RNG.integers(300, 1500)), int(RNG.integers(0, 65536)), RNG.bytes(4)) for _ in range(200)]
    bodies = [struct.pack(">HH4s", *draw) for draw in draws]
    crc = Checksum(algorithm="crc", end=-2, poly=0x8005, init=0xFFFF, refin=True, refout=True, name="CRC-16/MODBUS")
    messages = [body + struct.pack("<H", crc16_modbus(body)) for body in bodies]
    check = number("crc", 2).model_copy(update={"endianness": "little", "constraints": [crc]})
    fields, _ = labelled(messages, [number("a", 2), number("b", 2), number("c", 4), check])
    assert [fields[name].endianness for name in "ab"] == ["big", "big"]


def test_a_place_shared_by_types_has_one_meaning() -> None:
    """The key is the type; a header field that is constant in each type but not in all is no constant."""
    messages = [bytes([kind, 7 if kind == 1 else 9]) + RNG.bytes(4) for kind in (1, 2) for _ in range(80)]
    types = [
        MessageType(
            name=f"t{kind}",
            guards=[ValueGuard(offset=0, width=1, values=[bytes([kind])])],
            elements=[number("kind", 1), number("x", 1), Field(name="y", width=Fixed(size=4))],
        )
        for kind in (1, 2)
    ]
    spec = ProtocolSpec(types=types, key=KeyField(offset=0, width=1))
    spec = label_fields(spec, sample_of(messages), SETTINGS)
    first = [e for t in spec.types for e in t.elements if isinstance(e, Field)]
    assert [f.semantic for f in first if f.name == "kind"] == ["type", "type"]
    assert [f.semantic for f in first if f.name == "x"] == ["enum", "enum"]


def test_nothing_to_read_changes_nothing() -> None:
    """No types or no messages give the specification back."""
    assert label_fields(ProtocolSpec(), sample_of([b"a"]), SETTINGS) == ProtocolSpec()
