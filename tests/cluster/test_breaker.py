"""A circuit breaker opens by the share of failed calls, asks with single probes, and gets used to what always fails."""

from __future__ import annotations

import pytest

from qbitel.cluster.breaker import Breaker, BreakerSettings, State


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


def breaker(clock: Clock, **more: float) -> Breaker:
    """Return a breaker whose times are as long as they can be."""
    return Breaker(BreakerSettings(**more), clock, chance=lambda: 1.0)  # type: ignore[arg-type]


def end(tried: Breaker, *outcomes: bool) -> None:
    """Make calls that end well or fail."""
    for good in outcomes:
        assert tried.admit()
        tried.succeeded() if good else tried.failed()


def test_half_of_the_calls_failing_opens_it_and_one_call_failing_does_not(clock: Clock) -> None:
    """Below the least number of calls nothing is decided; at the threshold the next call is refused."""
    tried = breaker(clock)
    end(tried, False, False, True, True)
    assert tried.state is State.CLOSED
    end(tried, False)
    assert (tried.state, tried.admit()) == (State.OPEN, False)
    assert tried.retry_after() == pytest.approx(1.0)


def test_what_failed_long_ago_does_not_count(clock: Clock) -> None:
    """Failures leave the window."""
    tried = breaker(clock)
    end(tried, False, False, False, False)
    clock.now += 11
    end(tried, False, True, True, True, True)
    assert tried.state is State.CLOSED


def test_one_probe_at_a_time_closes_it_after_two_successes(clock: Clock) -> None:
    """Half-open, a second call is refused while the probe runs; two probes that succeed close it."""
    tried = breaker(clock)
    end(tried, *[False] * 5)
    clock.now += 1.0
    assert tried.state is State.HALF_OPEN
    assert [tried.admit(), tried.admit()] == [True, False]
    tried.succeeded()
    assert tried.state is State.HALF_OPEN
    end(tried, True)
    assert tried.state is State.CLOSED
    end(tried, False, False)
    assert tried.state is State.CLOSED  # what failed before it opened is forgotten


def test_probe_that_fails_doubles_the_time_up_to_its_bound(clock: Clock) -> None:
    """1, 2, 4 … 30 seconds."""
    tried, waits = breaker(clock), []
    end(tried, *[False] * 5)
    for _ in range(7):
        waits.append(round(tried.retry_after()))
        clock.now += waits[-1]
        end(tried, False)
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_probe_that_never_ends_is_given_up(clock: Clock) -> None:
    """Whoever held the probe may have been killed: after a window another may ask."""
    tried = breaker(clock)
    end(tried, *[False] * 5)
    clock.now += 1.0
    assert [tried.admit(), tried.admit()] == [True, False]
    clock.now += 10.0
    assert tried.admit()


def test_threshold_rises_for_what_always_fails_a_little(clock: Clock) -> None:
    """After an hour in which 40 % fail, 60 % failing is no reason to open it, and 100 % is."""
    tried = breaker(clock, least=10)
    for n in range(3600):
        clock.now += 1.0
        end(tried, n % 5 not in (0, 2))
    assert tried.state is State.CLOSED
    assert 0.7 < tried.threshold <= 0.9
    clock.now += 11
    end(tried, *[False, True, False, True, False] * 3)
    assert tried.state is State.CLOSED
    while tried.admit():
        tried.failed()
    assert tried.state is State.OPEN
