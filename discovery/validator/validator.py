"""MessageValidator: from a specification and a level to verdicts, for one message, a batch, or a stream of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageBatch, MessageView
from ..errors import NotFoundError
from ..grammar.likelihood import Likelihood
from ..parser import ParsedBatch, Parser
from ..spec import UNKNOWN_TYPE, Address, Counter, Echo, ProtocolSpec
from . import flows
from .constraints import CHECKS, sentence
from .endpoints import address
from .framing import misframed
from .memory import FlowMemory
from .rules import Rule
from .values import Leaves
from .verdict import Breach, ValidationResult, Verdict

BITS_MARGIN = 2**-12  # bounds are stored quantised
LEVELS = ("basic", "standard", "strict", "enterprise")


class MessageValidator:
    """
    Judges messages.

    Levels, each with all before it: ``basic``: the size and the framing are right and the type is known; ``standard``:
    the message fits its layout to the last byte; ``strict``: every constraint holds, those between the messages of a
    flow included; ``enterprise``: the custom rules hold, and neither the message under the grammar nor its place in the
    flow is less likely than anything that the specification was learned from.

    Args:
        spec: the specification; level: one of ``LEVELS``; rules: custom rules, checked at every level they are given.

    Raises:
        NotFoundError: there is no such level. SpecError: the specification cannot be compiled.
    """

    def __init__(self, spec: ProtocolSpec, level: str = "standard", rules: Sequence[Rule] = ()) -> None:
        if level not in LEVELS:
            raise NotFoundError(f"no level '{level}'", hint=f"one of {', '.join(LEVELS)}")
        self.spec, self.level, self.rules = spec, level, tuple(rules)
        self.parser = Parser(spec)
        self.rank = LEVELS.index(level)
        self.type_names = (*(t.name for t in spec.types), UNKNOWN_TYPE)
        self.likelihood = Likelihood(spec) if self.rank >= 3 else None
        constraints = (c for s in self.parser.symbols if s.field is not None for c in s.field.constraints)
        self.asked = {(c.type, c.field) for c in constraints if isinstance(c, Echo)}  # what answers repeat

    def with_rules(self, rules: Sequence[Rule]) -> MessageValidator:
        """Return a validator with other custom rules; what was compiled is shared."""
        other = copy(self)
        other.rules = tuple(rules)
        return other

    def validate(self, message: bytes) -> Verdict:
        """Judge one message on its own."""
        return self.validate_batch(MessageBatch.from_payloads([message])).verdict(0)

    def stream(self, batches: Iterable[MessageBatch]) -> Iterator[ValidationResult]:
        """Judge batch after batch, as if all were one: the latest messages of each flow are remembered."""
        memory = FlowMemory()
        for batch in batches:
            if self.rank < LEVELS.index("strict"):
                yield self.validate_batch(batch)
                continue
            before = memory.recall(batch)
            both = MessageBatch.concatenate([before, batch])
            result = self.validate_batch(both)
            memory.keep(both, result.type_index)
            yield result.after(len(before))

    def validate_batch(self, messages: MessageBatch | MessageView) -> ValidationResult:
        """Judge a batch; every message gets a verdict, in order."""
        view = messages.view() if isinstance(messages, MessageBatch) else messages
        parsed = self.parser.parse_batch(view)
        batch = messages if isinstance(messages, MessageBatch) else None
        kept = tuple(breach for breach in self._breaches(parsed, batch) if len(breach.rows))
        valid = np.ones(len(view), bool)
        for breach in kept:
            valid[breach.rows] = False
        return ValidationResult(valid, parsed.type_index, self.type_names, kept)

    def _breaches(self, parsed: ParsedBatch, batch: MessageBatch | None) -> Iterator[Breach]:
        yield _misframed(parsed)
        yield _unknown(parsed)
        if self.rank >= 1:
            yield _misfits(parsed)
        columns = list(self._columns(parsed)) if self.rank >= 2 or self.rules else []
        if self.rank >= 2:
            for leaves in columns:
                yield from _field_breaches(leaves)
            yield from _flow_breaches(columns, parsed.view)
            if batch is not None:
                yield from _address_breaches(columns, batch)
        if self.likelihood is not None:
            yield from self.likelihood_breaches(parsed, self.likelihood)
        yield from self._rule_breaches(columns)

    def _rule_breaches(self, columns: Sequence[Leaves]) -> Iterator[Breach]:
        for rule in self.rules:
            yield from (_rule_breach(rule, leaves) for leaves in columns if rule.concerns(leaves.symbol))

    def _columns(self, parsed: ParsedBatch) -> Iterator[Leaves]:
        for index in parsed.symbols_present.tolist():
            symbol = parsed.symbols[index]
            judged = self.rank >= 2 or any(rule.concerns(symbol) for rule in self.rules)
            asked = (symbol.type, symbol.path) in self.asked
            if judged and symbol.field is not None and (symbol.field.constraints or self.rules or asked):
                yield Leaves(parsed, symbol, symbol.field, parsed.leaves_of(index))

    def likelihood_breaches(self, parsed: ParsedBatch, likelihood: Likelihood) -> list[Breach]:
        """Return the messages that the grammar, or the sequence of types, makes less likely than anything learned."""
        bits = likelihood.message_bits(parsed)
        order = flows.order_in_flows(parsed.view)
        steps = likelihood.sequence_bits(parsed, order)
        return [
            self._surprise("grammar", parsed, bits, likelihood.message_bound, "under the grammar"),
            self._surprise("sequence", parsed, steps, likelihood.sequence_bound, "after the message before it"),
        ]

    @staticmethod
    def _surprise(rule: str, parsed: ParsedBatch, bits: NDArray[np.float64], bound: float, how: str) -> Breach:
        rows = np.flatnonzero(bits > bound + BITS_MARGIN)
        return _whole(rule, parsed, rows, lambda k: f"{_cost(bits[rows[k]])} {how}, at most {bound:.1f} are usual")


def _cost(bits: np.float64) -> str:
    return "is impossible" if np.isinf(bits) else f"takes {bits:.1f} bits"


def _whole(rule: str, parsed: ParsedBatch, rows: NDArray[np.int64], reason: Callable[[int], str]) -> Breach:
    return Breach(rule, "", rows, np.zeros(len(rows), np.int64), parsed.view.lengths[rows], reason)


def _unknown(parsed: ParsedBatch) -> Breach:
    rows = np.flatnonzero(parsed.type_index < 0)
    return _whole("type", parsed, rows, lambda k: parsed.error(int(rows[k])) or "no type")


def _misframed(parsed: ParsedBatch) -> Breach:
    broken, how = misframed(parsed.view, parsed.spec.framing)
    rows = np.flatnonzero(broken)
    return _whole("framing", parsed, rows, lambda k: f"the message {how}")


def _misfits(parsed: ParsedBatch) -> Breach:
    rows = np.flatnonzero((parsed.type_index >= 0) & ~parsed.explained)
    starts = parsed.error_offset[rows].astype(np.int64)
    lengths = np.maximum(parsed.view.lengths[rows] - starts, 0)
    return Breach("structure", "", rows, starts, lengths, lambda k: parsed.error(int(rows[k])) or "does not fit")


def _breach(rule: str, leaves: Leaves, holds: NDArray[np.bool_], reason: Callable[[int], str]) -> Breach:
    broken = np.flatnonzero(~holds)
    return Breach(
        rule, leaves.symbol.qualified, leaves.rows[broken], leaves.starts[broken], leaves.lengths[broken],
        lambda k: reason(int(broken[k])),
    )  # fmt: skip


def _rule_breach(rule: Rule, leaves: Leaves) -> Breach:
    return _breach(rule.name, leaves, rule.holds(leaves), partial(rule.reason, leaves))


def _field_breaches(leaves: Leaves) -> Iterator[Breach]:
    for constraint in leaves.field.constraints:
        check = CHECKS.get(constraint.kind)
        holds = check(leaves, constraint) if check else None
        if holds is not None:
            yield _breach(constraint.kind, leaves, holds, partial(sentence, leaves, constraint))


def _flow_breaches(columns: Sequence[Leaves], view: MessageView) -> list[Breach]:
    counters = [(leaves, c) for leaves in columns for c in leaves.field.constraints if isinstance(c, Counter)]
    held = flows.counter(counters, view) if counters else []
    breaches = [
        _breach("counter", leaves, holds, partial(sentence, leaves, constraint))
        for (leaves, constraint), holds in zip(counters, held, strict=True)
    ]
    for leaves in columns:
        for constraint in leaves.field.constraints:
            if isinstance(constraint, Echo) and (requests := _field_of(columns, constraint)) is not None:
                holds = flows.echo(leaves, constraint, requests, view)
                breaches.append(_breach("echo", leaves, holds, partial(sentence, leaves, constraint)))
    return breaches


def _address_breaches(columns: Sequence[Leaves], batch: MessageBatch) -> Iterator[Breach]:
    for leaves in columns:
        for constraint in leaves.field.constraints:
            if isinstance(constraint, Address):
                holds = address(leaves, constraint, batch)
                yield _breach("address", leaves, holds, partial(sentence, leaves, constraint))


def _field_of(columns: Sequence[Leaves], constraint: Echo) -> Leaves | None:
    return next((c for c in columns if c.symbol.type == constraint.type and c.symbol.path == constraint.field), None)
