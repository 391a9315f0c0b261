"""
Rules of the user's own: small, declarative, checked against the specification when they are loaded.

A rule says what must hold of a field: ``{"name": "quantity", "type": "t03", "field": "f4", "op": "<=", "value": 125,
"message": "at most 125 registers"}``. ``type`` may be left out: the rule then stands for every type that has the
field. In TOML a rule is a ``[[rule]]`` table; in JSON the document is a list, or an object with a list ``rule``.
Numbers compare with the field's number; strings stand for bytes: hexadecimal digits after ``0x``, else ASCII text.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, LimitError, RuleError
from ..parser.symbols import Symbol
from .values import Leaves

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not-in", "between", "starts-with")
KEYS = {"name", "type", "field", "op", "value", "message"}
MAX_RULES, MAX_BYTES = 1000, 1 << 20

Value = int | bytes


@dataclass(frozen=True)
class Rule:
    """A rule that a field must keep; ``values`` holds one value, the bounds of ``between``, or those of ``in``."""

    name: str
    field: str
    op: str
    values: tuple[Value, ...]
    type: str = ""
    message: str = ""

    def concerns(self, symbol: Symbol) -> bool:
        """Return whether the rule is about this place of the specification."""
        return symbol.field is not None and symbol.path == self.field and self.type in ("", symbol.type)

    def holds(self, leaves: Leaves) -> NDArray[np.bool_]:
        """Return which leaves keep the rule (bool)."""
        texts = [value for value in self.values if isinstance(value, bytes)]
        if self.op == "starts-with":
            return np.array([leaves.content(k).startswith(tuple(texts)) for k in range(len(leaves))], bool)
        if texts:
            equal = leaves.equals_any(texts)
            return ~equal if self.op in ("!=", "not-in") else equal
        return self._compare(leaves.numbers, [value for value in self.values if isinstance(value, int)])

    def _compare(self, numbers: NDArray[np.int64], values: list[int]) -> NDArray[np.bool_]:
        first = values[0]
        if self.op == "between":
            return (numbers >= first) & (numbers <= values[1])
        if self.op in ("in", "==", "not-in", "!="):
            equal = np.isin(numbers, values)
            return ~equal if self.op in ("not-in", "!=") else equal
        compared = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[self.op](numbers, first)
        return np.asarray(compared, bool)

    def reason(self, leaves: Leaves, k: int) -> str:
        """Return why the k-th leaf breaks the rule."""
        if self.message:
            return self.message
        shown = ", ".join(f"0x{v.hex()}" if isinstance(v, bytes) else str(v) for v in self.values[:4])
        return f"{self.field} = 0x{leaves.content(k)[:16].hex()} is not {self.op} {shown}"


def load_rules(path: Path, symbols: Sequence[Symbol]) -> tuple[Rule, ...]:
    """
    Read rules from a TOML or JSON file.

    Raises:
        InputError: the file cannot be read. LimitError: it has more than 1 MiB.
        RuleError: it is not valid, or a rule is malformed or names a field that the specification lacks.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path)) from error
    if len(text) > MAX_BYTES:
        raise LimitError(f"rules of {len(text)} bytes, at most {MAX_BYTES} are read", where=str(path))
    try:
        document = tomllib.loads(text.decode()) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RuleError(f"not valid: {error}", where=str(path)) from error
    rules = rules_from(document.get("rule") if isinstance(document, dict) else document, symbols)
    if not rules:
        raise RuleError("there are no rules in it", where=str(path), hint="it would judge nothing")
    return rules


