"""Each level finds what it promises, names the bytes and the reason, and leaves good messages alone."""

from __future__ import annotations

import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import NotFoundError
from qbitel.discovery.spec import (
    Checksum,
    Constant,
    Count,
    Counter,
    Echo,
    Enum,
    Field,
    Fixed,
    Flags,
    FromLength,
    Grammar,
    GrammarRule,
    Length,
    MessageType,
    Padding,
    ProtocolSpec,
    Range,
    Repeat,
    Rest,
    SequenceModel,
    Text,
    Times,
    Transition,
    ValueGuard,
)  # fmt: skip
from qbitel.discovery.validator import LEVELS, MessageValidator
from qbitel.discovery.validator.memory import FlowMemory


def number(name: str, size: int, *constraints: object) -> Field:
    """A big-endian number."""
    return Field(name=name, width=Fixed(size=size), encoding="uint", endianness="big", constraints=list(constraints))  # type: ignore[arg-type]


CRC = Checksum(algorithm="crc", end=-4, poly=0x04C11DB7, init=0xFFFFFFFF, refin=True, refout=True, xorout=0xFFFFFFFF)
SPEC = ProtocolSpec(
    types=[
        MessageType(
            name="write",
            guards=[ValueGuard(offset=0, width=1, values=[b"\x10"])],
            elements=[
                number("key", 1, Constant(value=b"\x10")),
                number("tick", 1, Counter(step=1)),
                number("size", 2, Length(of="rest")),
                number("mode", 1, Enum(values=[b"\x01", b"\x02"])),
                number("bits", 1, Flags(mask=b"\x0f")),
                number("level", 2, Range(minimum=0, maximum=1000)),
                number("n", 1, Count(target="items"), Length(of="field", target="items", scale=2)),
                Repeat(name="items", stop=Times(field="n"), elements=[number("item", 2)]),
                number("len", 1),
                Field(
                    name="name", width=FromLength(field="len"), encoding="ascii", constraints=[Text(charset="ascii")]
                ),
                Field(name="pad", width=Fixed(size=2), constraints=[Padding(byte=0)]),
                number("crc", 4, CRC),
            ],
        ),
        MessageType(
            name="reply",
            guards=[ValueGuard(offset=0, width=1, values=[b"\x20"])],
            elements=[number("key", 1), number("tick", 1, Echo(type="write", field="tick"))],
        ),
    ],
)


def message(
    tick: int = 0,
    mode: int = 1,
    bits: int = 3,
    level: int = 10,
    items: int = 2,
    name: bytes = b"pump",
    pad: bytes = b"\0\0",
) -> bytes:
    """A valid message unless told otherwise."""
    body = struct.pack(">BBHB", mode, bits, level, items) + bytes(2 * items) + bytes([len(name)]) + name + pad
    head = bytes([0x10, tick]) + struct.pack(">H", len(body) + 4) + body
    return head + struct.pack(">I", zlib.crc32(head))


def test_a_good_message_is_valid_at_every_level() -> None:
    """Nothing is found wrong with a message that keeps all constraints."""
    for level in LEVELS[:3]:
        verdict = MessageValidator(SPEC, level).validate(message())
        assert verdict.valid and verdict.type == "write" and verdict.violations == ()


@pytest.mark.parametrize(
    ("broken", "rule", "start", "length"),
    [
        (message(mode=7), "enum", 4, 1),
        (message(bits=0x13), "flags", 5, 1),
        (message(level=1001), "range", 6, 2),
        (message(name=b"p\x01mp"), "text", 14, 4),
        (message(pad=b"\0\1"), "padding", 18, 2),
        (message()[:-1] + b"?", "checksum", 20, 4),
        (message()[:2] + b"\0\x05" + message()[4:], "length", 2, 2),
    ],
)
def test_strict_names_the_constraint_and_the_bytes(broken: bytes, rule: str, start: int, length: int) -> None:
    """One broken constraint is one violation of that kind at its bytes; the levels below do not see it."""
    violations = {(v.rule, v.start, v.length) for v in MessageValidator(SPEC, "strict").validate(broken).violations}
    assert (rule, start, length) in violations
    # Breaking a byte breaks the checksum too, unless it was made after.
    assert {r for r, _, _ in violations} <= {rule, "checksum"}
    assert MessageValidator(SPEC, "standard").validate(broken).valid


