"""Checksums of blocks: found from messages, read by the parser, checked by the validator, built again."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.checksums import region_values
from qbitel.discovery.crc_catalogue import CATALOGUE
from qbitel.discovery.findings import Finding
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.discovery.relations import find_relations
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Checksum, Field, ProtocolSpec
from qbitel.discovery.statistics import MessageStatistics
from qbitel.discovery.validator import MessageValidator

Sum = Callable[[bytes], bytes]


def crc(name: str, little: bool) -> Sum:
    """Return a CRC of the catalogue, computed bit by bit."""
    entry = next(c for c in CATALOGUE if c.name == name)
    full, top = (1 << entry.width) - 1, 1 << (entry.width - 1)

    def of(data: bytes) -> bytes:
        register = entry.init
        for byte in data:
            for bit in range(8):
                fed = byte >> (bit if entry.refin else 7 - bit) & 1
                register = (register << 1 & full) ^ (entry.poly if bool(register & top) ^ bool(fed) else 0)
        if entry.refout:
            register = int(f"{register:0{entry.width}b}"[::-1], 2)
        return (register ^ entry.xorout).to_bytes(entry.width // 8, "little" if little else "big")

    return of


def computed(checksum: Checksum, width: int, little: bool) -> Sum:
    """Return a checksum as the engine computes it."""

    def of(data: bytes) -> bytes:
        octets, first, last = np.frombuffer(data + bytes(width), np.uint8), np.array([0]), np.array([len(data)])
        value = int(region_values(octets, first, last, checksum, last, width, little)[0])
        return value.to_bytes(width, "little" if little else "big")

    return of


def framed(checksum: Sum, size: int, header: int, body: bytes, seed: random.Random) -> bytes:
    """Return a message: a header of so many bytes and its checksum, then blocks with theirs."""
    front = bytes([0x68, len(body) & 0xFF]) + bytes(seed.choice((1, 2, 3, 4, 9)) for _ in range(header - 2))
    parts = [front, checksum(front)] if header else []
    for at in range(0, len(body), size):
        parts += [body[at : at + size], checksum(body[at : at + size])]
    return b"".join(parts)


def traffic(checksum: Sum, size: int, header: int, longest: int = 0) -> list[bytes]:
    """Return messages of which some have no body and others several blocks."""
    seed = random.Random(size * 64 + header)
    bodies = [bytes([seed.choice((1, 2))]) + seed.randbytes(seed.randrange(4, longest or 4 * size)) for _ in range(240)]
    return [framed(checksum, size, header, b"" if header and n % 12 == 0 else b, seed) for n, b in enumerate(bodies)]


def checksums(messages: list[bytes]) -> list[Finding]:
    """The checksums that are found where all messages are of one type."""
    settings = DiscoverySettings()
    statistics = MessageStatistics(settings)
    statistics.update(MessageBatch.from_payloads(messages), "ab" * 8)
    sample = statistics.sample()
    found = find_relations(sample, np.zeros(len(sample.view), np.int32), 1, settings)
    return [finding for finding in found if finding.semantic == "checksum"]


@pytest.mark.parametrize(
    ("name", "little", "size", "header"),
    [
        ("CRC-16/DNP", True, 16, 8), ("CRC-16/EN-13757", False, 16, 10), ("CRC-32/ISO-HDLC", True, 64, 12),
        ("CRC-16/MODBUS", True, 8, 0), ("CRC-8/SMBUS", False, 12, 6),
    ],
)  # fmt: skip
def test_checksums_of_blocks_of_any_size(name: str, little: bool, size: int, header: int) -> None:
    """The checksum behind a header and each block is found with its parameters, whatever the sizes."""
    found = checksums(traffic(crc(name, little), size, header))
    width = 1 if "8/" in name else 4 if "32" in name else 2
    blocks = found[-1]
    assert (blocks.start, blocks.width, blocks.block) == (header + width if header else 0, width, size)
    assert blocks.constraint is not None and blocks.constraint.name == name
    assert [(f.start, f.block) for f in found[:-1]] == ([(header, 0)] if header else [])


def end_of_header(header: int, width: int, size: int) -> int:
    """Where blocks begin behind a header with its checksum; one as long as a block is a block."""
    return header + width if header not in (0, size) else 0


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 32))
def test_any_polynomial_and_any_size(seed: int) -> None:
    """Generator, init and xorout of a random CRC are recovered from blocks of any size, behind a header or none."""
    draw = random.Random(seed)
    width, reflected = draw.choice((1, 2, 4)), draw.random() < 0.5
    bits, size, header = 8 * width, draw.randrange(4, 65), draw.choice((0, *range(4, 13)))
    parameters = {"poly": draw.getrandbits(bits) | 1, "init": draw.getrandbits(bits), "xorout": draw.getrandbits(bits)}
    constraint = Checksum(algorithm="crc", refin=reflected, refout=reflected, **parameters)
    found = checksums(traffic(computed(constraint, width, reflected), size, header))[-1]
    assert (found.start, found.width, found.block) == (end_of_header(header, width, size), width, size)
    assert found.evidence.held_out_support == found.evidence.held_out_trials > 0


SUMS = [
    (Checksum(algorithm="sum", unit=1), 1), (Checksum(algorithm="sum", unit=1, init=7, xorout=0xFFFF), 2),
    (Checksum(algorithm="fletcher"), 2), (Checksum(algorithm="internet"), 2), (Checksum(algorithm="xor", init=0x55), 1),
]  # fmt: skip


@pytest.mark.parametrize(("checksum", "width"), SUMS, ids=lambda value: getattr(value, "algorithm", None))
@pytest.mark.parametrize(("size", "header"), [(11, 0), (24, 7)])
def test_sums_of_blocks(checksum: Checksum, width: int, size: int, header: int) -> None:
    """Blocks with sums, XOR, Fletcher or Internet checksums are found as those with CRCs are."""
    found = checksums(traffic(computed(checksum, width, False), size, header))[-1]
    assert (found.start, found.width, found.block) == (end_of_header(header, width, size), width, size)
    assert isinstance(found.constraint, Checksum) and found.constraint.algorithm == checksum.algorithm


def test_damaged_messages_do_not_hide_blocks() -> None:
    """One message of a hundred with a flipped bit refutes nothing, and is a counter-example."""
    messages = traffic(crc("CRC-16/KERMIT", True), 20, 6)
    for row in range(5, len(messages), 100):
        messages[row] = messages[row][:-3] + bytes([messages[row][-3] ^ 4]) + messages[row][-2:]
    found = checksums(messages)[-1]
    assert (found.start, found.block) == (8, 20)
    assert found.evidence.counter_examples


def test_header_and_body_with_a_checksum_each() -> None:
    """Where the body is one block, its checksum covers the bytes from the header's on."""
    header, body = checksums(traffic(crc("CRC-16/DNP", True), 60, 8, longest=60))
    assert (header.start, body.start, body.block) == (8, -2, 0)
    assert isinstance(body.constraint, Checksum)
    assert (body.constraint.start, body.constraint.end) == (10, -2)


