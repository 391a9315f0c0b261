"""Relations planted in generated messages are found exactly; chance, copies and corruption change nothing."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.findings import Finding
from qbitel.discovery.relations import find_relations
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Address, Checksum, Counter, Length, Timestamp
from qbitel.discovery.statistics import MessageStatistics

SETTINGS = DiscoverySettings()


def sample_of(payloads: list[bytes], **columns: object) -> Sample:
    """The sample of these messages."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(MessageBatch.from_payloads(payloads, **columns), "ab" * 8)  # type: ignore[arg-type]
    return statistics.sample()


def found(payloads: list[bytes], **columns: object) -> list[Finding]:
    """The findings where all messages are of one type."""
    sample = sample_of(payloads, **columns)
    return find_relations(sample, np.zeros(len(sample.view), np.int32), 1, SETTINGS)


def named(findings: list[Finding], semantic: str) -> list[Finding]:
    """Those of one meaning."""
    return [f for f in findings if f.semantic == semantic]


def bodies(seed: int, count: int = 120, longest: int = 60, shortest: int = 8) -> list[bytes]:
    """Random bytes of random lengths."""
    rng = np.random.default_rng(seed)
    return [rng.bytes(int(n)) for n in rng.integers(shortest, longest, count)]


@pytest.mark.parametrize(
    ("form", "scale", "bias", "width", "order"),
    [
        ("B", 1, 0, 1, None), (">H", 1, 6, 2, "big"), ("<H", 1, -3, 2, "little"), ("<I", 4, 0, 4, "little"),
        (">H", 2, 4, 2, "big"),
    ],
)  # fmt: skip
def test_length_of_any_form(form: str, scale: int, bias: int, width: int, order: str | None) -> None:
    """A length of any width, byte order, scale and bias is found where it stands."""
    messages = []
    for body in bodies(1):
        body = body[: len(body) // scale * scale]
        messages.append(b"\x55\xaa\x01\x07" + struct.pack(form, len(body) // scale - bias) + body)
    (length,) = named(found(messages), "length")
    assert (length.start, length.width, length.endianness) == (4, width, order)
    assert isinstance(length.constraint, Length)
    held = length.constraint.scale * struct.unpack_from(form, messages[0], 4)[0]
    whole = len(messages[0]) - (4 + width if length.constraint.of == "rest" else 0)
    assert held + length.constraint.bias == whole
    assert length.evidence.support == length.evidence.trials


def test_a_corrupted_message_does_not_kill_a_true_length() -> None:
    """One wrong length in 400 stays a counter-example, and the claim stands."""
    messages = [struct.pack(">HH", 0x1234, len(body)) + body for body in bodies(2, 400)]
    messages[7] = b"\x12\x34\x00\x01" + messages[7][4:]
    (length,) = named(found(messages), "length")
    assert length.start == 2
    assert len(length.evidence.counter_examples) == 1


def test_type_and_size_in_step_are_no_length() -> None:
    """A type byte that rises with the fixed sizes of two types is explained by chance."""
    rng = np.random.default_rng(3)
    messages = [bytes([kind]) + rng.bytes(9 + kind) for kind in (1, 2) for _ in range(60)]
    assert named(found(messages), "length") == []


def test_length_of_one_type_only() -> None:
    """A length that only one type has is found for that type."""
    rng = np.random.default_rng(4)
    messages = [b"\x01" + struct.pack(">H", len(b)) + b for b in bodies(5, 80)]
    messages += [b"\x02" + rng.bytes(int(n)) for n in rng.integers(10, 40, 80)]
    sample = sample_of(messages)
    types = np.array([sample.view.payload(r)[0] - 1 for r in range(len(sample.view))], np.int32)
    (length,) = named(find_relations(sample, types, 2, SETTINGS), "length")
    assert (length.types, length.start, length.width) == ((0,), 1, 2)


def test_other_readings_of_the_length_are_rivals() -> None:
    """The narrower reading of a length with a zero high byte is named as a rival."""
    (length,) = named(found([b"\x01\x02" + struct.pack(">H", len(b)) + b for b in bodies(6)]), "length")
    assert (length.start, length.width) == (2, 2)
    assert any("u8 at 3" in rival.claim for rival in length.evidence.rivals)


def test_the_reading_that_more_messages_obey_is_chosen() -> None:
    """A length whose high byte is rarely used is not read from its low byte and the zero behind it."""
    sizes = [*np.random.default_rng(7).integers(8, 200, 120).tolist(), 300]
    messages = [b"\x01\x00\x07" + struct.pack(">H", n) + b"\x00" + bytes(n - 1) for n in sizes]
    (length,) = named(found(messages), "length")
    assert (length.start, length.width, length.endianness) == (3, 2, "big")


def test_random_messages_have_no_relations() -> None:
    """Random bytes of random lengths give no finding, over several draws."""
    for seed in range(6):
        assert found(bodies(100 + seed, 200)) == []


def sum_of_bytes(data: bytes) -> bytes:
    return bytes([sum(data) & 0xFF])


def negated_sum(data: bytes) -> bytes:
    return bytes([-sum(data) & 0xFF])


def sixteen_bit_sum(data: bytes) -> bytes:
    return struct.pack("<H", sum(data) & 0xFFFF)


def xor_of_bytes(data: bytes) -> bytes:
    return bytes([int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8))) ^ 0x5A])


