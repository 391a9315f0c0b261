"""Framing at the basic level; addresses, times and numbers in every encoding at the strict one."""

from __future__ import annotations

import struct

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.spec import (
    Address,
    Constraint,
    DelimiterFraming,
    DirectedFraming,
    Field,
    Fixed,
    FixedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
    MessageType,
    ProtocolSpec,
    Range,
    Rest,
    SelfDelimiting,
    Timestamp,
)
from qbitel.discovery.validator import MessageValidator

LENGTH = LengthFraming(offset=1, width=2, endianness="little", bias=3, magic=b"\xaa")


def spec_with(*elements: Field, framing: Framing | None = None) -> ProtocolSpec:
    """One type for every message."""
    kind = MessageType(name="any", elements=list(elements) or [Field(name="all", width=Rest())])
    return ProtocolSpec(types=[kind]) if framing is None else ProtocolSpec(types=[kind], framing=framing)


@pytest.mark.parametrize(
    ("framing", "good", "bad"),
    [
        (LENGTH, [b"\xaa\x02\x00ab", b"\xaa\x00\x00"], [b"\xaa\x02\x00abc", b"\xaa\x02", b"", b"\xab\x02\x00ab"]),
        (DelimiterFraming(delimiter=b"\r\n"), [b"x\r\n", b"\r\n"], [b"x\r", b"\n", b""]),
        (FixedFraming(size=3), [b"abc"], [b"ab", b"abcd"]),
        (LengthFraming(offset=0, width=5, endianness="big", encoding="ber"), [b"\x81\x02ab"], [b"\x82\0", b"\x03ab"]),
        (LengthFraming(offset=0, width=2, endianness="big", mask=0xFF), [b"\x91\x03c"], [b"\x91\x04c"]),
        (HeaderFraming(end=b"\n\n", name=b"size="), [b"SIZE=1\n\nx", b"a\n\n"], [b"size=1\n\n", b"a\n"]),
        (
            DirectedFraming(client_to_server=FixedFraming(size=3), server_to_client=FixedFraming(size=2)),
            [b"abc"],
            [b"ab"],
        ),
    ],
)
def test_basic_holds_messages_to_their_framing(framing: Framing, good: list[bytes], bad: list[bytes]) -> None:
    """A message that is not framed as its stream is cut is refused at the basic level, over all its bytes."""
    validator = MessageValidator(spec_with(framing=framing), "basic")
    result = validator.validate_batch(MessageBatch.from_payloads(good + bad))
    assert result.valid.tolist() == [True] * len(good) + [False] * len(bad)
    for row, message in enumerate(bad, len(good)):
        violation = result.verdict(row).violations[0]
        assert (violation.rule, violation.start, violation.length) == ("framing", 0, len(message))


def test_an_address_is_that_of_the_endpoint() -> None:
    """The bytes are compared with the flow's own address where that is known and of the same form."""
    constraint = Address(form="ipv4", endpoint="source")
    spec = spec_with(Field(name="me", width=Fixed(size=4), constraints=[constraint]))
    payloads = [b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\2", b"\x0a\0\0\2"]
    batch = MessageBatch.from_payloads(payloads, src=[b"\x0a\0\0\1", b"\x0a\0\0\1", None, bytes(16)])
    validator = MessageValidator(spec, "strict")
    assert validator.validate_batch(batch).valid.tolist() == [True, False, True, True]
    assert validator.validate_batch(batch.slice(1)).valid.tolist() == [False, True, True]
    assert validator.validate_batch(batch.view()).valid.all()  # a view knows no addresses


def test_a_time_is_near_that_of_the_capture() -> None:
    """A time more than a day away is a violation; one that was never set is not."""
    field = Field(
        name="at",
        width=Fixed(size=4),
        encoding="uint",
        endianness="big",
        constraints=[Timestamp(form="unix_s")],
    )
    times = [1_700_000_100, 1_700_100_000, 0, 1_699_950_000]
    batch = MessageBatch.from_payloads([struct.pack(">I", t) for t in times], ts=[1_700_000_000.0] * 4)
    result = MessageValidator(spec_with(field), "strict").validate_batch(batch)
    assert result.valid.tolist() == [True, False, True, True]
    assert result.verdict(1).violations[0].rule == "timestamp"


@pytest.mark.parametrize(
    ("form", "encoding", "good", "bad"),
    [
        ("leb128", "leb128", b"\xac\x02", b"\xad\x02"),
        ("ber_length", "ber_length", b"\x82\x01\x2c", b"\x82\x01\x2d"),
    ],
)
def test_ranges_read_numbers_as_they_are_encoded(form: str, encoding: str, good: bytes, bad: bytes) -> None:
    """300 lies within 0 to 300 as a varint and as a BER length; 301 does not."""
    constraints: list[Constraint] = [Range(minimum=0, maximum=300)]
    field = Field(
        name="n",
        width=SelfDelimiting(form=form),  # type: ignore[arg-type]
        encoding=encoding,  # type: ignore[arg-type]
        constraints=constraints,
    )
    validator = MessageValidator(spec_with(field), "strict")
    assert validator.validate(good).valid
    assert [v.rule for v in validator.validate(bad).violations] == ["range"]
