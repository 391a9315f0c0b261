"""Layouts of whole messages: text, short and long ones, damaged ones, random bytes, findings, determinism."""

from __future__ import annotations

import numpy as np

from qbitel.discovery.findings import Finding
from qbitel.discovery.spec import Checksum, Evidence, Guard, Length, Repeat, Rest, ValueGuard
from qbitel.discovery.types import ProposedType

WORDS = b"alpha beta gamma delta epsilon zeta eta theta iota kappa lambda omicron upsilon".split()


def _word(rng: np.random.Generator) -> bytes:
    return WORDS[int(rng.integers(len(WORDS)))]


def test_random_bytes_stay_one_field(lay_out):
    """Random bytes get no invented fields."""
    rng = np.random.default_rng(1)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        outcome = lay_out([[rng.bytes(int(rng.integers(20, 200)))] for _ in range(150)])
        assert [field.width for field in outcome.fields] == [Rest()]


def test_requests_with_headers(lay_out):
    """The first line is divided at its spaces, each header line is one field."""
    rng = np.random.default_rng(2)

    def message() -> list[bytes]:
        fields = [_word(rng).upper(), b" ", b"/" + _word(rng), b" ", b"PROTO/1.0", b"\r\n"]
        for _ in range(int(rng.integers(1, 5))):
            fields.append(_word(rng) + b"-Name: " + _word(rng) + b"\r\n")
        return [*fields, b"\r\n"]

    outcome = lay_out([message() for _ in range(80)])
    assert outcome.exact == outcome.explained == 1


def test_command_lines(lay_out):
    """A line of a command and its argument is divided once, and its line break is a field."""
    rng = np.random.default_rng(3)

    def message() -> list[bytes]:
        return [_word(rng).upper(), b" ", b" ".join(_word(rng) for _ in range(int(rng.integers(1, 9)))), b"\r\n"]

    outcome = lay_out([message() for _ in range(80)])
    assert outcome.exact == outcome.explained == 1


def test_optional_tail(lay_out):
    """Messages of two lengths share their front; what only the longer have is optional."""
    rng = np.random.default_rng(4)

    def message() -> list[bytes]:
        front = [b"\xca\xfe", rng.bytes(4), rng.bytes(2)]
        return [*front, rng.bytes(2), rng.bytes(4)] if rng.random() < 0.5 else front

    outcome = lay_out([message() for _ in range(80)], hints=True)
    assert outcome.exact == outcome.explained == 1


def test_payload_of_any_length(lay_out):
    """A payload of any length after fixed fields is one field, and no message fails."""
    rng = np.random.default_rng(5)
    outcome = lay_out(
        [[b"\xca\xfe", rng.bytes(4), rng.bytes(2), rng.bytes(int(rng.integers(1, 80)))] for _ in range(120)],
        hints=True,
    )
    assert outcome.explained > 0.98
    assert outcome.exact > 0.98


def test_types_of_a_nest_share_what_they_show_together(lay_out):
    """Items whose lengths never change in one type are items where they do among the types under the same first key."""
    rng = np.random.default_rng(12)

    def starting(*values: int) -> ProposedType:
        guards: list[Guard] = [ValueGuard(offset=k, width=1, values=[bytes([v])]) for k, v in enumerate(values)]
        return ProposedType("t" + "_".join(f"{v:02x}" for v in values), "", guards)

    sizes = [rng.integers(1, 30, int(rng.integers(3, 7))) for _ in range(12)]
    messages = []
    for _ in range(40):
        for kind, items in enumerate(sizes):
            values = [rng.bytes(int(size)) for size in items]
            divided = [part for k, value in enumerate(values) for part in (bytes([k]), bytes([len(value)]), value)]
            messages.append([b"\x80", bytes([kind]), *divided])
        messages += [[b"\x40", rng.bytes(int(rng.integers(3, 60)))] for _ in range(len(sizes))]
    types = [*(starting(0x80, kind) for kind in range(len(sizes))), starting(0x40), ProposedType("t_other", "", [])]
    outcome = lay_out(messages, types=types)
    for elements in outcome.layouts.elements[: len(sizes)]:
        assert any(isinstance(element, Repeat) for element in elements)


def test_a_damaged_message_does_not_kill_a_structure(lay_out):
    """One message of a hundred that does not fit leaves the chain standing; it alone is not explained."""
    rng = np.random.default_rng(6)

    def message() -> list[bytes]:
        fields = [b"\xca\xfe"]
        for _ in range(int(rng.integers(1, 6))):
            value = rng.bytes(int(rng.integers(1, 12)))
            fields += [bytes([int(rng.integers(1, 6))]), bytes([len(value)]), value]
        return fields

    outcome = lay_out([*(message() for _ in range(150)), [b"\xca\xfe\x01\xff\x00"]], hints=True)
    assert outcome.exact > 0.95
    assert 0.97 < outcome.explained < 1


def _finding(start: int, width: int, constraint: Length | Checksum) -> Finding:
    semantic = "length" if isinstance(constraint, Length) else "checksum"
    return Finding((0,), start, width, semantic, constraint, "big", Evidence(detector="made-up", support=7))


def test_findings_become_fields_with_constraints(lay_out):
    """A proven length and a checksum at the end are fields with their constraint, and the claim has its evidence."""
    rng = np.random.default_rng(7)

    def message() -> list[bytes]:
        body = rng.bytes(int(rng.integers(1, 60)))
        return [b"\xca\xfe", (len(body) + 6).to_bytes(2, "big"), body, rng.bytes(2)]

    findings = [_finding(2, 2, Length(of="message")), _finding(-2, 2, Checksum(algorithm="crc", end=-2))]
    outcome = lay_out([message() for _ in range(80)], hints=True, findings=findings)
    assert outcome.exact == outcome.explained == 1
    named = {field.name: field for field in outcome.fields}
    assert named["length"].constraints == [Length(of="message")]
    assert named["checksum"].constraints == [Checksum(algorithm="crc", end=-2)]
    assert outcome.layouts.evidence["field:t0.length"].support == 7


def test_same_messages_in_any_order_give_the_same_layout(lay_out):
    """The order of the input does not matter."""
    rng = np.random.default_rng(8)
    messages = [[b"\xca\xfe", rng.bytes(4), rng.bytes(int(rng.integers(1, 9)))] for _ in range(80)]
    one, two = lay_out(messages, hints=True), lay_out(messages[::-1], hints=True)
    assert one.spec.to_bytes() == two.spec.to_bytes()


def test_names_are_unique(lay_out):
    """No two fields of a type have one name, however deep they are."""
    rng = np.random.default_rng(9)

    def message() -> list[bytes]:
        fields = [b"\xca\xfe"]
        for _ in range(int(rng.integers(1, 6))):
            tag = int(rng.integers(1, 4))
            value = [rng.bytes(2), rng.bytes(2)] if tag == 1 else [rng.bytes(int(rng.integers(1, 12)))]
            fields += [bytes([tag]), bytes([sum(map(len, value))]), *value]
        return fields

    names = [field.name for field in lay_out([message() for _ in range(150)], hints=True).fields]
    assert len(names) == len(set(names))


def test_few_and_empty_messages(lay_out):
    """One message, and messages without bytes, are laid out without error."""
    assert lay_out([[b"\x01\x02", b"\x03"]], hints=True).explained == 1
    assert lay_out([[b"\x01"], []], hints=True).explained == 1
