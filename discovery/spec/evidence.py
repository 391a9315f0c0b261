"""Evidence: why a claim of the specification stands, in numbers and messages."""

from __future__ import annotations

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
        packet, part = packet_and_part(number)
        return cls(capture=capture, number=packet, part=part)

    @property
    def place(self) -> str:
        """Return the packet's number, followed by ``.part`` where the message is not the first of its packet."""
        return place_text(self.number, self.part)


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
