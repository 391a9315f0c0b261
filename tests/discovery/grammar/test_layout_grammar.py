"""The grammar that layouts say derives what their parser reads."""

from __future__ import annotations

import numpy as np

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.grammar.forest import Forests
from qbitel.discovery.grammar.initial import LayoutGrammar
from qbitel.discovery.grammar.learner import GrammarLearner
from qbitel.discovery.grammar.stage import learn_grammar
from qbitel.discovery.grammar.tokens import tokens_from_parsed
from qbitel.discovery.grammar.vocabulary import Vocabulary
from qbitel.discovery.parser import Parser
from qbitel.discovery.settings import DiscoverySettings
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
    SelfDelimiting,
    Switch,
    Times,
    ToEnd,
    ValueGuard,
)  # fmt: skip
from qbitel.discovery.statistics import StatisticalAnalyzer

X_Y = ["t.items.x", "t.items.y"]


def fixed(name: str, size: int = 1, **more: object) -> Field:
    return Field.model_validate({"name": name, "width": Fixed(size=size), **more})


def spec_of(*elements: object, **groups: list[object]) -> ProtocolSpec:
    return ProtocolSpec.model_validate({"types": [MessageType(name="t", elements=list(elements))], "groups": groups})  # type: ignore[arg-type]


def accepts(spec: ProtocolSpec, *names: str) -> bool:
    """Return whether the layout's grammar derives these tokens."""
    vocabulary = Vocabulary()
    rules = LayoutGrammar(spec, vocabulary).build(0)
    ids = np.array([vocabulary.names.index(n if "." in n else f"t.{n}") for n in names])
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
        assert accepts(spec, "n", *X_Y * count, "end")
    assert not accepts(spec, "n", "t.items.x", "end") and not accepts(spec, "n", *X_Y)
    once = spec_of(Repeat(name="items", stop=ToEnd(), elements=item, maximum=1), fixed("end"))
    assert accepts(once, "end") and accepts(once, *X_Y, "end") and not accepts(once, *X_Y * 2, "end")


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


def test_a_key_and_its_body_stand_in_one_rule() -> None:
    """Where a number field picks the body, its value is a token, and only that value goes with that body."""
    switch = Switch(
        name="body",
        field="k",
        cases=[Case(values=[1, 2], elements=[fixed("p")]), Case(values=[3], elements=[fixed("q")])],
        default=[fixed("r")],
    )
    region = Field(name="in", width=Rest(), elements=[switch, fixed("end")])
    for spec, at in (
        (spec_of(fixed("k", 2, encoding="uint", endianness="little"), switch, fixed("end")), "t"),
        (spec_of(fixed("k", 2, encoding="uint", endianness="little"), region), "t.in"),
    ):
        for value, body in (("0100", "p"), ("0200", "p"), ("0300", "q"), ("other", "r")):
            for other in "pqr":
                assert accepts(spec, f"k={value}", f"{at}.{other}", f"{at}.end") == (other == body)


def test_groups_recurse() -> None:
    """A group that holds itself derives nested items of any depth."""
    element = [fixed("tag"), fixed("len"), Field(name="inner", width=FromLength(field="len"), group="element")]
    spec = spec_of(Field(name="all", width=Rest(), group="element"), element=element)
    one = ["@element.tag", "@element.len"]
    assert accepts(spec, *one) and accepts(spec, *one * 3) and accepts(spec, *one * 2, "@element.inner.payload")
    assert not accepts(spec, "@element.tag") and not accepts(spec, *one, "@element.tag")
    only_itself = [Field(name="inner", width=Rest(), group="loop")]
    assert accepts(spec_of(Field(name="all", width=Rest(), group="loop"), loop=only_itself), "@loop.inner.payload")


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


