"""What a classification says."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Reason(BaseModel):
    """
    A fact about the messages that speaks for a protocol.

    Attributes:
        kind: a byte's value, a number that tells the length, the length, the direction, or the kinds of bytes.
        text: the fact, checkable on the messages.
        start, length: the bytes it is about, where it is about some; from the end where ``start`` is negative.
        weight: natural logarithm of how many times lower the protocol's odds are when the fact is hidden from the vote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["byte", "length_field", "length", "direction", "bytes"]
    text: str
    start: int | None = None
    length: int | None = None
    weight: float


class Candidate(BaseModel):
    """A protocol that it may be, with its calibrated probability."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    probability: float = Field(ge=0, le=1)
    reasons: list[Reason] = []


class Classification(BaseModel):
    """
    Which protocol a group of messages is of.

    Attributes:
        protocol: the known protocol, or None where none is likelier than all else together.
        probability: of that protocol, or of "none of the known ones".
        unknown: one less the probability of the likeliest known protocol: how sure it is that it is none of them.
        candidates: the likeliest known protocols, most likely first.
        cluster: of an unknown protocol, a name that its messages get in other captures too.
        messages: how many messages were read.
        model: digest of the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str | None
    probability: float = Field(ge=0, le=1)
    unknown: float = Field(ge=0, le=1)
    candidates: list[Candidate]
    cluster: str | None = None
    messages: int
    model: str
