"""Long sequences of likely tokens stay finite: a layout of a hundred fixed fields is as sure as one of three."""

from __future__ import annotations

import numpy as np
import pytest

from qbitel.discovery.grammar.forest import Forests


def test_a_certain_sequence_of_many_tokens_has_probability_one() -> None:
    """A rule that derives one long sequence alone gives it log2 P = 0 and counts once."""
    for length, terminals in ((100, 600), (128, 4000), (129, 600), (512, 4000), (3, 5)):
        forests = Forests([(0, tuple(range(length)))], 1, terminals, [np.arange(length)])
        logs, counts = forests.expect(np.array([1.0]), np.array([1.0]))
        assert (logs.tolist(), counts.tolist()) == ([0.0], [1.0])


@pytest.mark.parametrize("length", [127, 128, 129, 500])
def test_repeats_have_the_same_likelihood_and_counts_on_both_sides_of_the_change_of_arithmetic(length: int) -> None:
    """S -> a S | b S | a: up to 128 tokens products are scaled, beyond logarithms are added."""
    rng = np.random.default_rng(length)
    tokens = np.append(rng.integers(0, 2, length - 1), 0)
    forests = Forests([(0, (0, ~0)), (0, (1, ~0)), (0, (0,))], 1, 2, [tokens])
    logs, counts = forests.expect(np.array([0.5, 0.25, 0.25]), np.array([3.0]))
    first, second = int((tokens[:-1] == 0).sum()), int((tokens == 1).sum())
    assert logs[0] == pytest.approx(-first - 2 * second - 2)
    assert counts == pytest.approx([3.0 * first, 3.0 * second, 3.0])


def test_ambiguity_counts_alike_in_both_arithmetics() -> None:
    """Two names for one token share its counts by their probabilities, in a long sequence as in a short one."""
    rules = [(0, (~1, ~0)), (0, (~2, ~0)), (0, (1,)), (1, (0,)), (2, (0,))]
    for length in (100, 400):
        tokens = np.append(np.zeros(length, np.int64), 1)
        forests = Forests(rules, 3, 2, [tokens])
        logs, counts = forests.expect(np.array([0.6, 0.3, 0.1, 1.0, 1.0]), np.ones(1))
        assert logs[0] == pytest.approx(length * np.log2(0.9) + np.log2(0.1))
        assert counts == pytest.approx([length * 2 / 3, length / 3, 1.0, length * 2 / 3, length / 3])
