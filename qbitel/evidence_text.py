"""Claims in words: what stands, on how many messages, and what was weighed against it."""

from __future__ import annotations

from collections.abc import Iterator

from .discovery.errors import NotFoundError
from .discovery.spec import Evidence, MessageRef, ProtocolSpec


def resolve_claim(spec: ProtocolSpec, text: str) -> str:
    """
    Return the claim that a person means: exact, by a type's label, or by ``type.field`` alone where that is unique.

    Raises:
        NotFoundError: no claim or several claims fit; the message lists near ones.
    """
    if text in spec.evidence:
        return text
    wanted = text
    for message_type in spec.types:
        label = message_type.label.split("=")[-1]
        if label and f":{label}" in text:
            wanted = text.replace(f":{label}", f":{message_type.name}")
    if wanted in spec.evidence:
        return wanted
    near = sorted(claim for claim in spec.evidence if claim.split(":", 1)[-1] == wanted.split(":", 1)[-1])
    if len(near) == 1:
        return near[0]
    hint = ", ".join((near or sorted(spec.evidence))[:6])
    raise NotFoundError(f"no claim '{text}'" if not near else f"'{text}' is several claims", hint=hint or "no claims")


def claim_lines(spec: ProtocolSpec, claim: str) -> Iterator[str]:
    """Yield the evidence for one claim as lines of text."""
    evidence = spec.evidence[claim]
    yield f"{claim}: {evidence.statement or 'holds'}"
    yield f"  found by      {evidence.detector}"
    yield f"  proposing     {_share(evidence.support, evidence.trials)}"
    yield f"  held out      {_held_out(evidence)}"
    if evidence.confirmed_trials:
        yield f"  all messages  {_share(evidence.confirmed_support, evidence.confirmed_trials)}"
    if evidence.bits_saved:
        yield f"  saves         {evidence.bits_saved:.1f} bits"
    if evidence.examples:
        yield f"  for example   {_references(evidence.examples)}"
    if evidence.counter_examples:
        yield f"  against it    {_references(evidence.counter_examples)}"
    for rival in evidence.rivals:
        by = f", refuted by message {rival.refuted_by.number}" if rival.refuted_by else ""
        yield f"  rival         {rival.claim}: {rival.reason} ({_share(rival.support, rival.trials)}){by}"


def _share(support: int, trials: int) -> str:
    return f"{support} of {trials}" + (f" ({100 * support / trials:.2f} %)" if trials else "")


def _held_out(evidence: Evidence) -> str:
    refutations = evidence.held_out_trials - evidence.held_out_support
    share = _share(evidence.held_out_support, evidence.held_out_trials)
    return f"{share}, {refutations} refutation(s), violation rate at least {evidence.violation_bound:.4f}"


def _references(messages: list[MessageRef]) -> str:
    return ", ".join(f"message {m.number}" + (f" of {m.capture}" if m.capture else "") for m in messages[:6])
