"""Checksums against published values, reference implementations and their own definition bit by bit."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.checksums import checksum_values, reflect
from qbitel.discovery.crc_catalogue import CATALOGUE, CrcParameters, catalogue_name
from qbitel.discovery.spec import Checksum

DIGITS = b"123456789"


def value(payload: bytes, constraint: Checksum, width: int, start: int = 0, little: bool = False) -> int:
    """The checksum of one message."""
    view = MessageBatch.from_payloads([payload]).view()
    row = np.zeros(1, np.int64)
    return int(checksum_values(view, row, constraint, row + start, width, little)[0])


def crc(parameters: CrcParameters) -> Checksum:
    """A catalogue entry as a constraint over the whole message."""
    return Checksum(
        algorithm="crc", poly=parameters.poly, init=parameters.init, refin=parameters.refin,
        refout=parameters.refout, xorout=parameters.xorout,
    )  # fmt: skip


@pytest.mark.parametrize("parameters", CATALOGUE, ids=lambda p: p.name)
def test_catalogue_check_values(parameters: CrcParameters) -> None:
    """Each algorithm of the catalogue gives its published value for the digits 1 to 9."""
    assert value(DIGITS, crc(parameters), parameters.width // 8) == parameters.check


def test_catalogue_names_its_own_entries() -> None:
    """Parameters lead back to their name, and unknown ones to none."""
    assert {catalogue_name(*entry[:1], *entry[2:7]) for entry in CATALOGUE} == {entry.name for entry in CATALOGUE}
    assert catalogue_name(16, 0x1234, 0, False, False, 0) == ""


def crc_by_bits(payload: bytes, width: int, poly: int, init: int, refin: bool, refout: bool, xorout: int) -> int:
    """The Rocksoft model, one bit after the other."""
    register = init
    for byte in payload:
        for bit in range(8) if refin else range(7, -1, -1):
            top = (register >> (width - 1)) & 1
            register = (register << 1) & ((1 << width) - 1)
            if top ^ ((byte >> bit) & 1):
                register ^= poly
    return (reflect(register, width) if refout else register) ^ xorout


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=24), st.sampled_from([1, 2, 3, 4, 8]), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1),
    st.booleans(), st.booleans(), st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_crc_follows_its_definition(
    payload: bytes, width: int, poly: int, init: int, refin: bool, refout: bool, xorout: int
) -> None:
    """The table form of any parameters equals the bitwise definition."""
    full = (1 << (8 * width)) - 1
    poly, init, xorout = (poly & full) | 1, init & full, xorout & full
    constraint = Checksum(algorithm="crc", poly=poly, init=init, refin=refin, refout=refout, xorout=xorout)
    assert value(payload, constraint, width) == crc_by_bits(payload, 8 * width, poly, init, refin, refout, xorout)


@given(st.binary(max_size=40))
def test_adler_is_zlib_adler(payload: bytes) -> None:
    """Adler-32 is that of zlib."""
    assert value(payload, Checksum(algorithm="adler32"), 4) == zlib.adler32(payload)


def test_fletcher_published_values() -> None:
    """Fletcher-16 and Fletcher-32 of abcdef have their published values; modulus 256 is that of RFC 1145."""
    assert value(b"abcdef", Checksum(algorithm="fletcher"), 2) == 0x2057
    assert value(b"abcdef", Checksum(algorithm="fletcher"), 4, little=True) == 0x56502D2A
    assert value(bytes([1, 2, 3]), Checksum(algorithm="fletcher", poly=256), 2) == (10 << 8) | 6


def test_internet_checksum_of_a_header() -> None:
    """The checksum of an IPv4 header with its own bytes read as zero is the one it carries."""
    header = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")
    assert value(header, Checksum(algorithm="internet", own_bytes="zeroed"), 2, start=10) == 0xB861
    assert value(header[:7], Checksum(algorithm="internet"), 2) == 0xFFFF - (0x4500 + 0x0073 + 0x4000)


def test_sum_and_xor_units_order_and_complement() -> None:
    """Units have the field's width and order unless said otherwise, and xorout with init gives a negated sum."""
    message = bytes([0x12, 0x34, 0x01, 0x02, 0x03])
    assert value(message, Checksum(algorithm="sum"), 2) == 0x1234 + 0x0102 + 0x0300
    assert value(message, Checksum(algorithm="sum"), 2, little=True) == 0x3412 + 0x0201 + 0x0003
    assert value(message, Checksum(algorithm="sum", unit=1), 2) == sum(message)
    assert value(message, Checksum(algorithm="sum", init=0xFF, xorout=0xFF), 1) == -sum(message) % 256
    assert value(message, Checksum(algorithm="xor"), 1) == 0x12 ^ 0x34 ^ 0x01 ^ 0x02 ^ 0x03
    assert value(message, Checksum(algorithm="xor", init=0x00FF), 2) == 0x1234 ^ 0x0102 ^ 0x0300 ^ 0xFF


def test_region_and_own_bytes() -> None:
    """A region counts from the front and the end; own bytes are left out, zeroed or read."""
    message = bytes([9, 1, 2, 3, 50])
    assert value(message, Checksum(algorithm="sum", start=1, end=-1), 1, start=4) == 6
    assert value(message, Checksum(algorithm="sum", start=0, end=3), 1, start=4) == 12
    assert value(message, Checksum(algorithm="sum", own_bytes="excluded"), 1, start=0) == 56
    assert value(message, Checksum(algorithm="crc", poly=7, own_bytes="zeroed"), 1, start=2) == value(
        bytes([9, 1, 0, 3, 50]), Checksum(algorithm="crc", poly=7), 1
    )
    assert value(b"", Checksum(algorithm="sum", start=4, end=-2), 1) == 0
