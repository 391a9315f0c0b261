"""Claims in words: what stands, on how many messages, and what was weighed against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .discovery.errors import NotFoundError
from .discovery.spec import Constraint, Evidence, Field, MessageRef, ProtocolSpec, walk


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
    yield f"{claim}: {evidence.statement or _statement(spec, claim)}"
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


def _statement(spec: ProtocolSpec, claim: str) -> str:
    """What a claim says, read from the constraint that it is about."""
    kind, _, subject = claim.partition(":")
    owner, _, name = subject.partition(".")
    message_type = spec.type_named(owner)
    elements = message_type.elements if message_type else spec.groups.get(owner, [])
    for element in walk(elements):
        if isinstance(element, Field) and element.name == name:
            return next((constraint_text(c) for c in element.constraints if c.kind == kind), "holds")
    return "the structure of these messages" if kind == "layout" else "holds"


def constraint_text(constraint: Constraint) -> str:
    """Return a constraint as a short phrase."""
    text = _PHRASES.get(constraint.kind)
    return text(constraint) if text else constraint.kind


def _length(c: Constraint) -> str:
    assert c.kind == "length"
    target = c.target if c.of == "field" else c.of
    scale = f" * {c.scale}" if c.scale != 1 else ""
    return f"value{scale}{c.bias:+d} = bytes of {target}" if c.bias else f"value{scale} = bytes of {target}"


def _checksum(c: Constraint) -> str:
    assert c.kind == "checksum"
    name = c.name or (f"crc poly 0x{c.poly:x}" if c.algorithm == "crc" else c.algorithm)
    return f"{name} of [{c.start}:{c.end or 'end'}]"


def _enum(c: Constraint) -> str:
    assert c.kind == "enum"
    shown = ", ".join(f"0x{v.hex()}" for v in c.values[:6])
    return f"one of {shown}" + (f" and {len(c.values) - 6} more" if len(c.values) > 6 else "")


_PHRASES: dict[str, Callable[[Any], str]] = {
    "constant": lambda c: f"= 0x{c.value.hex()[:24]}",
    "enum": _enum,
    "range": lambda c: f"{c.minimum}..{c.maximum}",
    "flags": lambda c: f"bits 0x{c.mask.hex()}",
    "length": _length,
    "count": lambda c: f"value{c.bias:+d} = items of {c.target}" if c.bias else f"items of {c.target}",
    "checksum": _checksum,
    "counter": lambda c: f"{c.step:+d} each message",
    "timestamp": lambda c: c.form,
    "echo": lambda c: f"repeats {c.type}.{c.field}",
    "address": lambda c: c.form + (f" of {c.endpoint}" if c.endpoint != "none" else ""),
    "text": lambda c: c.charset,
    "padding": lambda c: f"all 0x{c.byte:02x}",
    "opaque": lambda c: "looks uniform",
}
