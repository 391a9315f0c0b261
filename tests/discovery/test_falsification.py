"""The exact bound that decides whether held-out messages refute a claim."""

from __future__ import annotations

import math

import pytest

from qbitel.discovery.falsification import refuted, violation_lower_bound
from qbitel.discovery.settings import DiscoverySettings


def test_no_violation_refutes_nothing() -> None:
    """Without violations the bound is zero, whatever the number of trials."""
    assert violation_lower_bound(0, 0, 0.95) == 0
    assert violation_lower_bound(0, 1000, 0.95) == 0


@pytest.mark.parametrize(("violations", "trials"), [(1, 1), (1, 20), (3, 50), (50, 50), (40, 400)])
def test_bound_solves_the_binomial_tail(violations: int, trials: int) -> None:
    """At the bound, as many violations or more have probability 1 - confidence."""
    rate = violation_lower_bound(violations, trials, 0.95)
    below = sum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(violations))
    assert 1 - below == pytest.approx(0.05, abs=2e-3)


def test_one_bad_message_does_not_kill_a_claim_but_many_do() -> None:
    """A corrupted packet among fifty is tolerated; five among fifty refute."""
    settings = DiscoverySettings()
    assert not refuted(1, 50, settings)
    assert refuted(5, 50, settings)
    assert refuted(1, 2, settings)