def test_one_checksum_over_all_is_no_checksum_of_blocks() -> None:
    """Where one CRC covers the message, nothing is said of blocks."""
    checksum, seed = crc("CRC-16/MODBUS", True), random.Random(3)
    bodies = [bytes([1, 2]) + seed.randbytes(seed.randrange(4, 80)) for _ in range(200)]
    (found,) = checksums([body + checksum(body) for body in bodies])
    assert (found.start, found.block) == (-2, 0)


@pytest.fixture(scope="module")
def blocks() -> tuple[ProtocolSpec, list[bytes]]:
    """A specification found of messages in blocks, and the messages."""
    messages = traffic(crc("CRC-16/DNP", True), 16, 8)
    return ProtocolDiscoveryOrchestrator().discover(MessageBatch.from_payloads(messages)).spec, messages


def test_blocks_are_parsed_to_the_last_one(blocks: tuple[ProtocolSpec, list[bytes]]) -> None:
    """Every message fits, and the checksum of each block is a field of its own."""
    spec, messages = blocks
    parsed = Parser(spec).parse_batch(MessageBatch.from_payloads(messages))
    assert parsed.explained.all()
    for row, message in enumerate(messages):
        ends = [*range(10 + 16, len(message) - 1, 18), len(message) - 2]
        assert set(ends) <= set(parsed.boundaries(row).tolist())


def test_length_does_not_count_the_checksums_of_blocks(blocks: tuple[ProtocolSpec, list[bytes]]) -> None:
    """The number of bytes in all blocks is a length; the validator refutes another, and building computes it."""
    spec, messages = blocks
    assert all(t.elements[1].semantic == "length" for t in spec.types if isinstance(t.elements[1], Field))
    message = max(messages, key=len)
    wrong = message[:1] + bytes([message[1] + 1]) + message[2:]
    assert "length" in {v.rule for v in MessageValidator(spec, "strict").validate(wrong).violations}
    assert Parser(spec).build(Parser(spec).parse(wrong), recompute=True) == message


def test_validator_tells_which_block_is_damaged(blocks: tuple[ProtocolSpec, list[bytes]]) -> None:
    """A changed byte breaks the checksum of its own block alone."""
    spec, messages = blocks
    validator = MessageValidator(spec, "strict")
    message = next(m for m in messages if len(m) > 10 + 2 * 18 + 3)
    assert not [v for v in validator.validate(message).violations if v.rule == "checksum"]
    damaged = message[:30] + bytes([message[30] ^ 1]) + message[31:]
    broken = [v for v in validator.validate(damaged).violations if v.rule == "checksum"]
    assert [v.start for v in broken] == [10 + 18 + 16]


def test_checksums_of_blocks_are_computed_when_built(blocks: tuple[ProtocolSpec, list[bytes]]) -> None:
    """A message that is built again with changed bytes gets the checksums of its blocks."""
    spec, messages = blocks
    parser = Parser(spec)
    for message in messages[:20]:
        assert parser.build(parser.parse(message), recompute=True) == message
