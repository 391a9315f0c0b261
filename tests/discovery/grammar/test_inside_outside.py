"""The inside–outside core against enumeration of derivations, and EM on known grammars."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qbitel.discovery.errors import LimitError, SpecError
from qbitel.discovery.grammar.em import train
from qbitel.discovery.grammar.escape import Escape, flat_logs
from qbitel.discovery.grammar.forest import Forests
from qbitel.discovery.grammar.rules import Rule, RuleSet, by_left, quantised

# S → S S | A ; A → 0 | 0 1 | 1 B 0 ; B → S | 1: ambiguous, recursive, with unary rules and a right side of three
AMBIGUOUS: list[Rule] = [(0, (~0, ~0)), (0, (~1,)), (1, (0,)), (1, (0, 1)), (1, (1, ~2, 0)), (2, (~0,)), (2, (1,))]
# S → W S | W ; W → 0 | 1 | 0 1 | 1 1 | 0 0 1 | 1 0 1: how a message falls into words is ambiguous
WORDS: list[Rule] = [(0, (~1, ~0)), (0, (~1,)), *((1, w) for w in ((0,), (1,), (0, 1), (1, 1), (0, 0, 1), (1, 0, 1)))]
WORD_SHARES = by_left(WORDS, 2, np.array([3.0, 1, 20, 6, 30, 4, 8, 32]))


def enumerated(rules: list[Rule], p: list[float], tokens: tuple[int, ...]) -> tuple[float, list[float]]:
    """Return P(tokens) and the expected rule counts by enumerating derivations of each span."""
    memo: dict[tuple[int, int, int], list[tuple[float, tuple[int, ...]]]] = {}

    def derive(symbol: int, start: int, end: int) -> list[tuple[float, tuple[int, ...]]]:
        if symbol >= 0:
            return [(1.0, ())] if end == start + 1 and tokens[start] == symbol else []
        if (symbol, start, end) not in memo:
            out = []
            for number, (left, right) in enumerate(rules):
                if left == ~symbol:
                    for probability, used in spread(right, start, end):
                        out.append((probability * p[number], (number, *used)))
            memo[symbol, start, end] = out
        return memo[symbol, start, end]

    def spread(right: tuple[int, ...], start: int, end: int) -> list[tuple[float, tuple[int, ...]]]:
        if len(right) == 1:
            return derive(right[0], start, end)
        return [
            (a * b, (*x, *y))
            for middle in range(start + 1, end - len(right) + 2)
            for (a, x), (b, y) in product(derive(right[0], start, middle), spread(right[1:], middle, end))
        ]

    derivations = derive(~0, 0, len(tokens))
    total = sum(probability for probability, _ in derivations)
    counts = [0.0] * len(rules)
    for probability, used in derivations:
        for number in used:
            counts[number] += probability / total
    return total, counts


@given(st.lists(st.integers(0, 1), min_size=1, max_size=6), st.lists(st.integers(1, 9), min_size=7, max_size=7))
@hypothesis_settings(max_examples=60, deadline=None)
def test_probability_and_counts_equal_enumeration(tokens: list[int], weights: list[int]) -> None:
    """Inside gives the sum over all derivations, outside the expected use of each rule."""
    p = by_left(AMBIGUOUS, 3, np.array(weights, np.float64))
    total, counts = enumerated(AMBIGUOUS, p.tolist(), tuple(tokens))
    forests = Forests(AMBIGUOUS, 3, 2, [np.array(tokens)])
    logs, expected = forests.expect(p, np.array([2.0]))
    assert forests.parsed[0] == (total > 0)
    if total > 0:
        assert 2 ** logs[0] == pytest.approx(total, rel=1e-9)
        np.testing.assert_allclose(expected, 2 * np.array(counts), rtol=1e-9)
    else:
        assert logs[0] == -np.inf and not expected.any()


def drawn(rules: list[Rule], p: np.ndarray, rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Return n sequences of at most 40 tokens drawn from a grammar."""
    out: list[np.ndarray] = []
    while len(out) < n:
        todo, tokens, steps = [~0], [], 0
        while todo and len(tokens) <= 40 and steps < 400:
            symbol = todo.pop()
            steps += 1
            if symbol >= 0:
                tokens.append(symbol)
                continue
            mine = [i for i, rule in enumerate(rules) if rule[0] == ~symbol]
            todo.extend(reversed(rules[mine[int(rng.choice(len(mine), p=p[mine]))]][1]))
        if not todo and len(tokens) <= 40:
            out.append(np.array(tokens, np.int64))
    return out