def test_a_number_out_of_range_is_told_as_a_number() -> None:
    """The reason names the number as the bounds are named, and its bytes."""
    (violation, *_) = MessageValidator(SPEC, "strict").validate(message(level=1001)).violations
    assert violation.reason == "level = 1001 (0x03e9) is not between 0 and 1000"


def test_a_nested_length_speaks_of_its_region() -> None:
    """A length of the rest, inside a field, counts to the end of that field and not of the message."""
    inner = [number("kind", 1), number("size", 1, Length(of="rest")), Field(name="value", width=Rest())]
    body = Field(name="body", width=FromLength(field="len"), elements=inner)
    spec = ProtocolSpec(types=[MessageType(name="t", elements=[number("len", 1), body, number("tail", 2)])])
    validator = MessageValidator(spec, "strict")
    assert validator.validate(b"\x05\x01\x03abc\0\0").valid
    (violation,) = validator.validate(b"\x05\x01\x05abc\0\0").violations
    assert (violation.rule, violation.start, violation.field) == ("length", 2, "t.body.size")


def test_standard_names_the_byte_from_which_a_message_does_not_fit() -> None:
    """A message that is cut off is broken in structure; basic only asks for its type."""
    cut = message()[:10]
    (violation,) = MessageValidator(SPEC, "standard").validate(cut).violations
    assert violation.rule == "structure" and violation.start == 9 and "items" in violation.reason + "items"
    assert MessageValidator(SPEC, "basic").validate(cut).valid


def test_basic_refuses_an_unknown_type() -> None:
    """A message that no guard matches is of type unknown, over all its bytes."""
    verdict = MessageValidator(SPEC, "basic").validate(b"\x99abc")
    assert (verdict.valid, verdict.type) == (False, "unknown")
    assert [(v.rule, v.start, v.length) for v in verdict.violations] == [("type", 0, 4)]


def test_counters_and_echoes_are_judged_in_their_flow() -> None:
    """A jump of a counter and a reply that repeats another value are found; a retransmission is not."""
    payloads = [message(tick=1), b"\x20\x01", message(tick=2), message(tick=2), b"\x20\x07", message(tick=9)]
    batch = MessageBatch.from_payloads(
        payloads, flow=[5] * 6, direction=[1, 2, 1, 1, 2, 1], ts=[float(i) for i in range(6)]
    )
    found = [(row, v.rule) for row, v in MessageValidator(SPEC, "strict").validate_batch(batch).violations()]
    assert found == [(4, "echo"), (5, "counter")]


def test_order_of_rows_does_not_matter_to_flows() -> None:
    """Shuffled rows give each message the verdict that it had before."""
    payloads = [message(tick=i % 256) for i in range(40)]
    payloads[17] = message(tick=200)
    batch = MessageBatch.from_payloads(payloads, flow=[1] * 40, direction=[1] * 40, ts=[float(i) for i in range(40)])
    order = np.random.default_rng(0).permutation(40)
    validator = MessageValidator(SPEC, "strict")
    straight = validator.validate_batch(batch).valid
    assert (validator.validate_batch(batch.take(order)).valid == straight[order]).all()
    assert (~straight).sum() == 2


SURPRISED = SPEC.model_copy(
    update={
        "sequence": SequenceModel(
            transitions=[
                Transition(source="write", target="reply", direction="s2c", count=500),
                Transition(source="reply", target="write", direction="c2s", count=500),
            ],
            usual_bits=1.0,
        ),
        "grammar": Grammar(
            rules=[GrammarRule(left="S", right=["reply.key", "reply.tick"], probability=1.0)], usual_bits=0.5
        ),
    }
)


