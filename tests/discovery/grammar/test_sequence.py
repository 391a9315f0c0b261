"""The chain of message types in flows."""

from __future__ import annotations

import numpy as np
import pytest

from qbitel.discovery.grammar.sequence import TransitionLikelihood, learn_sequence, sequence_log_probability
from qbitel.discovery.spec import SequenceModel


def polls(flows: int = 20, length: int = 6) -> SequenceModel:
    """Return the model of flows that ask and answer in turn."""
    flow = np.repeat(np.arange(1, flows + 1), length).astype(np.uint64)
    types = ["ask", "answer"] * (flows * length // 2)
    direction = np.array([1, 2] * (flows * length // 2), np.int8)
    return learn_sequence(flow, types, direction, flow_messages=64)


def test_transitions_are_counted_per_flow() -> None:
    """Starts, ends and what follows what are counted, with the direction of the follower."""
    found = {(t.source, t.target, t.direction): t.count for t in polls().transitions}
    assert found == {
        ("start", "ask", "c2s"): 20, ("ask", "answer", "s2c"): 60, ("answer", "ask", "c2s"): 40,
        ("answer", "end", "unknown"): 20,
    }  # fmt: skip


def test_cut_flows_do_not_end_and_messages_without_a_flow_do_not_start_one() -> None:
    """A flow as long as the sample keeps says nothing of its end; flow 0 has neither start nor end."""
    cut = learn_sequence(np.array([7, 7], np.uint64), ["a", "b"], np.zeros(2, np.int8), flow_messages=2)
    assert {(t.source, t.target) for t in cut.transitions} == {("start", "a"), ("a", "b")}
    loose = learn_sequence(np.zeros(2, np.uint64), ["a", "b"], np.zeros(2, np.int8), flow_messages=64)
    assert {(t.source, t.target) for t in loose.transitions} == {("a", "b")}
    assert learn_sequence(np.zeros(0, np.uint64), [], np.zeros(0, np.int8), 64).transitions == []


def test_what_was_never_seen_is_unlikely_and_possible() -> None:
    """An answer before any question, a wrong direction and an unknown type cost bits, but finitely many."""
    model = polls()
    usual = sequence_log_probability(model, ["ask", "answer", "ask", "answer"], [1, 2, 1, 2])
    assert usual > -3
    for types, directions in ((["answer", "ask"], [2, 1]), (["ask", "answer"], [2, 1]), (["new", "new"], [1, 1])):
        assert -40 < sequence_log_probability(model, types, directions) < -5
    likelihood = TransitionLikelihood(model)
    bits = likelihood.bits_of_flow(["ask", "answer", "answer"], [1, 2, 2])
    assert bits[2] > 5 > bits[1]
    assert likelihood.bits_of_flow(["answer"], [2], from_start=False) == [0.0]


def test_probabilities_of_a_source_sum_to_one() -> None:
    """Over the states seen and one for all others, what may follow a source has probability 1."""
    model = polls()
    likelihood = TransitionLikelihood(model)
    states = {(t.target, t.direction) for t in model.transitions} | {("never", "c2s")}
    for source in ("start", "ask", "answer", "unheard"):
        assert sum(2 ** -likelihood.bits(source, *state) for state in states) == pytest.approx(1.0)
    assert sequence_log_probability(SequenceModel(), ["a"], [0]) == 0.0