def fletcher16(data: bytes) -> bytes:
    first = second = 0
    for byte in data:
        first = (first + byte) % 255
        second = (second + first) % 255
    return bytes([second, first])


@pytest.mark.parametrize(
    ("function", "algorithm", "width"),
    [
        (sum_of_bytes, "sum", 1), (negated_sum, "sum", 1), (sixteen_bit_sum, "sum", 2), (xor_of_bytes, "xor", 1),
        (fletcher16, "fletcher", 2), (lambda data: struct.pack(">I", zlib.adler32(data)), "adler32", 4),
        (lambda data: struct.pack("<I", zlib.crc32(data)), "crc", 4),
    ],
)  # fmt: skip
def test_trailing_checksums(function: Callable[[bytes], bytes], algorithm: str, width: int) -> None:
    """Each algorithm is found at the end of messages, over all that comes before."""
    (checksum,) = named(found([b + function(b) for b in bodies(7)]), "checksum")
    assert (checksum.start, checksum.width) == (-width, width)
    assert isinstance(checksum.constraint, Checksum)
    assert (checksum.constraint.algorithm, checksum.constraint.start, checksum.constraint.end) == (algorithm, 0, -width)


def test_crc_has_its_catalogue_name() -> None:
    """The CRC of Ethernet is called by its name."""
    (checksum,) = named(found([b + struct.pack("<I", zlib.crc32(b)) for b in bodies(8)]), "checksum")
    assert isinstance(checksum.constraint, Checksum) and checksum.constraint.name == "CRC-32/ISO-HDLC"


def test_internet_checksum_inside_the_message() -> None:
    """A checksum in the header that covers the whole message with its own bytes as zero."""
    messages = []
    for body in bodies(9):
        data = b"\x08\x00\x00\x00" + body
        words = np.frombuffer(data + b"\0" * (len(data) % 2), ">u2").sum(dtype=np.int64)
        words = (words & 0xFFFF) + (words >> 16)
        total = 0xFFFF ^ int((words & 0xFFFF) + (words >> 16))
        messages.append(data[:2] + struct.pack(">H", total) + data[4:])
    (checksum,) = named(found(messages), "checksum")
    assert (checksum.start, checksum.width) == (2, 2)
    assert isinstance(checksum.constraint, Checksum)
    assert (checksum.constraint.algorithm, checksum.constraint.own_bytes) == ("internet", "zeroed")


def crc_by_bits(data: bytes, width: int, poly: int, init: int, reflected: bool, xorout: int) -> int:
    """A CRC of equal reflections, bit by bit, independent of the package."""
    register = init
    for byte in data:
        for bit in range(8) if reflected else range(7, -1, -1):
            top = register >> (width - 1) & 1
            register = register << 1 & (1 << width) - 1
            register ^= poly if top ^ (byte >> bit & 1) else 0
    return (int(f"{register:0{width}b}"[::-1], 2) if reflected else register) ^ xorout


