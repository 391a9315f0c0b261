"""The grammar that layouts say: types → elements, repeats → recursion, switches → choices, groups shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..spec import Element, Field, Fixed, FromLength, ProtocolSpec, Repeat, Switch, Times, walk
from .rules import Rule, RuleSet
from .vocabulary import MAX_VALUES, WIDEST, Vocabulary

START = "S"
MAX_RULES = 20_000
_MAX_COPIES = 400  # elements written again for the values of a key
PAYLOAD = "payload"  # the parser's name for what the elements of a region leave
_RELATIONS = ("length", "count", "checksum", "counter", "echo")


@dataclass(frozen=True)
class Part:
    """Symbols in a row; ``nullable``: or nothing at all (always where there are no symbols)."""

    symbols: tuple[int, ...] = ()
    nullable: bool = True


@dataclass(frozen=True)
class Closing:
    """The token that ends a region, and how its length is read: the length field and the region's width."""

    token: int
    length: Field
    width: FromLength


@dataclass(frozen=True)
class Key:
    """A field that a switch depends on, and the value (None: any other) for which a rule stands."""

    qualified: str
    name: str
    value: int | None
    values: dict[int, bytes]


@dataclass(frozen=True)
class Place:
    """Where elements stand: the names above them, as in the parser's symbols, and the type or group that owns them."""

    path: str
    owner: str
    keys: tuple[Key, ...] = ()

    def below(self, name: str) -> Place:
        """Return the place inside a region or repeat of that name."""
        return Place(f"{self.path}.{name}", self.owner, self.keys)

    def with_key(self, key: Key) -> Place:
        """Return the place where a key has a value."""
        return Place(self.path, self.owner, (*self.keys, key))

    def key_at(self, qualified: str) -> Key | None:
        """Return the value that the field there has, None where it is open."""
        return next((key for key in self.keys if key.qualified == qualified), None)

    def key_named(self, name: str) -> Key | None:
        """Return the value that the most recent key of that name has, None where it is open."""
        return next((key for key in reversed(self.keys) if key.name == name), None)