def test_tokens_tell_values_of_small_enumerations_apart() -> None:
    """An enumerated value is part of its token; empty leaves are no tokens; a remainder is ``(unparsed)``."""
    spec = spec_of(fixed("op", 2, constraints=[Enum(values=[b"\x01\x00", b"\x02\x00"])]), Field(name="d", width=Rest()))
    batch = MessageBatch.from_payloads([b"\x01\x00abc", b"\x02\x00", b"\x09\x00z", b"\x01"])
    tokens = tokens_from_parsed(Parser(spec).parse_batch(batch))
    names = [[tokens.vocabulary.names[t] for t in sequence] for sequence in tokens.sequences]
    assert names == [["t.op=0100", "t.d"], ["t.op=0200"], ["t.op=other", "t.d"], ["(unparsed)"]]
    assert tokens.vocabulary.fields[tokens.sequences[0][0]] == tokens.vocabulary.fields[tokens.sequences[1][0]]
    grammar = GrammarLearner().learn(tokens.sequences, tokens.vocabulary.names, initial=tokens.initial)
    assert grammar.held_out_coverage == 1.0
    assert any(rule.left == "t.op" and rule.right == ["t.op=0100"] for rule in grammar.rules)


def records_spec() -> ProtocolSpec:
    """Return a protocol of two types: records with optional notes, and nested elements."""
    note = Field(name="note", width=FromLength(field="size"))
    record = [fixed("size", encoding="uint"), note]
    element = [
        fixed("tag", encoding="uint"), fixed("len", encoding="uint"),
        Field(name="inner", width=FromLength(field="len"), elements=[
            Switch(name="form", field="tag", cases=[Case(values=[48], group="element")], default=[
                Field(name="value", width=Rest())])]),
    ]  # fmt: skip
    return ProtocolSpec(
        types=[
            MessageType(
                name="records", guards=[ValueGuard(offset=0, width=1, values=[b"\x01"])],
                elements=[fixed("kind"), fixed("count", encoding="uint"),
                          Repeat(name="record", stop=Times(field="count"), elements=record), fixed("end")],
            ),
            MessageType(
                name="nested", guards=[ValueGuard(offset=0, width=1, values=[b"\x02"])],
                elements=[fixed("kind"), Repeat(name="list", stop=ToEnd(), group="element")],
            ),
        ],
        groups={"element": element},
    )  # fmt: skip


def nested_bytes(rng: np.random.Generator, depth: int = 0) -> bytes:
    if depth < 3 and rng.random() < 0.5:
        inside = nested_bytes(rng, depth + 1)
        return bytes([48, len(inside)]) + inside
    size = int(rng.integers(0, 4))
    return bytes([4, size]) + bytes(size)


def records_payloads(n: int) -> list[bytes]:
    rng = np.random.default_rng(2)
    out = []
    for i in range(n):
        if i % 2:
            out.append(b"\x02" + b"".join(nested_bytes(rng) for _ in range(rng.integers(1, 4))))
        else:
            sizes = rng.integers(0, 3, rng.integers(0, 5)).tolist()
            out.append(bytes([1, len(sizes)]) + b"".join(bytes([s]) + rng.bytes(s) for s in sizes) + b"\xff")
    return out


