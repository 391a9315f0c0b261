"""Evidence: why a claim of the specification stands, in numbers and messages."""

from __future__ import annotations

from .base import Model, Quantised


class MessageRef(Model):
    """A message: its capture's SHA-256 (first 16 hexadecimal digits) and its number in that capture."""

    capture: str
    number: int


class Rival(Model):
    """A claim that was weighed and lost."""

    claim: str
    reason: str
    support: int = 0
    trials: int = 0
    refuted_by: MessageRef | None = None


class Evidence(Model):
    """
    What the messages say about one claim.

    Attributes:
        detector: the name of the method that proposed it.
        support, trials: messages in which it holds, of those in which it could fail (the proposing part).
        held_out_support, held_out_trials: the same on the part kept back; refutations are the difference.
        violation_bound: lower bound of the exact binomial interval of the held-out violation rate; the claim is
            refuted where this passes the settings' epsilon.
        confirmed_support, confirmed_trials: over every message of the capture, by the compiled parser.
        bits_saved: bits by which the claim shortens the proposing messages.
        examples, counter_examples: a few messages each.
    """

    detector: str
    statement: str = ""
    support: int = 0
    trials: int = 0
    held_out_support: int = 0
    held_out_trials: int = 0
    violation_bound: Quantised = 0.0
    confirmed_support: int = 0
    confirmed_trials: int = 0
    bits_saved: Quantised = 0.0
    examples: list[MessageRef] = []
    counter_examples: list[MessageRef] = []
    rivals: list[Rival] = []