@dataclass
class LayoutGrammar:
    """
    Builds rules from layouts; a part that may be absent is an alternative, never an empty right side.

    Attributes:
        vocabulary: terminals, extended as fields are met.
        closings: qualified name of a length field → the end of the region that it measures.
        names, rules, constraints: as in ``RuleSet``.
    """

    spec: ProtocolSpec
    vocabulary: Vocabulary
    closings: dict[str, Closing] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    rules: dict[Rule, None] = field(default_factory=dict)
    constraints: dict[Rule, list[str]] = field(default_factory=dict)
    _later: list[Rule] = field(default_factory=list)
    _unary: dict[int, set[int]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _groups: dict[str, int] = field(default_factory=dict)

    def build(self, seed: int) -> RuleSet:
        """Return the grammar of all types."""
        self._name(START)
        for message_type in self.spec.types:
            if len(self.rules) > MAX_RULES:
                break  # messages of the types left out get rules of their own from their sequences
            place = Place(message_type.name, message_type.name)
            left = self._name(message_type.name)
            part = self._sequence(place, message_type.elements)
            symbols = part.symbols or self._token(place, PAYLOAD)
            self._claim(self._rule(left, symbols), claims(place.owner, message_type.elements))
            # which body follows is for the key's bytes to say, not for a probability
            self._claim(self._rule(0, (~left,)), [f"type:{message_type.name}"])
        for left, right in self._later:
            self._rule(left, right)
        grammar = RuleSet.uniform(self.names, self.rules, seed)
        grammar.constraints = self.constraints
        return grammar

    def _name(self, wanted: str) -> int:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
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

    def _sequence(self, place: Place, elements: Sequence[Element]) -> Part:
        """Return elements in a row, built from the end, so that each part that may be absent costs one symbol."""
        switched = _key_of(place, elements)
        if switched is not None:
            return self._by_key(place, elements, *switched)
        after = Part()
        for element, before in reversed(list(zip(elements, [None, *elements], strict=False))):
            after = self._before(place, self._element(place, element, before), after)
        return after

    def _by_key(self, place: Place, elements: Sequence[Element], name: str, values: dict[int, bytes]) -> Part:
        """Return a choice by the value of a key: each value stands in one rule with the body that it picks."""
        left = self._name(f"{place.path}_by_{name}")
        for value in (*values, None):
            part = self._sequence(place.with_key(Key(f"{place.path}.{name}", name, value, values)), elements)
            self._claim(self._rule(left, part.symbols), [f"key:{place.owner}.{name}"])
        return Part((~left,), False)

    def _before(self, place: Place, first: Part, rest: Part) -> Part:
        if not first.symbols or not rest.symbols:
            return Part(first.symbols or rest.symbols, first.nullable and rest.nullable)
        if not first.nullable and not rest.nullable:
            return Part(first.symbols + rest.symbols, False)
        left = self._name(f"{place.path}_part")
        self._rule(left, first.symbols + rest.symbols)
        # in a group that holds itself these may close a circle: they come last, so that they are what is left out
        if rest.nullable:
            self._later.append((left, first.symbols))
        if first.nullable:
            self._later.append((left, rest.symbols))
        return Part((~left,), first.nullable and rest.nullable)

    def _element(self, place: Place, element: Element, before: Element | None) -> Part:
        if isinstance(element, Field):
            return self._field(place, element, before)
        if isinstance(element, Repeat):
            return self._repeat(place, element)
        return self._switch(place, element)

    def _field(self, place: Place, element: Field, before: Element | None) -> Part:
        optional = not isinstance(element.width, Fixed)
        if not element.elements and element.group is None:
            return Part(self._token(place, element.name, element), optional)
        below = place.below(element.name)
        inside = self._layout(below, element.elements, element.group)
        # what its elements leave of a region is one more leaf
        whole = self._before(below, inside, Part(self._token(below, PAYLOAD), True))
        close = self._close(place, element, before)
        if close is not None:
            return self._before(below, whole, Part((close,), False))
        return Part(whole.symbols, optional or whole.nullable)

    def _close(self, place: Place, region: Field, before: Element | None) -> int | None:
        """Return the token that ends a region whose length field stands right before it, None for other regions."""
        width = region.width
        if not isinstance(width, FromLength) or width.origin != "self" or not isinstance(before, Field):
            return None
        if before.name != width.field or before.encoding not in ("uint", "ber_length"):
            return None
        token = self.vocabulary.of_field(f"{place.path}.{region.name})")[0]
        self.closings[f"{place.path}.{before.name}"] = Closing(token, before, width)
        return token

    def _token(self, place: Place, name: str, element: Field | None = None) -> tuple[int, ...]:
        """Return the terminal of a field, or a non-terminal of the values that it tells apart."""
        qualified = f"{place.path}.{name}"
        key = place.key_at(qualified)
        if key is not None:
            self.vocabulary.of_field(qualified, element, list(key.values.values()))
            return (self.vocabulary.values[qualified][None if key.value is None else key.values[key.value]],)
        tokens = self.vocabulary.of_field(qualified, element)
        if len(tokens) == 1:
            return (tokens[0],)
        left = self._name(qualified)
        for token in tokens:
            self._rule(left, (token,))
        return (~left,)

    def _layout(self, place: Place, elements: Sequence[Element], group: str | None) -> Part:
        if group is None:
            return self._sequence(place, elements)
        members = self.spec.groups.get(group, [])
        if not members:
            return Part()
        if group not in self._groups:
            own = Place(f"@{group}", group)
            left = self._groups[group] = self._name(own.path)
            part = self._sequence(own, members)
            if part.symbols:
                self._claim(self._rule(left, part.symbols), claims(group, members))
        return Part((~self._groups[group],), True)

    def _repeat(self, place: Place, element: Repeat) -> Part:
        below = place.below(element.name)
        item = self._layout(below, element.elements, element.group)
        if not item.symbols or element.maximum == 1:
            return Part(item.symbols, True)
        left = self._name(below.path)
        self._rule(left, (*item.symbols, ~left))
        self._rule(left, item.symbols)
        return Part((~left,), True)

    def _switch(self, place: Place, element: Switch) -> Part:
        key = place.key_named(element.field)
        if key is not None:
            return self._picked(place, element, key)
        parts = [self._layout(place, case.elements, case.group) for case in element.cases]
        parts.append(self._sequence(place, element.default))
        if not any(part.symbols for part in parts):
            return Part()
        left = self._name(f"{place.path}.{element.name}")
        for part in parts:
            if part.symbols:
                self._claim(self._rule(left, part.symbols), [f"key:{place.owner}.{element.field}"])
        return Part((~left,), any(part.nullable for part in parts))

    def _picked(self, place: Place, element: Switch, key: Key) -> Part:
        for case in element.cases:
            if key.value is not None and key.value in case.values:
                return self._layout(place, case.elements, case.group)
        return self._sequence(place, element.default)

    def _claim(self, rule: Rule | None, names: list[str]) -> None:
        if rule is not None and names:
            self.constraints[rule] = sorted({*self.constraints.get(rule, []), *names})


def _key_of(place: Place, elements: Sequence[Element]) -> tuple[str, dict[int, bytes]] | None:
    """Return the first field in a row that switches after it depend on, and the values that they list, as bytes."""
    below = list(walk(list(elements)))
    switches: dict[str, list[Switch]] = {}
    for element in below:
        if isinstance(element, Switch):
            switches.setdefault(element.field, []).append(element)
    for element in elements:
        if element.name in switches and place.key_at(f"{place.path}.{element.name}") is None:
            values = _switch_values(element, switches[element.name])
            if values and len(values) * len(below) <= _MAX_COPIES:
                return element.name, values
    return None


def _switch_values(element: Element, switches: Sequence[Switch]) -> dict[int, bytes]:
    """Return the values that switches on a number field list, none where there are too many or a mask hides bits."""
    size = _number_size(element)
    if not size or any(switch.mask != -1 for switch in switches):
        return {}
    known = [value for value in _listed(switches) if 0 <= value < 1 << (8 * size)]
    order = element.endianness if isinstance(element, Field) and element.endianness else "big"
    return {value: value.to_bytes(size, order) for value in known} if len(known) <= MAX_VALUES else {}


def _listed(switches: Sequence[Switch]) -> list[int]:
    return sorted({value for switch in switches for case in switch.cases for value in case.values})


def _number_size(element: Element) -> int:
    """Return the bytes of a plain number field, 0 where it is none or too wide to be a token."""
    if not isinstance(element, Field) or not isinstance(element.width, Fixed) or element.encoding != "uint":
        return 0
    return element.width.size if element.width.size <= WIDEST else 0


def claims(owner: str, elements: Sequence[Element]) -> list[str]:
    """Return the names of the claims by which values of fields bear on other parts: sizes, counts, checksums."""
    return [claim for element in elements for claim in _claims_of(owner, element)]


def _claims_of(owner: str, element: Element) -> list[str]:
    if isinstance(element, Field):
        found = [f"{c.kind}:{owner}.{element.name}" for c in element.constraints if c.kind in _RELATIONS]
        if isinstance(element.width, FromLength):
            found.append(f"length:{owner}.{element.width.field}")
        return found + claims(owner, element.elements)
    if isinstance(element, Repeat):
        found = [f"count:{owner}.{element.stop.field}"] if isinstance(element.stop, Times) else []
        return found + claims(owner, element.elements)
    bodies = [case.elements for case in element.cases] + [element.default]
    return [claim for body in bodies for claim in claims(owner, body)]
