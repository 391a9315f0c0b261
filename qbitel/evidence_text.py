"""Claims in words: what stands, on how many messages, and what was weighed against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .discovery.errors import NotFoundError
from .discovery.spec import Constraint, Evidence, Field, MessageRef, ProtocolSpec, is_little, walk


def resolve_claims(spec: ProtocolSpec, text: str) -> list[str]:
    """
    Return the claims that a person means: one by its name, or all about a type, a field or of a kind, sorted.

    ``length:t03.size`` is one claim; ``t03.size`` all about a field; ``t03`` those about a type as a whole; ``key`` or
    ``framing`` those of the kind. A type's label (``[2]=0x03``) or its last value (``0x03``) may stand for its name.

    Raises:
        NotFoundError: no claim fits; the message lists near ones.
    """
    wanted = _by_label(spec, text)
    if wanted in spec.evidence:
        return [wanted]
    kind, _, subject = wanted.rpartition(":")
    near = sorted(c for c in spec.evidence if c.partition(":")[2] == subject or c.startswith(f"{wanted}:"))
    if near:
        return near
    raise NotFoundError(f"no claim '{text}'", hint=_near_claims(spec, kind, subject))


def _near_claims(spec: ProtocolSpec, kind: str, subject: str) -> str:
    """Name claims of the same type or kind, or else what kinds there are."""
    owner = subject.partition(".")[0]
    split = [(claim, *claim.partition(":")[::2]) for claim in sorted(spec.evidence)]
    about = [claim for claim, _, place in split if place.partition(".")[0] == owner]
    near = about or [claim for claim, claimed, _ in split if claimed == kind]
    if near:
        return f"near it: {', '.join(near[:6])}"
    kinds = sorted({claimed for _, claimed, _ in split})
    return f"kinds of claims: {', '.join(kinds)}; evidence.txt lists all" if kinds else "there are no claims"


def _by_label(spec: ProtocolSpec, text: str) -> str:
    """Put the name of a type where a person wrote its label, or the key value in the label."""
    if text in spec.evidence:
        return text
    kind, colon, subject = text.rpartition(":")
    for message_type in spec.types:
        for label in (message_type.label, message_type.label.rpartition("=")[2]):
            if label and (subject == label or subject.startswith(f"{label}.")):
                return f"{kind}{colon}{message_type.name}{subject.removeprefix(label)}"
    return text


def claim_lines(spec: ProtocolSpec, claim: str) -> Iterator[str]:
    """Yield the evidence for one claim as lines of text."""
    evidence = spec.evidence[claim]
    yield f"{claim}: {_stated(spec, claim, evidence)}"
    yield f"  found by      {evidence.detector}"
    yield from _tested(claim, evidence, "the sample" if spec.unconfirmed else "all messages")
    if evidence.bits_saved:
        yield f"  saves         {evidence.bits_saved:.1f} bits"
    if evidence.examples:
        yield f"  for example   {_references(evidence.examples)}"
    if evidence.counter_examples:
        yield f"  against it    {_references(evidence.counter_examples)}"
    for rival in evidence.rivals:
        share = f" ({_share(rival.support, rival.trials)})" if rival.trials else ""
        by = f", refuted by message {rival.refuted_by.place}" if rival.refuted_by else ""
        yield f"  {'undecided' if rival.undecided else 'rival':<13} {rival.claim}: {rival.reason}{share}{by}"


def _stated(spec: ProtocolSpec, claim: str, evidence: Evidence) -> str:
    """What a claim says: the meaning or the constraint of the field, and what was tested."""
    said = _statement(spec, claim)
    return "; ".join(dict.fromkeys(part for part in (said, evidence.statement) if part)) or "holds"


def _tested(claim: str, evidence: Evidence, counted: str) -> Iterator[str]:
    if evidence.untestable:
        yield f"  not tested    no message can refute it: {evidence.untestable}"
        return
    yield f"  proposing     {_share(evidence.support, evidence.trials)}"
    yield f"  held out      {_share_of_type(evidence) if claim.startswith('type:') else _held_out(evidence)}"
    if evidence.epsilon is not None:
        yield f"  refuted if    surely wrong in more than {100 * evidence.epsilon:.3g} %"
    yield from _confirmed(claim, evidence, counted)


_BETWEEN_MESSAGES = frozenset({"counter", "echo"})


def _confirmed(claim: str, evidence: Evidence, counted: str) -> Iterator[str]:
    if evidence.confirmed_trials:
        yield f"  {counted:<13} {_share(evidence.confirmed_support, evidence.confirmed_trials)}"
    elif claim.partition(":")[0] in _BETWEEN_MESSAGES:
        yield "  all messages  not counted: it is between messages of a flow, and flows are read in the sample only"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _share(support: int, trials: int) -> str:
    return f"{support} of {trials}" + (f" ({100 * support / trials:.2f} %)" if trials else "")


def _share_of_type(evidence: Evidence) -> str:
    # What is not of the type does not speak against it.
    return _share(evidence.held_out_support, evidence.held_out_trials)


def _held_out(evidence: Evidence) -> str:
    if not evidence.held_out_trials:
        return "not tested: no message that was kept back could refute it"
    refutations = evidence.held_out_trials - evidence.held_out_support
    share = f"{_share(evidence.held_out_support, evidence.held_out_trials)}, {plural(refutations, 'refutation')}"
    return f"{share}, surely wrong in at least {100 * evidence.violation_bound:.2f} %" if refutations else share


def _references(messages: list[MessageRef]) -> str:
    shown = messages[:6]
    captures = list(dict.fromkeys(m.capture for m in shown))
    listed = []
    for capture in captures:
        places = ", ".join(dict.fromkeys(m.place for m in shown if m.capture == capture))
        listed.append(f"message {places}" + (f" of {capture}" if capture else ""))
    return "; ".join(listed)


def _statement(spec: ProtocolSpec, claim: str) -> str:
    """What a claim says, read from the constraint that it is about."""
    kind, _, subject = claim.partition(":")
    owner, _, name = subject.partition(".")
    message_type = spec.type_named(owner)
    elements = message_type.elements if message_type else spec.groups.get(owner, [])
    for element in walk(elements):
        if isinstance(element, Field) and element.name == name:
            told = (constraint_text(c, element) for c in element.constraints if c.kind == kind)
            return next(told, element.semantic if kind == "field" else "")
    return "the structure of these messages" if kind == "layout" else ""


def constraint_text(constraint: Constraint, field: Field) -> str:
    """Return a constraint of a field as a short phrase; the values of a number are read in its byte order."""
    if constraint.kind in ("constant", "enum"):
        return _values(constraint, -1 if is_little(field) else 1)
    text = _PHRASES.get(constraint.kind)
    return text(constraint) if text else constraint.kind


def _values(c: Constraint, order: int) -> str:
    if c.kind == "constant":
        return f"= 0x{c.value[::order].hex()[:24]}"
    assert c.kind == "enum"
    shown = ", ".join(f"0x{value[::order].hex()}" for value in c.values[:6])
    return f"one of {shown}" + (f" and {len(c.values) - 6} more" if len(c.values) > 6 else "")


def _length(c: Constraint) -> str:
    assert c.kind == "length"
    target = c.target if c.of == "field" else c.of
    scale = f" * {c.scale}" if c.scale != 1 else ""
    return f"value{scale}{c.bias:+d} = bytes of {target}" if c.bias else f"value{scale} = bytes of {target}"


def _checksum(c: Constraint) -> str:
    assert c.kind == "checksum"
    name = c.name or (f"crc poly 0x{c.poly:x}" if c.algorithm == "crc" else c.algorithm)
    return f"{name} of {c.target or ''}[{c.start}:{c.end or 'end'}]"


_PHRASES: dict[str, Callable[[Any], str]] = {
    "flags": lambda c: f"bits 0x{c.mask.hex()}",
    "range": lambda c: f"{c.minimum}..{c.maximum}",
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
