"""Evidence: why a claim of the specification stands, in numbers and messages."""

from __future__ import annotations

from functools import lru_cache
from typing import Self

from pydantic import model_validator

from ..batch import packet_and_part, place_text
from .base import Model, Quantised


class MessageRef(Model):
    """
    A message.

    Attributes:
        capture: the capture's SHA-256, first 16 hexadecimal digits.
        number: of the packet or row in that capture, from 0.
        part: which of the messages that begin in that packet, from 0; above 0 only in byte streams.
    """

    capture: str
    number: int
    part: int = 0

    @classmethod
    def at(cls, capture: str, number: int) -> MessageRef:
        """Make a reference from the ``number`` of a message batch."""
        return _reference(capture, number)

    @property
    def place(self) -> str:
        """Return the packet's number, followed by ``.part`` where the message is not the first of its packet."""
        return place_text(self.number, self.part)


@lru_cache(maxsize=4096)
def _reference(capture: str, number: int) -> MessageRef:
    """Make each reference once: many claims show the same first messages, and references never change."""
    packet, part = packet_and_part(number)
    return MessageRef(capture=capture, number=packet, part=part)


class Rival(Model):
    """
    A claim that was weighed and lost, or, where ``undecided``, one that these messages do not tell from the claim.

    Attributes:
        support, trials: messages in which it holds, of those it was counted on; refuted_by: one in which it fails.
    """

    claim: str
    reason: str
    support: int = 0
    trials: int = 0
    refuted_by: MessageRef | None = None
    undecided: bool = False


class Evidence(Model):
    """
    What the messages say about one claim.

    Attributes:
        detector: the name of the method that proposed it.
        support, trials: messages in which it holds, of those in which it could fail (the proposing part).
        held_out_support, held_out_trials: the same on the part kept back; refutations are the difference.
        violation_bound: lower bound of the exact binomial interval of the held-out violation rate; the claim is
            refuted where this passes ``epsilon``.
        epsilon: rate of violations above which the claim is refuted; None where no rate decides on it.
        untestable: why no message can refute the claim; such a claim has no trials. Empty for all others.
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
    epsilon: Quantised | None = None
    untestable: str = ""
    confirmed_support: int = 0
    confirmed_trials: int = 0
    bits_saved: Quantised = 0.0
    examples: list[MessageRef] = []
    counter_examples: list[MessageRef] = []
    rivals: list[Rival] = []

    @model_validator(mode="after")
    def _never_untested_support(self) -> Self:
        if self.untestable and (self.trials or self.held_out_trials or self.confirmed_trials):
            raise ValueError("a claim that no message can refute has no trials")
        return self
