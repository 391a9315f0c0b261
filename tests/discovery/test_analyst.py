"""What an analyst says of a few messages holds at once, for them and for those like them."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.discovery.analyst import AnalystLabels, MessageLabel
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError, LimitError
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import ProtocolSpec


def messages(count: int = 240) -> list[bytes]:
    """A constant, a random byte, then the kind: a reading of eight bytes (1 and 2 alike) or a name (3)."""
    draw = np.random.default_rng(8)
    made = []
    for number in range(count):
        kind = number % 3 + 1
        body = b"pump" + draw.bytes(4).hex().encode() if kind == 3 else struct.pack(">II", number, 7 * number)
        made.append(b"\xab" + bytes([draw.integers(0, 256), kind]) + body)
    return made


MESSAGES = tuple(messages())


@cache
def discovered(labels: AnalystLabels | None = None, sent: tuple[bytes, ...] = MESSAGES) -> ProtocolSpec:
    """The specification of the messages."""
    return ProtocolDiscoveryOrchestrator(labels=labels).discover(MessageBatch.from_payloads(sent)).spec


def type_names(spec: ProtocolSpec) -> list[str]:
    """The type of each message."""
    parsed = Parser(spec).parse_batch(MessageBatch.from_payloads(MESSAGES))
    return [spec.types[index].name for index in parsed.type_index]


def cuts(spec: ProtocolSpec, payload: bytes) -> set[int]:
    """Where fields begin in a message, its first one left out."""
    parsed = Parser(spec).parse_batch(MessageBatch.from_payloads([payload]))
    return {int(at) for at, size in zip(parsed.leaf_start, parsed.leaf_length, strict=True) if at and size}


def named(**rows: list[int]) -> AnalystLabels:
    """Labels that name the types of these rows."""
    pairs = [(MESSAGES[row], name) for name, found in rows.items() for row in found]
    return AnalystLabels.of(MessageLabel(payload=payload, type=name) for payload, name in pairs)


def test_boundaries_of_one_message_hold_in_all_of_its_type() -> None:
    """A four-byte number that is two of two bytes for the analyst is so in every message of that type."""
    told = (1, 2, 3, 5, 7, 9)
    assert cuts(discovered(), MESSAGES[1]) != set(told)
    spec = discovered(AnalystLabels.of([MessageLabel(payload=MESSAGES[0], boundaries=told)]))
    mine = type_names(spec)[0]
    assert all(cuts(spec, m) >= set(told) for m, name in zip(MESSAGES, type_names(spec), strict=True) if name == mine)


def test_boundaries_end_where_labelled_messages_part() -> None:
    """Two messages of one type that agree up to byte 3 say nothing of all messages behind it."""
    told = ((MESSAGES[2], (2, 3, 7)), (MESSAGES[5], (2, 3, 9)))
    spec = discovered(AnalystLabels.of(MessageLabel(payload=payload, boundaries=cut) for payload, cut in told))
    others = {frozenset(cuts(spec, MESSAGES[row])) for row in range(8, 60, 3)}
    assert all({2, 3} <= found and 1 not in found for found in others)


def test_named_types_are_parted_by_their_key_and_bear_their_names() -> None:
    """Messages of one type under two names are two types, also those that nobody labelled."""
    assert type_names(discovered())[0] == type_names(discovered())[1]
    names = type_names(discovered(named(ask=[0, 3], tell=[1, 4])))
    assert names[0::3] == ["ask"] * 80 and names[1::3] == ["tell"] * 80


def test_types_of_one_name_are_one_type() -> None:
    """Three kinds that a key told apart, and of which two bear one name, are two types."""
    apart = discovered(named(ask=[0, 3], tell=[1, 4], name=[2]))
    assert len(set(type_names(apart))) == 3
    names = type_names(discovered(named(reading=[0, 1, 3, 4], name=[2])))
    assert names == ["reading", "reading", "name"] * 80


def test_names_that_contradict_the_key_choose_another_one() -> None:
    """Types by another byte than the names': enough names choose the byte that has one value for each of them."""
    sent = [bytes([number % 2, number % 5]) + (b"text-abc" if number % 2 else bytes(8)) for number in range(200)]
    assert (found := discovered(sent=tuple(sent)).key) is not None and found.offset == 0
    labels = AnalystLabels.of(MessageLabel(payload=m + bytes([k]), type=f"k{m[1]}") for k, m in enumerate(sent[:30]))
    spec = discovered(labels, tuple(m + bytes([k % 250]) for k, m in enumerate(sent)))
    assert spec.key is not None and spec.key.offset == 1 and {t.name for t in spec.types} >= {f"k{k}" for k in range(5)}
    assert spec.evidence["key:protocol"].detector == "analyst"


def test_names_that_no_byte_tells_apart_are_refused() -> None:
    """The same bytes but for their order cannot be two types; the error names both."""
    sent = [bytes([1, number % 2, 1 - number % 2, 9]) for number in range(40)]
    labels = [MessageLabel(payload=sent[0] + b"x", type="a"), MessageLabel(payload=sent[0] + b"xy", type="b")]
    spec_of = ProtocolDiscoveryOrchestrator(labels=AnalystLabels.of(labels))
    result = spec_of.discover(MessageBatch.from_payloads(sent))
    assert result.spec.partial == ["types: labels: no byte tells a and b apart (they are alike, or differ behind byte "
                                   "32: give them one name)"]  # fmt: skip


def test_labels_are_part_of_what_makes_a_specification() -> None:
    """In any order they give the same bytes, and their digest is in its provenance; without labels nothing is."""
    labels = named(ask=[0, 3], tell=[1, 4]).labels
    one, other = (discovered(AnalystLabels.of(some)) for some in (labels, labels[::-1]))
    assert one.to_bytes() == other.to_bytes() and one.provenance.labels_digest == AnalystLabels.of(labels).digest
    assert b"labels_digest" not in discovered().to_bytes()


LABELS = st.builds(
    lambda payload, kind, cut: MessageLabel(payload=payload, type=kind, boundaries=(cut,) if cut else None),
    st.binary(min_size=8, max_size=20), st.sampled_from(["a", "b"]), st.integers(0, 7),
)  # fmt: skip


@given(st.lists(LABELS, max_size=8))
def test_labels_survive_their_file(labels: list[MessageLabel]) -> None:
    """What was written is read again, and the last label of a message is the one that counts."""
    kept = AnalystLabels.of(labels)
    assert AnalystLabels.from_bytes(kept.to_bytes()) == kept
    assert {label.payload: label for label in labels} == {label.payload: label for label in kept.labels}


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b'{"payload": "00"}', b'{"payload": "0001", "boundaries": [2]}',
             b'{"payload": "000102", "boundaries": [2, 1]}', b'{"payload": "00", "type": "no name"}', b"\xff"]
)  # fmt: skip
def test_lines_that_are_no_labels_are_named(line: bytes) -> None:
    """The error tells the line."""
    with pytest.raises(InputError, match="line 2 is no label"):
        AnalystLabels.from_bytes(b'{"payload": "00", "type": "a"}\n' + line, "labels.jsonl")


def test_too_many_labels_are_refused() -> None:
    """Labels come from outside, and have a limit."""
    many = [MessageLabel(payload=number.to_bytes(2, "big"), type="a") for number in range(4097)]
    with pytest.raises(LimitError, match="4097 labelled messages"):
        AnalystLabels.of(many)
