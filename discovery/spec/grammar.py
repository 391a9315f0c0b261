"""The grammar and the sequence model as they stand in a specification."""

from __future__ import annotations

from typing import Literal

from .base import Model, Quantised


class GrammarRule(Model):
    """
    ``left`` → ``right`` with a probability; symbols that are no left side of any rule are terminals.

    ``constraints`` names the claims (keys of the specification's evidence, such as ``length:t03.size``) that relate
    the values of the rule's fields and that no context-free rule can say: sizes, counts, checksums, key → body.
    """

    left: str
    right: list[str]
    probability: Quantised
    constraints: list[str] = []


class Grammar(Model):
    """A probabilistic context-free grammar over field tokens."""

    start: str = "S"
    rules: list[GrammarRule] = []
    bits_per_message: Quantised = 0.0
    flat_bits_per_message: Quantised = 0.0
    held_out_coverage: Quantised = 0.0
    likelihoods: list[Quantised] = []  # held-out bits per message after each EM iteration
    usual_bits: Quantised = 0.0  # of the costliest message that was learned from or judged on
    messages_cut: int = 0  # messages of more tokens than are read
    messages_unread: int = 0  # messages left out: too ambiguous, or beyond the number of distinct ones that are read


class Transition(Model):
    """In a flow, a message of type ``target`` in a direction followed one of type ``source`` so many times."""

    source: str
    target: str
    direction: Literal["unknown", "c2s", "s2c"] = "unknown"
    count: int


class SequenceModel(Model):
    """First-order chain of message types per flow; ``start`` and ``end`` are states of their own."""

    transitions: list[Transition] = []
    usual_bits: Quantised = 0.0  # of the rarest transition in the flows that it was learned from
