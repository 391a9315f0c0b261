"""The grammar that layouts say: types → elements, repeats → recursion, switches → choices, groups shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..spec import Element, Field, Fixed, FromLength, ProtocolSpec, Repeat, Switch, Times
from .rules import Rule, RuleSet
from .vocabulary import Vocabulary

START = "S"
MAX_RULES = 20_000
_RELATIONS = ("length", "count", "checksum", "counter", "echo")


@dataclass(frozen=True)
class Part:
    """Symbols in a row; ``nullable``: or nothing at all (always where there are no symbols)."""

    symbols: tuple[int, ...] = ()
    nullable: bool = True


@dataclass
class LayoutGrammar:
    """
    Builds rules from layouts; a part that may be absent is an alternative, never an empty right side.

    Attributes:
        vocabulary: terminals, extended as fields are met.
        names, rules, constraints: as in ``RuleSet``.
    """

    spec: ProtocolSpec
    vocabulary: Vocabulary
    names: list[str] = field(default_factory=list)
    rules: dict[Rule, None] = field(default_factory=dict)
    constraints: dict[Rule, list[str]] = field(default_factory=dict)
    _later: list[Rule] = field(default_factory=list)
    _unary: dict[int, set[int]] = field(default_factory=dict)
    _groups: dict[str, int] = field(default_factory=dict)

    def build(self, seed: int) -> RuleSet:
        """Return the grammar of all types."""
        self._name(START)
        for message_type in self.spec.types:
            if len(self.rules) > MAX_RULES:
                break  # messages of the types left out get rules of their own from their sequences
            left = self._name(message_type.name)
            part = self._sequence(message_type.name, message_type.elements)
            if part.symbols:
                self._claims(self._rule(left, part.symbols), message_type.name, message_type.elements)
                # which body follows is for the key's bytes to say, not for a probability
                self._claim(self._rule(0, (~left,)), [f"type:{message_type.name}"])
        for left, right in self._later:
            self._rule(left, right)
        grammar = RuleSet.uniform(self.names, self.rules, seed)
        grammar.constraints = self.constraints
        return grammar

    def _name(self, wanted: str) -> int:
        name, number = wanted, 1
        while name in self.names:
            number += 1
            name = f"{wanted}_{number}"
        self.names.append(name)
        return len(self.names) - 1

    def _rule(self, left: int, right: tuple[int, ...]) -> Rule | None:
        """Add a rule unless it closes a circle of unary rules (which would derive nothing new)."""
        rule = (left, right)
        if len(right) == 1 and right[0] < 0:
            below = self._unary.setdefault(left, set())
            if ~right[0] == left or left in self._reach(~right[0]):
                return None
            below.add(~right[0])
        self.rules[rule] = None
        return rule

    def _reach(self, start: int) -> set[int]:
        seen: set[int] = set()
        todo = [start]
        while todo:
            for child in self._unary.get(todo.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return seen

    def _sequence(self, scope: str, elements: Sequence[Element], after: Part = Part()) -> Part:
        """Return elements in a row, then ``after``; built from the end, so that each absent part costs one symbol."""
        for element in reversed(elements):
            after = self._before(scope, self._element(scope, element), after)
        return after

    def _before(self, scope: str, first: Part, rest: Part) -> Part:
        if not first.symbols or not rest.symbols:
            return Part(first.symbols or rest.symbols, first.nullable and rest.nullable)
        if not first.nullable and not rest.nullable:
            return Part(first.symbols + rest.symbols, False)
        left = self._name(f"{scope}_part")
        self._rule(left, first.symbols + rest.symbols)
        # in a group that holds itself these may close a circle: they come last, so that they are what is left out
        if rest.nullable:
            self._later.append((left, first.symbols))
        if first.nullable:
            self._later.append((left, rest.symbols))
        return Part((~left,), first.nullable and rest.nullable)

    def _element(self, scope: str, element: Element) -> Part:
        if isinstance(element, Field):
            return self._field(scope, element)
        if isinstance(element, Repeat):
            return self._repeat(scope, element)
        return self._switch(scope, element)

    def _field(self, scope: str, element: Field) -> Part:
        optional = not isinstance(element.width, Fixed)
        own = Part(self._tokens(scope, element), True)
        if not element.elements and element.group is None:
            return Part(own.symbols, optional)
        # what its elements leave of a region is one more leaf
        inside = self._before(scope, self._layout(scope, element.elements, element.group), own)
        return Part(inside.symbols, optional or inside.nullable)

    def _tokens(self, scope: str, element: Field) -> tuple[int, ...]:
        tokens = self.vocabulary.of_field(scope, element)
        if len(tokens) == 1:
            return (tokens[0],)
        left = self._name(f"{scope}.{element.name}")
        for token in tokens:
            self._rule(left, (token,))
        return (~left,)

    def _layout(self, scope: str, elements: Sequence[Element], group: str | None) -> Part:
        if group is None or group not in self.spec.groups:
            return self._sequence(scope, elements)
        if group not in self._groups:
            left = self._groups[group] = self._name(group)
            part = self._sequence(group, self.spec.groups[group])
            rule = self._rule(left, part.symbols) if part.symbols else None
            self._claims(rule, group, self.spec.groups[group])
        return Part((~self._groups[group],), True)

    def _repeat(self, scope: str, element: Repeat) -> Part:
        item = self._layout(scope, element.elements, element.group)
        if not item.symbols or element.maximum == 1:
            return Part(item.symbols, True)
        left = self._name(f"{scope}_{element.name}")
        self._rule(left, (*item.symbols, ~left))
        self._rule(left, item.symbols)
        return Part((~left,), True)

    def _switch(self, scope: str, element: Switch) -> Part:
        parts = [self._layout(scope, case.elements, case.group) for case in element.cases]
        parts.append(self._sequence(scope, element.default))
        if not any(part.symbols for part in parts):
            return Part()
        left = self._name(f"{scope}_{element.name}")
        for part in parts:
            if part.symbols:
                self._claim(self._rule(left, part.symbols), [f"key:{scope}.{element.field}"])
        return Part((~left,), any(part.nullable for part in parts))

    def _claims(self, rule: Rule | None, scope: str, elements: Sequence[Element]) -> None:
        self._claim(rule, [claim for element in elements for claim in claims(scope, element)])

    def _claim(self, rule: Rule | None, names: list[str]) -> None:
        if rule is not None and names:
            self.constraints[rule] = sorted({*self.constraints.get(rule, []), *names})


def claims(scope: str, element: Element) -> list[str]:
    """Return the names of the claims by which the value of one field bears on other parts: sizes, counts, checksums."""
    if isinstance(element, Field):
        found = [f"{c.kind}:{scope}.{element.name}" for c in element.constraints if c.kind in _RELATIONS]
        if isinstance(element.width, FromLength):
            found.append(f"length:{scope}.{element.width.field}")
        return found + _claims_within(scope, element.elements)
    if isinstance(element, Repeat):
        found = [f"count:{scope}.{element.stop.field}"] if isinstance(element.stop, Times) else []
        return found + _claims_within(scope, element.elements)
    bodies = [case.elements for case in element.cases] + [element.default]
    return [claim for body in bodies for claim in _claims_within(scope, body)]


def _claims_within(scope: str, elements: Sequence[Element]) -> list[str]:
    return [claim for inner in elements for claim in claims(scope, inner)]
