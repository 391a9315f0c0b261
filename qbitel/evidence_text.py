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
    wanted = _by_label(spec, text)
    if wanted in spec.evidence:
        return wanted
    subject = wanted.split(":", 1)[-1]
    near = sorted(claim for claim in spec.evidence if claim.split(":", 1)[-1] == subject)
    if len(near) == 1:
        return near[0]
    if near:
        raise NotFoundError(f"'{text}' is several claims", hint=", ".join(near[:6]))
    raise NotFoundError(f"no claim '{text}'", hint=", ".join(sorted(spec.evidence)[:6]) or "there are no claims")


def _by_label(spec: ProtocolSpec, text: str) -> str:
    """Put the name of a type where a person wrote its label, or the key value in the label."""
    if text in spec.evidence:
        return text
    for message_type in spec.types:
        label = message_type.label.split("=")[-1]
        if label and f":{label}" in text:
            return text.replace(f":{label}", f":{message_type.name}")
    return text


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