def rules_from(documents: Any, symbols: Sequence[Symbol]) -> tuple[Rule, ...]:
    """
    Make rules of plain data and check them against the places of a specification.

    Raises:
        RuleError: a rule is malformed, or names a type or field that does not exist; LimitError: there are too many.
    """
    if not isinstance(documents, list):
        raise RuleError("expected a list of rules", hint="TOML: [[rule]] tables; JSON: a list")
    if len(documents) > MAX_RULES:
        raise LimitError(f"{len(documents)} rules, at most {MAX_RULES} are read")
    rules = tuple(_rule(number, document, symbols) for number, document in enumerate(documents))
    for name, times in Counter(rule.name for rule in rules).items():
        if times > 1:
            raise RuleError(f"{times} rules have this name", where=f"rule '{name}'", hint="verdicts name a rule by it")
    return rules


def _rule(number: int, document: Any, symbols: Sequence[Symbol]) -> Rule:
    texts = _texts(document, f"rule {number}")
    name = texts["name"] or f"rule_{number}"
    where = f"rule '{name}'"
    if texts["op"] not in OPERATORS:
        raise RuleError(f"unknown op '{texts['op']}'", where=where, hint=f"one of {' '.join(OPERATORS)}")
    values = _values(document.get("value"), texts["op"], where)
    rule = Rule(name, texts["field"], texts["op"], values, texts["type"], texts["message"])
    if not any(rule.concerns(symbol) for symbol in symbols):
        near = sorted({f"{s.type}.{s.path}" for s in symbols if s.field and s.type})[:6]
        raise RuleError(f"no field '{rule.type or '*'}.{rule.field}'", where=where, hint=f"fields: {', '.join(near)}")
    return rule


def _texts(document: Any, where: str) -> dict[str, str]:
    """The strings of a rule, empty where they are left out."""
    if not isinstance(document, dict):
        raise RuleError("expected a table", where=where)
    if unknown := sorted(map(str, set(document) - KEYS)):
        raise RuleError(f"unknown key '{unknown[0]}'", where=where, hint=f"keys: {', '.join(sorted(KEYS))}")
    texts = {key: document.get(key, "") for key in ("name", "type", "field", "op", "message")}
    if not all(isinstance(text, str) for text in texts.values()) or not texts["field"] or not texts["op"]:
        raise RuleError("field and op are needed, and are strings", where=where)
    return texts


def _values(given: Any, op: str, where: str) -> tuple[Value, ...]:
    values = tuple(_value(item, where) for item in _given(given, op, where))
    _check_kinds({type(value) for value in values}, op, where)
    if op == "between":
        _check_bounds([value for value in values if isinstance(value, int)], where)
    return values


def _given(value: Any, op: str, where: str) -> list[Any]:
    several = op in ("in", "not-in", "between")
    if value is None or several != isinstance(value, list) or value == []:
        raise RuleError(f"'{op}' needs {'a list of values' if several else 'one value'}", where=where)
    return value if isinstance(value, list) else [value]


def _check_bounds(bounds: list[int], where: str) -> None:
    if len(bounds) != 2:
        raise RuleError("'between' needs two bounds", where=where)
    if bounds[0] > bounds[1]:
        raise RuleError(f"no number is between {bounds[0]} and {bounds[1]}", where=where)


def _check_kinds(kinds: set[type], op: str, where: str) -> None:
    if kinds == {bytes} and op in ("<", "<=", ">", ">=", "between"):
        raise RuleError(f"'{op}' compares numbers", where=where)
    if len(kinds) > 1 or (op == "starts-with" and kinds != {bytes}):
        raise RuleError("values are all numbers or all strings", where=where)


def _value(given: Any, where: str) -> Value:
    if isinstance(given, int) and not isinstance(given, bool) and -(1 << 63) <= given < 1 << 63:
        return given
    if isinstance(given, str) and given.startswith("0x"):
        try:
            return bytes.fromhex(given[2:])
        except ValueError:
            raise RuleError(f"'{given[:40]}' is not pairs of hexadecimal digits", where=where) from None
    if isinstance(given, str) and given and given.isascii():
        return given.encode()
    raise RuleError("a value is a 64-bit integer, ASCII text, or hexadecimal digits after 0x", where=where)