@pytest.mark.parametrize("width", [2, 4])
def test_crc_at_the_end_that_was_zero_when_computed(width: int) -> None:
    """A CRC of the whole message with zeros in its own place, at the end, is told from one of the bytes before it."""
    poly = random.Random(width).getrandbits(8 * width) | 1
    crcs = [crc_by_bits(body + bytes(width), 8 * width, poly, 5, False, 0) for body in bodies(3)]
    messages = [body + value.to_bytes(width, "big") for body, value in zip(bodies(3), crcs, strict=True)]
    (checksum,) = named(found(messages), "checksum")
    assert (checksum.start, checksum.width) == (-width, width)
    assert isinstance(checksum.constraint, Checksum)
    assert (checksum.constraint.poly, checksum.constraint.own_bytes) == (poly, "zeroed")


@pytest.mark.parametrize("seed", range(10))
def test_unknown_crc_is_recovered(seed: int) -> None:
    """Random generator, init, xorout, reflection and byte order: every message's checksum is predicted."""
    rng = np.random.default_rng(seed)
    width = (8, 16, 32)[seed % 3]
    poly, init, xorout = (int(rng.integers(0, 1 << width)) for _ in range(3))
    poly |= 1
    reflected, order = bool(rng.integers(2)), ("big", "little")[int(rng.integers(2))]
    messages = []
    for body in bodies(seed, 160, 24):
        value = crc_by_bits(body, width, poly, init, reflected, xorout)
        messages.append(body + value.to_bytes(width // 8, order))  # type: ignore[arg-type]
    (checksum,) = named(found(messages), "checksum")
    assert (checksum.start, checksum.width) == (-width // 8, width // 8)
    assert checksum.evidence.support == checksum.evidence.trials > 100
    assert isinstance(checksum.constraint, Checksum)
    constraint = checksum.constraint
    assert (constraint.algorithm, constraint.poly, constraint.refin) == ("crc", poly, reflected)


def test_crc_survives_a_corrupted_message() -> None:
    """A damaged message among many does not hide an unknown CRC."""
    messages = [b + crc_by_bits(b, 16, 0xA2EB, 0x1D0F, False, 0).to_bytes(2, "big") for b in bodies(21, 300, 20)]
    messages[3] = messages[3][:-1] + bytes([messages[3][-1] ^ 1])
    (checksum,) = named(found(messages), "checksum")
    assert isinstance(checksum.constraint, Checksum) and checksum.constraint.poly == 0xA2EB


def test_no_budget_no_checksum() -> None:
    """The checksum search stops where its budget is spent."""
    settings = DiscoverySettings(checksum_budget=0)
    sample = sample_of([b + sum_of_bytes(b) for b in bodies(7)])
    findings = find_relations(sample, np.zeros(len(sample.view), np.int32), 1, settings)
    assert named(findings, "checksum") == []


def flows(count: int, length: int) -> tuple[list[int], list[int], list[float]]:
    """Flow, direction and time of exchanges: a request and its response, one after the other."""
    flow = [f + 1 for f in range(count) for _ in range(length)]
    direction = [1 + i % 2 for _ in range(count) for i in range(length)]
    return flow, direction, [1.6e9 + 0.5 * i for i in range(count * length)]


def test_counter_per_direction_and_identifier() -> None:
    """A number that rises in each direction is a counter; one that the response repeats is an identifier."""
    rng = np.random.default_rng(11)
    flow, direction, ts = flows(6, 20)
    counters: dict[tuple[int, int], int] = {}
    messages, transaction = [], b""
    for f, d in zip(flow, direction, strict=True):
        value = counters.setdefault((f, d), int(rng.integers(60000)))
        counters[f, d] = value + 3
        transaction = rng.bytes(2) if d == 1 else transaction
        messages.append(b"\x7e" + transaction + struct.pack(">H", value & 0xFFFF) + rng.bytes(10))
    findings = found(messages, flow=flow, direction=direction, ts=ts)
    (identifier,) = named(findings, "identifier")
    assert (identifier.start, identifier.width) == (1, 2)
    (counter,) = named(findings, "counter")
    assert (counter.start, counter.width, counter.endianness) == (3, 2, "big")
    assert counter.constraint == Counter(step=3, per_direction=True)


@pytest.mark.parametrize(
    ("form", "pack", "factor", "epoch", "order"),
    [
        ("unix_s", ">I", 1, 0, "big"), ("unix_ms", "<Q", 1000, 0, "little"), ("ntp", ">Q", 1 << 32, 2208988800, "big"),
        ("filetime", "<Q", 10_000_000, 11644473600, "little"), ("mac_s", ">I", 1, 2082844800, "big"),
        ("tai", ">Q", 1, 37, "big"),
    ],
)  # fmt: skip
def test_timestamps_near_the_capture(form: str, pack: str, factor: int, epoch: int, order: str) -> None:
    """A time in a known form is found by its nearness to the capture's clock."""
    rng = np.random.default_rng(12)
    ts = [1.65e9 + 7.25 * i for i in range(100)]
    messages = [b"\x01\x02" + struct.pack(pack, int((t + epoch) * factor)) + rng.bytes(6) for t in ts]
    (timestamp,) = named(found(messages, ts=ts, flow=[1] * 100), "timestamp")
    assert (timestamp.start, timestamp.width, timestamp.endianness) == (2, struct.calcsize(pack), order)
    assert timestamp.constraint == Timestamp(form=form)  # type: ignore[arg-type]


@pytest.mark.parametrize("apart", [0.0, 5e6], ids=["each flow its own", "all alike"])
def test_clocks_that_are_not_set_run_all_the_same(apart: float) -> None:
    """A time far from the capture's is found where it keeps its distance in each flow, whatever the distance."""
    rng = np.random.default_rng(14)
    ts = [1.65e9 + 0.75 * i for i in range(160)]
    off = [apart or -4e5 * (1 + i % 4) for i in range(160)]
    flows = [1 + i % 4 for i in range(160)]

    def sent(pace: int) -> list[bytes]:
        seconds = (int(ts[0] + pace * (t - ts[0]) + o) for t, o in zip(ts, off, strict=True))
        return [b"\x01\x02" + struct.pack(">I", second) + rng.bytes(6) for second in seconds]

    (timestamp,) = named(found(sent(1), ts=ts, flow=flows), "timestamp")
    assert (timestamp.start, timestamp.width, timestamp.endianness, timestamp.constraint) == (2, 4, "big", None)
    if apart:
        assert not named(found(sent(3), ts=ts, flow=flows), "timestamp")


def test_a_clock_that_does_not_tell_the_year_proves_no_timestamp() -> None:
    """Where a capture counts seconds from its own start, small numbers are not near its clock: they are no times."""
    rng = np.random.default_rng(13)
    ts = [20.0 + 0.25 * i for i in range(100)]
    messages = [b"\0\0\0\5" + rng.bytes(4) + bytes(6) for _ in ts]
    assert not named(found(messages, ts=ts, flow=[1] * 100), "timestamp")


def test_address_of_the_flow() -> None:
    """The source address inside messages is found where flows have different ones."""
    rng = np.random.default_rng(13)
    sources = [bytes([192, 168, 0, 1 + i % 5]) for i in range(60)]
    messages = [b"\x09" + source + rng.bytes(8) for source in sources]
    findings = found(
        messages, src=sources, dst=[b"\x0a\x00\x00\x01"] * 60, sport=[9] * 60, dport=[9] * 60,
        flow=[1 + i % 5 for i in range(60)], ts=[float(i) for i in range(60)],
    )  # fmt: skip
    (address,) = named(findings, "address")
    assert (address.start, address.width) == (1, 4)
    assert address.constraint == Address(form="ipv4", endpoint="source")


def test_constants_are_hints() -> None:
    """The constant bytes at the front are a hint that does not bind the boundaries."""
    findings = found([b"\xfe\xed" + body for body in bodies(14)])
    assert [(f.semantic, f.start, f.width, f.hard) for f in findings] == [("magic", 0, 2, False)]


def test_same_findings_for_any_order() -> None:
    """The order of the messages changes nothing."""
    messages = [struct.pack(">HH", 7, len(b)) + b + struct.pack("<I", zlib.crc32(b)) for b in bodies(15)]
    numbers = list(range(len(messages)))
    assert found(messages, number=numbers) == found(messages[::-1], number=numbers[::-1])
