"""The grammar that layouts say derives what their parser reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.grammar.forest import Forests
from qbitel.discovery.grammar.initial import LayoutGrammar
from qbitel.discovery.grammar.learner import GrammarLearner
from qbitel.discovery.grammar.tokens import tokens_from_spec
from qbitel.discovery.grammar.vocabulary import Vocabulary
from qbitel.discovery.spec import (
    Case,
    Checksum,
    Enum,
    Field,
    Fixed,
    FromLength,
    Length,
    MessageType,
    ProtocolSpec,
    Repeat,
    Rest,
    Switch,
    Times,
    ToEnd,
)  # fmt: skip


def fixed(name: str, size: int = 1, **more: object) -> Field:
    return Field.model_validate({"name": name, "width": Fixed(size=size), **more})


def spec_of(*elements: object, **groups: list[object]) -> ProtocolSpec:
    return ProtocolSpec.model_validate({"types": [MessageType(name="t", elements=list(elements))], "groups": groups})  # type: ignore[arg-type]


def accepts(spec: ProtocolSpec, *names: str) -> bool:
    """Return whether the layout's grammar derives these tokens."""
    vocabulary = Vocabulary()
    rules = LayoutGrammar(spec, vocabulary).build(0)
    ids = np.array([vocabulary.names.index(n if "." in n or n == "unparsed" else f"t.{n}") for n in names])
    return bool(Forests(rules.rules, len(rules.names), len(vocabulary), [ids]).parsed[0])


def test_optional_parts_are_alternatives() -> None:
    """A field of no fixed width may be absent, wherever it stands; a fixed one may not."""
    spec = spec_of(fixed("a"), Field(name="b", width=FromLength(field="a")), fixed("c"), Field(name="d", width=Rest()))
    for present in (["a", "c"], ["a", "b", "c"], ["a", "c", "d"], ["a", "b", "c", "d"]):
        assert accepts(spec, *present)
    for wrong in (["a"], ["a", "b"], ["b", "c"], ["a", "c", "b"], ["a", "b", "b", "c"]):
        assert not accepts(spec, *wrong)


def test_repeats_are_recursive_rules() -> None:
    """A repeat derives any number of items, one of at most one item at most one."""
    item = [fixed("x"), fixed("y")]
    spec = spec_of(fixed("n"), Repeat(name="items", stop=Times(field="n"), elements=item), fixed("end"))
    for count in (0, 1, 2, 20):
        assert accepts(spec, "n", *["x", "y"] * count, "end")
    assert not accepts(spec, "n", "x", "end") and not accepts(spec, "n", "x", "y")
    once = spec_of(Repeat(name="items", stop=ToEnd(), elements=item, maximum=1), fixed("end"))
    assert accepts(once, "end") and accepts(once, "x", "y", "end") and not accepts(once, *["x", "y"] * 2, "end")


def test_switches_are_choices_with_their_key_as_a_claim() -> None:
    """Each case is a rule of its own that names the key which picks it."""
    switch = Switch(name="body", field="k", cases=[Case(values=[1], elements=[fixed("p"), fixed("q")]),
                                                  Case(values=[2], elements=[fixed("r")])])  # fmt: skip
    spec = spec_of(fixed("k"), switch, fixed("end"))
    assert accepts(spec, "k", "p", "q", "end") and accepts(spec, "k", "r", "end") and accepts(spec, "k", "end")
    assert not accepts(spec, "k", "p", "r", "end")
    rules = LayoutGrammar(spec, Vocabulary()).build(0)
    named = [names for names in rules.constraints.values() if names == ["key:t.k"]]
    assert len(named) == 2


def test_groups_recurse() -> None:
    """A group that holds itself derives nested items of any depth."""
    element = [fixed("tag"), fixed("len"), Field(name="inner", width=FromLength(field="len"), group="element")]
    spec = spec_of(Field(name="all", width=Rest(), group="element"), element=element)
    one = ["element.tag", "element.len"]
    assert accepts(spec, *one) and accepts(spec, *one * 3) and accepts(spec, *one * 2, "element.inner")
    assert not accepts(spec, "element.tag") and not accepts(spec, *one, "element.tag")
    only_itself = [Field(name="inner", width=Rest(), group="loop")]
    assert accepts(spec_of(Field(name="all", width=Rest(), group="loop"), loop=only_itself), "loop.inner")


def test_relations_between_fields_are_named_on_the_rules() -> None:
    """Lengths, counts and checksums that a rule cannot say are claims of it, and the type's key of its choice."""
    spec = spec_of(
        fixed("size", constraints=[Length(of="rest")]), Field(name="body", width=FromLength(field="size")), fixed("n"),
        Repeat(name="items", stop=Times(field="n"), elements=[fixed("x")]),
        fixed("sum", constraints=[Checksum(algorithm="xor")]),
    )  # fmt: skip
    rules = LayoutGrammar(spec, Vocabulary()).build(0)
    by_name = {(rules.names[left], len(right)): names for (left, right), names in rules.constraints.items()}
    assert ["type:t"] in by_name.values()
    assert ["checksum:t.sum", "count:t.n", "length:t.size"] in by_name.values()


@dataclass(frozen=True)
class Symbol:
    scope: str
    name: str


@dataclass(frozen=True)
class Read:
    leaf_row: np.ndarray
    leaf_start: np.ndarray
    leaf_length: np.ndarray
    leaf_symbol: np.ndarray
    symbols: list[Symbol]


def test_tokens_tell_values_of_small_enumerations_apart() -> None:
    """An enumerated value is part of its token; empty leaves are no tokens; a remainder is ``unparsed``."""
    spec = spec_of(fixed("op", 2, constraints=[Enum(values=[b"\x01\x00", b"\x02\x00"])]), Field(name="d", width=Rest()))
    view = MessageBatch.from_payloads([b"\x01\x00abc", b"\x02\x00", b"\x09\x00z", b"\x01"]).view()
    leaves = Read(
        np.array([0, 0, 1, 1, 2, 2, 3]), np.array([0, 2, 0, 2, 0, 2, 0]), np.array([2, 3, 2, 0, 2, 1, 1]),
        np.array([0, 1, 0, 1, 0, 1, -1]), [Symbol("t", "op"), Symbol("t", "d")],
    )  # fmt: skip
    tokens = tokens_from_spec(spec, view, leaves)
    names = [[tokens.vocabulary.names[t] for t in sequence] for sequence in tokens.sequences]
    assert names == [["t.op=0100", "t.d"], ["t.op=0200"], ["t.op=other", "t.d"], ["unparsed"]]
    assert tokens.vocabulary.fields[tokens.sequences[0][0]] == tokens.vocabulary.fields[tokens.sequences[1][0]]
    grammar = GrammarLearner().learn(tokens.sequences, tokens.vocabulary.names, initial=tokens.initial)
    assert grammar.held_out_coverage == pytest.approx(1.0)
    assert any(rule.left == "t.op" and rule.right == ["t.op=0100"] for rule in grammar.rules)
