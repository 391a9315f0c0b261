"""GrammarLearner finds the grammars that synthetic messages were drawn from, and reports what it found."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from qbitel.discovery.grammar import GrammarLearner, RuleSet
from qbitel.discovery.grammar.forest import Forests
from qbitel.discovery.grammar.learner import CUT, EMPTY, collapse
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Grammar

TAG, LENGTH, VALUE, OPEN, CLOSE = range(5)
TLV_NAMES = ["tag", "length", "value", "open", "close"]


def nested_tlv(rng: np.random.Generator, depth: int = 0) -> list[int]:
    """Draw items → item items | item; item → tag length value | open length items close."""
    out: list[int] = []
    while True:
        if depth < 4 and rng.random() < 0.3:
            out += [OPEN, LENGTH, *nested_tlv(rng, depth + 1), CLOSE]
        else:
            out += [TAG, LENGTH, VALUE]
        if rng.random() < 0.5:
            return out


def is_nested_tlv(tokens: list[int]) -> bool:
    depth, at = 0, 0
    while at < len(tokens):
        if tokens[at : at + 3] == [TAG, LENGTH, VALUE]:
            at += 3
        elif tokens[at : at + 2] == [OPEN, LENGTH] and tokens[at + 2 : at + 3] != [CLOSE]:
            depth, at = depth + 1, at + 2
        elif tokens[at] == CLOSE and depth:
            depth, at = depth - 1, at + 1
        else:
            return False
    return depth == 0 and bool(tokens)


def expression(rng: np.random.Generator) -> list[int]:
    """Draw E → E + E | E * E | n, with n 0, + 1, * 2: every bracketing derives the same tokens."""
    out = [0]
    while rng.random() < 0.6:
        out += [1 + int(rng.random() < 0.3), 0]
    return out


def matched(rng: np.random.Generator) -> list[int]:
    """Draw 0^n 1^n, n geometric."""
    n = int(rng.geometric(0.4))
    return [0] * n + [1] * n


def is_expression(tokens: list[int]) -> bool:
    return len(tokens) % 2 == 1 and all((t == 0) == (i % 2 == 0) for i, t in enumerate(tokens))


def is_matched(tokens: list[int]) -> bool:
    n = len(tokens) // 2
    return n > 0 and tokens == [0] * n + [1] * n


LANGUAGES = {
    "nested_tlv": (nested_tlv, is_nested_tlv, TLV_NAMES),
    "expression": (expression, is_expression, ["n", "plus", "times"]),
    "matched": (matched, is_matched, ["a", "b"]),
}


def sums(grammar: Grammar) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for rule in grammar.rules:
        totals[rule.left] += rule.probability
    return dict(totals)


def parses(grammar: Grammar, vocabulary: list[str], sequences: list[np.ndarray]) -> np.ndarray:
    names = [*vocabulary, CUT, EMPTY]
    rules = RuleSet.from_spec(grammar, {name: i for i, name in enumerate(names)})
    return Forests(rules.rules, len(rules.names), len(names), sequences).parsed


def draw(grammar: Grammar, rng: np.random.Generator) -> list[str]:
    by_left: dict[str, list[tuple[list[str], float]]] = defaultdict(list)
    for rule in grammar.rules:
        by_left[rule.left].append((rule.right, rule.probability))
    todo, out = [grammar.start], []
    while todo and len(out) < 100:
        symbol = todo.pop()
        if symbol not in by_left:
            out.append(symbol)
            continue
        choices = by_left[symbol]
        todo.extend(reversed(choices[int(rng.choice(len(choices), p=[p for _, p in choices]))][0]))
    return out if len(out) < 100 else []


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_structure_of_a_synthetic_language_is_recovered(name: str, seed: int) -> None:
    """From 400 drawn messages: the language itself, both ways, and fewer bits than the flat grammar."""
    generate, belongs, vocabulary = LANGUAGES[name]
    rng = np.random.default_rng(seed)
    sequences = [np.array(s) for s in (generate(rng) for _ in range(400)) if len(s) <= 60]
    held = rng.random(len(sequences)) < 0.25
    grammar = GrammarLearner().learn(sequences, vocabulary, held_out=held)
    assert grammar.held_out_coverage == 1.0
    assert grammar.bits_per_message < grammar.flat_bits_per_message
    assert all(total == 1.0 for total in sums(grammar).values())
    assert parses(grammar, vocabulary, sequences).all()
    fresh = [np.array(s) for s in (generate(rng) for _ in range(300)) if len(s) <= 100]
    assert parses(grammar, vocabulary, fresh).all()
    index = {token: i for i, token in enumerate(vocabulary)}
    made = [[index[t] for t in tokens] for tokens in (draw(grammar, rng) for _ in range(300)) if tokens]
    assert len(made) > 100 and all(belongs(tokens) for tokens in made)
    damaged = []
    for tokens in made[:100]:
        wrong = list(tokens)
        wrong[int(rng.integers(len(wrong)))] = int(rng.integers(len(vocabulary)))
        damaged.append(np.array(wrong))
    expected = [belongs(tokens.tolist()) for tokens in damaged]
    assert not all(expected)
    assert parses(grammar, vocabulary, damaged).tolist() == expected


def test_given_structure_is_kept_and_its_probabilities_rise_to_the_truth() -> None:
    """With the structure given, only probabilities are learned, over several iterations of falling held-out bits."""
    words = [(0,), (1,), (0, 1), (1, 1), (0, 0, 1), (1, 0, 1)]
    rules = [(0, (~1, ~0)), (0, (~1,)), *((1, word) for word in words)]
    rng = np.random.default_rng(5)
    share = np.array([20, 6, 30, 4, 8, 32]) / 100
    sequences = [
        np.concatenate([words[int(w)] for w in rng.choice(6, int(rng.geometric(0.3)), p=share)]) for _ in range(3000)
    ]
    sequences = [s for s in sequences if len(s) <= 60]
    held = rng.random(len(sequences)) < 0.25
    initial = RuleSet.uniform(["S", "word"], rules, seed=0)
    grammar = GrammarLearner().learn(sequences, ["a", "b"], held_out=held, initial=initial)
    assert len(grammar.rules) == len(rules) and len(grammar.likelihoods) >= 4
    assert all(b < a for a, b in zip(grammar.likelihoods, grammar.likelihoods[1:], strict=False))
    assert grammar.bits_per_message == grammar.likelihoods[-1] < grammar.flat_bits_per_message


def test_messages_outside_the_given_structure_get_rules_of_their_own() -> None:
    """What the given rules do not derive is still derived: a few by merging, very many by a last resort."""
    initial = RuleSet.uniform(["S"], [(0, (0, 1)), (0, (0, 2))])
    names = ["head", "x", "y", "z"]
    few = [np.array([0, 1])] * 50 + [np.array([0, 3, 3]), np.array([3])]
    grammar = GrammarLearner().learn(few, names, initial=initial)
    assert parses(grammar, names, few).all() and any(rule.left.startswith("(other") for rule in grammar.rules)
    assert not any(rule.left == "(anything)" for rule in grammar.rules)
    rng = np.random.default_rng(0)
    many = [np.array([0, 1])] * 50 + [rng.integers(0, 4, 20) for _ in range(300)]
    held = np.arange(len(many)) % 4 == 0
    grammar = GrammarLearner().learn(many, names, initial=initial, held_out=held)
    assert parses(grammar, names, many).all() and any(rule.left == "(anything)" for rule in grammar.rules)
    assert grammar.held_out_coverage < 0.5
    assert all(total == 1.0 for total in sums(grammar).values())


def test_order_and_copies_do_not_matter() -> None:
    """Shuffled sequences, and copies in place of counts, give the same grammar."""
    rng = np.random.default_rng(7)
    sequences = [np.array(nested_tlv(rng)) for _ in range(120)]
    sequences = [s for s in sequences if len(s) <= 60]
    counts = rng.integers(1, 4, len(sequences))
    expected = GrammarLearner().learn(sequences, TLV_NAMES, counts=counts)
    order = rng.permutation(len(sequences))
    copies = [sequences[i] for i in order for _ in range(counts[i])]
    assert GrammarLearner().learn(copies, TLV_NAMES) == expected


def test_long_and_empty_sequences_are_read_as_far_as_they_go() -> None:
    """Over 512 tokens the rest is cut and counted, no tokens are a token of their own, no sequences a bare grammar."""
    names = [f"t{i}" for i in range(700)]
    sequences = [np.arange(700), np.zeros(0, np.int64), np.zeros(3, np.int64)]
    grammar = GrammarLearner().learn(sequences, names)
    assert grammar.messages_cut == 1
    corpus = collapse(sequences, np.ones(3, np.int64), np.zeros(3, np.bool_), 700, 701)
    assert sorted(len(s) for s in corpus.sequences) == [1, 3, 512]
    assert parses(grammar, names, corpus.sequences).all()
    assert GrammarLearner().learn([], ["a"]).rules == []
    held = GrammarLearner().learn([np.zeros(2, np.int64)], ["a"], held_out=np.array([True]))
    assert all(total == 1.0 for total in sums(held).values())


def test_iterations_are_bounded_by_the_settings() -> None:
    """No more EM iterations run than the settings allow."""
    rng = np.random.default_rng(8)
    sequences = [np.array(expression(rng)) for _ in range(50)]
    settings = DiscoverySettings(em_iterations=2)
    assert len(GrammarLearner(settings).learn(sequences, ["n", "plus", "times"]).likelihoods) <= 2
