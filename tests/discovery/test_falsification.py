"""The exact binomial bound."""

from __future__ import annotations

from qbitel.discovery.falsification import refuted, violation_lower_bound
from qbitel.discovery.settings import DiscoverySettings


def test_bound_is_the_exact_binomial_one() -> None:
    """Known bounds: all of n violated gives (1 - confidence) ** (1/n); none gives zero."""
    assert violation_lower_bound(0, 100, 0.95) == 0.0
    assert abs(violation_lower_bound(16, 16, 0.95) - 0.05 ** (1 / 16)) < 1e-4
    assert abs(violation_lower_bound(1, 16, 0.95) - (1 - 0.95 ** (1 / 16))) < 1e-4
    assert abs(violation_lower_bound(50, 1000, 0.95) - 0.0391) < 2e-4


def test_bound_rises_with_violations_and_falls_with_trials() -> None:
    """More violations prove a higher rate, more trials a lower one."""
    assert violation_lower_bound(2, 50, 0.95) < violation_lower_bound(5, 50, 0.95)
    assert violation_lower_bound(2, 500, 0.95) < violation_lower_bound(2, 50, 0.95)


def test_one_corrupted_message_refutes_nothing() -> None:
    """One violation in fifty is within one percent, five are not."""
    settings = DiscoverySettings()
    assert not refuted(1, 50, settings)
    assert refuted(5, 50, settings)
