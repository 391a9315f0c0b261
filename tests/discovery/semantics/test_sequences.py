"""What the messages of a flow say of fields of a given layout: sequence numbers, sessions, echoed requests."""

from __future__ import annotations

import struct

import numpy as np

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.semantics import label_fields
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import (
    Echo,
    Element,
    Field,
    Fixed,
    FromLength,
    KeyField,
    MessageType,
    ProtocolSpec,
    Rest,
    SelfDelimiting,
    ValueGuard,
    walk,
)
from qbitel.discovery.statistics import MessageStatistics
from qbitel.discovery.validator import MessageValidator

SETTINGS = DiscoverySettings()


def number(name: str, size: int) -> Field:
    """A number of fixed width that nobody labelled yet."""
    return Field(name=name, width=Fixed(size=size), encoding="uint", endianness="big" if size > 1 else None)


def labelled(batch: MessageBatch, types: dict[str, tuple[int, list[Element]]]) -> ProtocolSpec:
    """The specification after labelling; each type's first byte is its guard."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(batch, "ab" * 8)
    key = KeyField(offset=0, width=1)
    made = [
        MessageType(name=name, guards=[ValueGuard(offset=0, width=1, values=[bytes([first])])], elements=elements)
        for name, (first, elements) in types.items()
    ]
    return label_fields(ProtocolSpec(types=made, key=key), statistics.sample(), SETTINGS)


def fields(spec: ProtocolSpec, index: int) -> dict[str, Field]:
    """The fields of one type by name."""
    return {e.name: e for e in walk(spec.types[index].elements) if isinstance(e, Field)}


def exchanges(rng: np.random.Generator, wrong: int = -1) -> MessageBatch:
    """Requests with a random transaction, a session and a sequence number inside a value; answers repeat the first."""
    payloads, flow, direction = [], [], []
    for f in range(20):
        session, sequence = rng.bytes(4), int(rng.integers(1000))
        for i in range(12):
            transaction = rng.bytes(2)
            sequence += int(rng.integers(1, 6))
            body = struct.pack(">H", sequence) + rng.bytes(int(rng.integers(1, 9)))
            payloads.append(b"\1" + transaction + session + bytes([len(body)]) + body)
            answer = rng.bytes(2) if (f * 12 + i) % 7 == wrong else transaction
            payloads.append(b"\2" + answer + session + rng.bytes(int(rng.integers(3, 9))))
            flow += [f + 1, f + 1]
            direction += [1, 2]
    return MessageBatch.from_payloads(
        payloads, flow=flow, direction=direction, ts=[1.7e9 + 0.3 * i for i in range(len(payloads))]
    )


VALUE = Field(
    name="value", width=FromLength(field="size"), elements=[number("seq", 2), Field(name="data", width=Rest())]
)
LAYOUT: dict[str, tuple[int, list[Element]]] = {
    "ask": (1, [number("kind", 1), number("id", 2), number("session", 4), number("size", 1), VALUE]),
    "answer": (2, [number("kind", 1), number("id", 2), number("session", 4), Field(name="body", width=Rest())]),
}


def test_sequence_inside_a_value_and_session() -> None:
    """A number inside a value that rises with gaps is a counter; bytes that name the flow are an identifier."""
    spec = labelled(exchanges(np.random.default_rng(1)), LAYOUT)
    found = fields(spec, 0)
    assert (found["seq"].semantic, found["seq"].endianness) == ("counter", "big")
    assert spec.evidence["field:ask.seq"].detector == "sequence"
    assert found["session"].semantic == "identifier"
    assert spec.evidence["field:ask.session"].held_out_trials > 0


def test_echo_of_the_request() -> None:
    """An answer's field that repeats the request's has a constraint, which the validator checks."""
    batch = exchanges(np.random.default_rng(2))
    spec = labelled(batch, LAYOUT)
    answer = fields(spec, 1)["id"]
    assert answer.semantic == "echo" and Echo(type="ask", field="id") in answer.constraints
    assert spec.evidence["echo:answer.id"].held_out_support == spec.evidence["echo:answer.id"].held_out_trials > 0
    validator = MessageValidator(spec, "strict")
    assert not [v for _, v in validator.validate_batch(batch).violations() if v.rule == "echo"]
    wrong = validator.validate_batch(exchanges(np.random.default_rng(3), wrong=3)).violations()
    assert len([v for _, v in wrong if v.rule == "echo"]) > 20


def test_answers_that_differ_refute_an_echo() -> None:
    """One answer of seven with another transaction refutes the constraint."""
    spec = labelled(exchanges(np.random.default_rng(4), wrong=2), LAYOUT)
    assert not any(c.kind == "echo" for c in fields(spec, 1)["id"].constraints)


def test_what_answers_repeat_of_a_request_is_an_identifier() -> None:
    """Where several requests wait for answers, what each answer repeats of its own is an identifier in both types."""
    rng = np.random.default_rng(5)
    payloads, flow, direction = [], [], []
    for f in range(6):
        for _ in range(12):
            asked = [struct.pack(">H", int(rng.integers(200))) for _ in range(3)]
            kind = bytes([int(rng.integers(3))])
            payloads += [b"\1" + one + kind + rng.bytes(3) for one in asked]
            payloads += [b"\2" + asked[i] + kind + rng.bytes(5) for i in rng.permutation(3)]
            flow += [f + 1] * 6
            direction += [1, 1, 1, 2, 2, 2]
    batch = MessageBatch.from_payloads(
        payloads, flow=flow, direction=direction, ts=[1.7e9 + 0.3 * i for i in range(len(payloads))]
    )
    head: list[Element] = [number("kind", 1), number("id", 2), number("what", 1), Field(name="rest", width=Rest())]
    spec = labelled(batch, {"ask": (1, head), "answer": (2, head)})
    for index in (0, 1):
        found = fields(spec, index)
        assert found["id"].semantic == "identifier" and found["what"].semantic != "identifier"
    assert spec.evidence["field:ask.id"].detector == "answered"


def test_a_counter_in_a_varint_stays_a_varint() -> None:
    """What a number means does not change how its bytes are read, where the encoding tells where it ends."""
    rng = np.random.default_rng(6)
    amounts = [bytes([value & 127 | 128, value >> 7]) for value in range(200, 800)]
    payloads = [b"\1" + amount + rng.bytes(int(rng.integers(1, 9))) for amount in amounts]
    batch = MessageBatch.from_payloads(payloads, flow=[1 + i // 150 for i in range(600)], direction=[1] * 600)
    amount = Field(name="amount", width=SelfDelimiting(form="leb128"), encoding="leb128")
    spec = labelled(batch, {"only": (1, [number("kind", 1), amount, Field(name="rest", width=Rest())])})
    found = fields(spec, 0)["amount"]
    assert (found.semantic, found.encoding, found.endianness) == ("counter", "leb128", None)