def test_the_stage_learns_grammar_and_sequence_of_a_specification() -> None:
    """Repeats, optional parts, nesting: all is derived, in fewer bits than the flat grammar, and chains are counted."""
    n = 300
    batch = MessageBatch.from_payloads(
        records_payloads(n), flow=[1 + i // 10 for i in range(n)], direction=[1 + i % 2 for i in range(n)],
        ts=[float(i) for i in range(n)],
    )  # fmt: skip
    settings = DiscoverySettings()
    sample = StatisticalAnalyzer(settings).analyze(batch).sample()
    spec = records_spec()
    learned = learn_grammar(spec, sample, settings, Parser(spec))
    grammar = learned.grammar
    assert grammar.held_out_coverage == 1.0 and not any("(other" in rule.left for rule in grammar.rules)
    assert grammar.bits_per_message < grammar.flat_bits_per_message
    lefts = {rule.left for rule in grammar.rules}
    for left in lefts:
        assert sum(rule.probability for rule in grammar.rules if rule.left == left) == 1.0
    assert {"S", "records", "nested", "@element", "records.record", "nested.list"} <= lefts
    named = {claim for rule in grammar.rules for claim in rule.constraints}
    assert {"type:records", "count:records.count", "length:records.size", "key:element.tag"} <= named
    assert {(t.source, t.target) for t in learned.sequence.transitions} == {
        ("start", "records"), ("records", "nested"), ("nested", "records"), ("nested", "end"),
    }  # fmt: skip
    assert ProtocolSpec.from_bytes(learned.to_bytes()) == learned


def test_ends_of_measured_regions_tell_nesting_from_sequence() -> None:
    """A region right after its length field ends in a token of its own, inner ones first, empty ones too."""
    inner = Repeat(name="in", stop=ToEnd(), group="el")
    value = Field(name="v", width=FromLength(field="len"), elements=[inner])
    tlv = [fixed("tag"), fixed("len", encoding="uint"), value]
    spec = spec_of(Repeat(name="top", stop=ToEnd(), group="el"), el=tlv)
    batch = MessageBatch.from_payloads([bytes([1, 2, 1, 0]), bytes([1, 0, 1, 0]), bytes([1, 9, 1])])
    tokens = tokens_from_parsed(Parser(spec).parse_batch(batch))
    head, close = ["@el.tag", "@el.len"], ["@el.v)"]
    names = [[tokens.vocabulary.names[t] for t in sequence] for sequence in tokens.sequences]
    assert names[:2] == [head + head + close + close, head + close + head + close]
    assert names[2] == [*head, "(unparsed)"]
    rules = tokens.initial
    forests = Forests(rules.rules, len(rules.names), len(tokens.vocabulary), tokens.sequences)
    assert forests.parsed.tolist() == [True, True, False]


def test_inner_regions_end_before_outer_ones() -> None:
    """Of regions that end at one byte the one that began last ends first, as it must to be derived."""
    inner = Field(name="in", width=FromLength(field="m"), elements=[fixed("x")])
    outer = Field(name="out", width=FromLength(field="n"), elements=[fixed("m", encoding="uint"), inner])
    spec = spec_of(fixed("n", encoding="uint"), outer)
    tokens = tokens_from_parsed(Parser(spec).parse_batch(MessageBatch.from_payloads([bytes([2, 1, 7])])))
    names = [tokens.vocabulary.names[t] for t in tokens.sequences[0]]
    assert names == ["t.n", "t.out.m", "t.out.in.x", "t.out.in)", "t.out)"]
    assert accepts(spec, *names)


def test_ber_lengths_end_regions() -> None:
    """Short and long BER lengths are read where a region follows them."""
    length = Field(name="len", width=SelfDelimiting(form="ber_length"), encoding="ber_length")
    body = Field(name="v", width=FromLength(field="len"), elements=[fixed("first"), Field(name="rest", width=Rest())])
    spec = spec_of(fixed("tag"), length, body, fixed("end"))
    payloads = [b"\x30\x02ab!", b"\x30\x81\x80" + b"c" * 128 + b"!"]
    tokens = tokens_from_parsed(Parser(spec).parse_batch(MessageBatch.from_payloads(payloads)))
    for sequence in tokens.sequences:
        names = [tokens.vocabulary.names[t] for t in sequence]
        assert names == ["t.tag", "t.len", "t.v.first", "t.v.rest", "t.v)", "t.end"]


def test_damaged_messages_are_derived_too() -> None:
    """Messages that do not parse get rules of their own beside those of the layout."""
    payloads = [*records_payloads(60), b"\x01\x05", b"\x07junk", b"\x02\x04\xff"]
    parsed = Parser(records_spec()).parse_batch(MessageBatch.from_payloads(payloads))
    tokens = tokens_from_parsed(parsed)
    grammar = GrammarLearner().learn(tokens.sequences, tokens.vocabulary.names, initial=tokens.initial)
    assert grammar.held_out_coverage == 1.0 and any("(other" in rule.left for rule in grammar.rules)
