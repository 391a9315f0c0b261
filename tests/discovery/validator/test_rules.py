"""Custom rules are checked when they are loaded, and hold messages to what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qbitel.discovery.errors import InputError, LimitError, QbitelError, RuleError
from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import Field, Fixed, MessageType, ProtocolSpec, Rest, ValueGuard
from qbitel.discovery.validator import MessageValidator, load_rules, rules_from

SPEC = ProtocolSpec(
    types=[
        MessageType(
            name=f"t{key}",
            guards=[ValueGuard(offset=0, width=1, values=[bytes([key])])],
            elements=[
                Field(name="key", width=Fixed(size=1), encoding="uint"),
                Field(name="amount", width=Fixed(size=2), encoding="int", endianness="big"),
                Field(name="name", width=Rest()),
            ],
        )
        for key in (1, 2)
    ]
)
SYMBOLS = Parser(SPEC).symbols


def broken(rule: dict[str, Any], message: bytes) -> list[str]:
    """The names of the rules that a message breaks."""
    validator = MessageValidator(SPEC, "basic", rules_from([rule], SYMBOLS))
    return [violation.rule for violation in validator.validate(message).violations]


@pytest.mark.parametrize(
    ("op", "value", "good", "bad"),
    [
        ("==", 5, b"\x01\x00\x05", b"\x01\x00\x06"),
        ("!=", 5, b"\x01\x00\x06", b"\x01\x00\x05"),
        ("<", 0, b"\x01\xff\xff", b"\x01\x00\x00"),
        ("<=", 5, b"\x01\x00\x05", b"\x01\x00\x06"),
        (">", 5, b"\x01\x00\x06", b"\x01\xff\x00"),
        (">=", -1, b"\x01\xff\xff", b"\x01\xff\xfe"),
        ("in", [1, 3], b"\x01\x00\x03", b"\x01\x00\x02"),
        ("not-in", [1, 3], b"\x01\x00\x02", b"\x01\x00\x01"),
        ("between", [-2, 2], b"\x01\xff\xfe", b"\x01\x00\x03"),
        ("==", "0x0005", b"\x01\x00\x05", b"\x01\x05\x00"),
        ("in", ["0x0005", "0x0006"], b"\x01\x00\x06", b"\x01\x00\x07"),
    ],
)
def test_operators_say_what_they_mean(op: str, value: Any, good: bytes, bad: bytes) -> None:
    """Each operator accepts and refuses, numbers by value with their sign, strings by bytes."""
    rule = {"name": "r", "field": "amount", "op": op, "value": value}
    assert broken(rule, good) == []
    assert broken(rule, bad) == ["r"]


def test_starts_with_reads_bytes() -> None:
    """A prefix is given as text or as hexadecimal digits."""
    for value in ("ab", "0x6162"):
        rule = {"name": "p", "field": "name", "op": "starts-with", "value": value}
        assert broken(rule, b"\x01\0\0abc") == []
        assert broken(rule, b"\x01\0\0ba") == ["p"]


def test_a_rule_stands_for_its_type_or_for_all() -> None:
    """With a type only that type is held to it; without, every type that has the field; the message is the reason."""
    rule = {"name": "r", "type": "t1", "field": "amount", "op": "==", "value": 5, "message": "five it is"}
    assert broken(rule, b"\x02\x00\x06") == []
    del rule["type"]
    assert broken(rule, b"\x02\x00\x06") == ["r"]
    verdict = MessageValidator(SPEC, "basic", rules_from([rule], SYMBOLS)).validate(b"\x01\x00\x06")
    assert [(v.start, v.length, v.reason) for v in verdict.violations] == [(1, 2, "five it is")]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "list of rules"),
        (["x"], "expected a table"),
        ([{"field": "amount", "op": "=="}], "one value"),
        ([{"field": "amount", "op": "~", "value": 1}], "unknown op"),
        ([{"field": "nothing", "op": "==", "value": 1}], r"no field '\*.nothing'"),
        ([{"type": "t9", "field": "amount", "op": "==", "value": 1}], "no field 't9.amount'"),
        ([{"field": "amount", "op": "in", "value": 1}], "list of values"),
        ([{"field": "amount", "op": "between", "value": [1]}], "two bounds"),
        ([{"field": "amount", "op": "between", "value": [5, 1]}], "no number is between 5 and 1"),
        ([{"name": "r", "field": "amount", "op": "==", "value": v} for v in (1, 2)], "2 rules have this name"),
        ([{"field": "amount", "op": "<", "value": "abc"}], "compares numbers"),
        ([{"field": "amount", "op": "in", "value": [1, "a"]}], "all numbers or all strings"),
        ([{"field": "amount", "op": "==", "value": "0x0"}], "hexadecimal"),
        ([{"field": "amount", "op": "==", "value": 1.5}], "64-bit integer"),
        ([{"field": "amount", "op": "==", "value": 1, "exec": "x"}], "unknown key"),
    ],
)
def test_malformed_rules_are_refused_when_loaded(document: Any, words: str) -> None:
    """Each fault is named before any message is read."""
    with pytest.raises(RuleError, match=words):
        rules_from(document, SYMBOLS)


def test_rules_load_from_toml_and_json(tmp_path: Path) -> None:
    """Both forms give the same rules."""
    (tmp_path / "r.toml").write_text('[[rule]]\nname = "a"\nfield = "amount"\nop = "<="\nvalue = 9\n')
    (tmp_path / "r.json").write_text(json.dumps([{"name": "a", "field": "amount", "op": "<=", "value": 9}]))
    assert load_rules(tmp_path / "r.toml", SYMBOLS) == load_rules(tmp_path / "r.json", SYMBOLS)


def test_unreadable_rule_files_are_named(tmp_path: Path) -> None:
    """A missing file, broken syntax and a file over the limit are each their own error."""
    with pytest.raises(InputError):
        load_rules(tmp_path / "none.json", SYMBOLS)
    (tmp_path / "bad.json").write_text("[" * 100_000)
    with pytest.raises(RuleError):
        load_rules(tmp_path / "bad.json", SYMBOLS)
    (tmp_path / "big.json").write_text(" " * (1 << 21))
    with pytest.raises(LimitError):
        load_rules(tmp_path / "big.json", SYMBOLS)
    with pytest.raises(QbitelError):
        rules_from([{"field": "amount", "op": "==", "value": 1}] * 1001, SYMBOLS)
