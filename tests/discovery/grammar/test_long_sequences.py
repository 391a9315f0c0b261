"""Long sequences of likely tokens stay finite: a layout of a hundred fixed fields is as sure as one of three."""

from __future__ import annotations

import numpy as np

from qbitel.discovery.grammar.forest import Forests


def test_a_certain_sequence_of_many_tokens_has_probability_one() -> None:
    """A rule that derives one long sequence alone gives it log2 P = 0 and counts once."""
    for length, terminals in ((100, 600), (128, 4000), (3, 5)):
        forests = Forests([(0, tuple(range(length)))], 1, terminals, [np.arange(length)])
        logs, counts = forests.expect(np.array([1.0]), np.array([1.0]))
        assert (logs.tolist(), counts.tolist()) == ([0.0], [1.0])