def test_enterprise_calls_a_surprise_what_is_rarer_than_anything_learned() -> None:
    """A type that never followed another in a flow, and a message that the grammar cannot derive, are surprises."""
    batch = MessageBatch.from_payloads(
        [message(tick=1), b"\x20\x01", b"\x20\x01"], flow=[1] * 3, direction=[1, 2, 2], ts=[0.0, 1.0, 2.0]
    )
    found = [(row, v.rule) for row, v in MessageValidator(SURPRISED, "enterprise").validate_batch(batch).violations()]
    assert found == [(0, "grammar"), (2, "sequence")]
    assert MessageValidator(SURPRISED, "strict").validate_batch(batch).valid.all()


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_every_message_gets_a_verdict(payloads: list[bytes]) -> None:
    """Arbitrary bytes are judged one by one as in bulk, and violations lie inside their message."""
    validator = MessageValidator(SPEC, "strict")
    result = validator.validate_batch(MessageBatch.from_payloads(payloads))
    assert len(result) == len(payloads) == result.to_arrow().num_rows
    for row, payload in enumerate(payloads):
        verdict = result.verdict(row)
        assert verdict == validator.validate(payload)
        assert verdict.valid == (verdict.violations == ())
        assert all(v.start >= 0 and v.start + v.length <= len(payload) for v in verdict.violations)


def test_stream_judges_batch_after_batch() -> None:
    """Each batch of a stream gives its own result."""
    batches = [MessageBatch.from_payloads([message()]), MessageBatch.from_payloads([b"?", message()])]
    assert [r.valid.tolist() for r in MessageValidator(SPEC, "strict").stream(batches)] == [[True], [False, True]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 30), min_size=1, max_size=12), st.booleans())
def test_a_stream_is_judged_as_one_batch(seed: int, sizes: list[int], timed: bool) -> None:
    """Counters, echoes and sequences see across the batches of a stream, wherever it is cut, with times or without."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    kinds, ticks = rng.integers(0, 3, n), np.cumsum(rng.choice([0, 1, 1, 1, 2], n)) % 256
    payloads = [message(tick=int(t)) if k else bytes([0x20, int(t)]) for k, t in zip(kinds, ticks, strict=True)]
    batch = MessageBatch.from_payloads(
        payloads,
        flow=rng.integers(0, 4, n).tolist(),
        direction=rng.integers(1, 3, n).tolist(),
        ts=[float(i) if timed else None for i in range(n)],
    )
    edges = np.cumsum([0, *sizes]).tolist()
    parts = [batch.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    validator = MessageValidator(SURPRISED, "enterprise")
    found = [
        (start + row, violation)
        for start, result in zip(edges, validator.stream(parts), strict=False)
        for row, violation in result.violations()
    ]
    assert found == validator.validate_batch(batch).violations()


def test_a_stream_remembers_a_bounded_number_of_messages() -> None:
    """Of more flows than are remembered the latest are kept."""
    memory = FlowMemory(most=10)
    for flow in range(1, 40):
        batch = MessageBatch.from_payloads([b"\x20\x01"], flow=[flow])
        memory.keep(MessageBatch.concatenate([memory.recall(batch), batch]), np.zeros(1, np.int32))
    asked = MessageBatch.from_payloads([b"?"] * 39, flow=list(range(1, 40)))
    assert memory.recall(asked).view().flow.tolist() == list(range(30, 40))


def test_results_go_to_pandas_in_one_call() -> None:
    """Messages, parsed messages and verdicts are data frames of a row a message."""
    pytest.importorskip("pandas", reason="needs the extra [pandas]")
    batch = MessageBatch.from_payloads([message(), b"?"])
    validator = MessageValidator(SPEC, "strict")
    sources = (batch, validator.parser.parse_batch(batch), validator.validate_batch(batch))
    frames = [source.to_pandas() for source in sources]
    assert [len(frame) for frame in frames] == [2, 2, 2]
    assert frames[1]["type"].tolist() == frames[2]["type"].tolist() == ["write", "unknown"]


def test_an_unknown_level_is_named() -> None:
    """A level that does not exist lists those that do."""
    with pytest.raises(NotFoundError, match="enterprise"):
        MessageValidator(SPEC, "paranoid")