def test_em_recovers_an_ambiguous_grammar() -> None:
    """From nearly equal probabilities, EM finds those that drew the messages, in several iterations."""
    rng = np.random.default_rng(3)
    sequences = drawn(WORDS, WORD_SHARES, rng, 8000)
    held = rng.random(8000) < 0.25
    start = RuleSet.uniform(["S", "W"], WORDS, seed=1)
    forests = Forests(WORDS, 2, 2, sequences)
    assert forests.parsed.all()
    escape = Escape(sequences, (~held).astype(float), 2)
    trained = train(start, forests, escape, (~held).astype(float), held.astype(float), 200)
    assert len(trained.likelihoods) >= 4
    assert all(later < earlier for earlier, later in zip(trained.likelihoods, trained.likelihoods[1:], strict=False))
    np.testing.assert_allclose(trained.probabilities, WORD_SHARES, atol=0.05)
    best = escape.bits_per_message(forests.expect(WORD_SHARES, held.astype(float))[0], held.astype(float))
    assert trained.likelihoods[-1] == pytest.approx(best, abs=0.02)


def test_em_never_lowers_the_likelihood_of_what_it_learns_from() -> None:
    """Without held-out messages each iteration lowers the bits of the proposing ones."""
    rng = np.random.default_rng(4)
    sequences = drawn(WORDS, WORD_SHARES, rng, 300)
    ones = np.ones(len(sequences))
    start = RuleSet.uniform(["S", "W"], WORDS, seed=2)
    trained = train(start, Forests(WORDS, 2, 2, sequences), Escape(sequences, ones, 2), ones, 0 * ones, 100)
    assert len(trained.likelihoods) > 3
    assert trained.likelihoods == sorted(trained.likelihoods, reverse=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 5))
def test_quantised_probabilities_sum_to_one(weights: list[float], lefts: int) -> None:
    """In whole 65536ths each left side sums to exactly 1, and no rule has none."""
    rules: list[Rule] = [(i % lefts, (i,)) for i in range(len(weights))]
    units = quantised(rules, by_left(rules, lefts, np.array(weights)), lefts)
    for left in range(lefts):
        mine = [int(u) for u, rule in zip(units, rules, strict=True) if rule[0] == left]
        assert not mine or (sum(mine) == 65536 and min(mine) >= 1)


def test_long_sequences_do_not_underflow() -> None:
    """512 tokens of probability 2**-14 each keep their likelihood, as do 128 beside them."""
    rules: list[Rule] = [(0, (t, ~0)) for t in range(8192)] + [(0, (t,)) for t in range(8192)]
    forests = Forests(rules, 1, 8192, [np.arange(128), np.arange(512)])
    logs, _ = forests.expect(by_left(rules, 1, np.ones(len(rules))), np.ones(2))
    assert logs == pytest.approx([-128 * 14, -512 * 14])


def test_impossible_structures_are_refused() -> None:
    """Unary circles, empty right sides and sequences over the limit raise errors of the engine."""
    with pytest.raises(SpecError):
        Forests([(0, (~1,)), (1, (~0,)), (1, (0,))], 2, 1, [np.zeros(1, np.int64)])
    with pytest.raises(SpecError):
        Forests([(0, ())], 1, 1, [np.zeros(1, np.int64)])
    with pytest.raises(LimitError):
        Forests([(0, (0,))], 1, 1, [np.zeros(513, np.int64)])


def test_flat_grammar_knows_only_what_it_saw() -> None:
    """The flat grammar gives a seen field sequence its share times its values' shares, an unseen one nothing."""
    sequences = [np.array(s) for s in ([0, 2], [1, 2], [0, 3], [2])]
    logs = flat_logs(sequences, np.array([2.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(2**logs, [0.75 * 0.75, 0.25 * 0.75, 0.75 * 0.25, 0.0])


def test_very_ambiguous_sequences_are_left_out_in_bounded_work() -> None:
    """Sequences whose derivations pass the budget are marked as not read; the others are as without them."""
    rules: list[Rule] = [(0, (~0, ~0)), (0, (0,)), (0, (1,))]
    sequences = [np.zeros(90, np.int64), np.array([0, 1]), np.ones(128, np.int64)]
    forests = Forests(rules, 1, 2, sequences)
    assert forests.read.tolist() == forests.parsed.tolist() == [False, True, False]
    logs, counts = forests.expect(by_left(rules, 1, np.array([1.0, 1, 2])), np.ones(3))
    assert logs[1] == pytest.approx(-5.0) and counts.tolist() == [1.0, 1.0, 1.0]
    many = Forests(rules, 1, 2, [np.zeros(24, np.int64)] * 400)
    assert many.read[0] and not many.read.all()
