"""Calls to a dependency: bounded at once, repeated within a budget, refused while it is lost; and all of it is told."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qbitel.cluster.breaker import BreakerSettings, State
from qbitel.cluster.dependency import Dependency, RetryBudget, UnavailableError, fell_back, noting_fallbacks
from qbitel.cluster.observability.metrics import listening


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int) -> None:
        self.left, self.calls = failures, 0

    def __call__(self) -> str:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("postgresql://u:secret@host")
        return "answer"


def dependency(**more: object) -> Dependency:
    """Return a dependency that waits for next to nothing."""
    return Dependency("redis", (OSError,), first_s=0.001, most_s=0.002, **more)  # type: ignore[arg-type]


def test_call_that_may_be_repeated_is_repeated_and_another_is_not() -> None:
    """Two failures are hidden by three attempts; what may not be made twice is made once."""
    assert dependency().call(Flaky(2), repeat=True) == "answer"
    once = Flaky(1)
    with pytest.raises(UnavailableError) as caught:
        dependency().call(once)
    assert once.calls == 1
    assert caught.value.retry
    assert "secret" not in str(caught.value)


def test_retries_end_with_their_budget() -> None:
    """Where everything fails, calls are not tripled: retries are a share of calls once the savings are spent."""
    tried, broken = dependency(breaker=BreakerSettings(least=10_000)), Flaky(10_000)
    with listening() as told:
        for _ in range(100):
            with pytest.raises(UnavailableError):
                tried.call(broken, repeat=True)
    assert 110 <= broken.calls <= 125
    outcomes = [labels["outcome"] for name, _, labels in told if name == "qbitel_retries_total"]
    assert outcomes.count("again") == broken.calls - 100
    assert outcomes.count("no-budget") > 80


def test_budget_is_earned_by_calls() -> None:
    """Ten calls earn one retry."""
    budget = RetryBudget(share=0.1, most=1.0)
    assert [budget.spend(), budget.spend()] == [True, False]
    for _ in range(11):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]


def test_lost_dependency_is_not_asked_until_its_probe() -> None:
    """An open breaker refuses without calling, says when to ask again, and is a metric."""
    tried, broken = dependency(), Flaky(10_000)
    with listening() as told:
        for _ in range(20):
            with pytest.raises(UnavailableError):
                tried.call(broken)
    assert tried.breaker.state is State.OPEN
    assert broken.calls == 5
    assert [value for name, value, _ in told if name == "qbitel_breaker_state"][-1] == State.OPEN
    assert [name for name, _, _ in told].count("qbitel_breaker_opened_total") == 1
    with pytest.raises(UnavailableError) as caught:
        tried.call(broken)
    assert 0 < caught.value.retry_after <= 1


def test_answer_that_is_an_error_is_no_failure_of_the_dependency() -> None:
    """What is not of ``failures`` passes as it is, and leaves the breaker closed."""
    tried = dependency()
    for _ in range(20):
        with pytest.raises(KeyError):
            tried.call(lambda: {}["missing"])
    assert tried.breaker.state is State.CLOSED


def test_no_more_calls_at_once_than_its_pool_has() -> None:
    """Of eight that call, two are in at a time; who waits too long is told so."""
    tried, inside, most, lock = dependency(size=2, patience_s=10), 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both.wait(10)
        with lock:
            inside -= 1

    with listening() as told, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: tried.call(work), range(8)))
    assert most == 2
    assert max(value for name, value, _ in told if name == "qbitel_pool_in_use") == 2
    full, leave = dependency(size=1, patience_s=0.01), threading.Event()
    entered = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(full.call, lambda: entered.set() or leave.wait(10))
        assert entered.wait(10)
        with pytest.raises(UnavailableError, match="1 calls at once"):
            full.call(lambda: None)
        leave.set()
        assert held.result()


def test_answers_given_without_a_dependency_name_it() -> None:
    """Within a request, what was fallen back from is noted; the counter has it in any case."""
    with listening() as told, noting_fallbacks() as noted:
        fell_back("redis")
        fell_back("redis")
    fell_back("catalog")
    assert noted == {"redis"}
    assert [labels for name, _, labels in told if name == "qbitel_fallbacks_total"] == [{"dependency": "redis"}] * 2


def test_error_travels_between_processes() -> None:
    """Ray carries it from actor to gateway, by what ``copy`` uses too."""
    found = copy.copy(UnavailableError("catalog", "it failed: X"))
    assert (found.dependency, found.what, found.code) == ("catalog", "it failed: X", "unavailable")
