"""What the streams say for a framing, in numbers and words, and what was weighed against it."""

from __future__ import annotations

from collections.abc import Sequence

from ..spec.evidence import Evidence, Rival
from ..spec.framing import (
    SELF_DELIMITED,
    DelimiterFraming,
    DirectedFraming,
    FixedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
)
from .candidates import Candidate
from .sampling import Sample

MAX_RIVALS = 6
_ENCODED = {
    "ber": "a BER length", "leb128": "a LEB128 number", "vlq": "a number of seven bits a byte",
    "digits": "a decimal number",
}  # fmt: skip


def describe(framing: Framing) -> str:
    """Return a framing in words."""
    if isinstance(framing, LengthFraming):
        return _length(framing)
    if isinstance(framing, DelimiterFraming):
        begin = f"begin with {framing.opening.hex(' ')} and " if framing.opening else ""
        return f"messages {begin}end with {framing.delimiter.hex(' ')}"
    if isinstance(framing, FixedFraming):
        return f"messages have {framing.size} bytes"
    if isinstance(framing, HeaderFraming):
        name = framing.name.decode("ascii", "replace")
        return (
            f"messages are a header that ends with {framing.end.hex(' ')}, and the bytes that its line '{name}' tells"
        )
    if isinstance(framing, DirectedFraming):
        return (
            f"client to server: {describe(framing.client_to_server)}; "
            f"server to client: {describe(framing.server_to_client)}"
        )
    return "one message a segment"


def _length(framing: LengthFraming) -> str:
    scale = f" * {framing.scale}" if framing.scale != 1 else ""
    bias = f" {'+' if framing.bias > 0 else '-'} {abs(framing.bias)}" if framing.bias else ""
    if framing.encoding in SELF_DELIMITED:
        return f"{_ENCODED[framing.encoding]} at {framing.offset}{scale}{bias} is the length of what follows it"
    mask = f" & 0x{framing.mask:x}" if framing.mask >= 0 else ""
    return f"{_number(framing)} at {framing.offset}{mask}{scale}{bias} is the length of the message"


def _number(framing: LengthFraming) -> str:
    if framing.encoding != "uint":
        return f"{framing.width} {'decimal' if framing.encoding == 'decimal' else 'hexadecimal'} digits"
    return f"u{8 * framing.width}" + ("" if framing.width == 1 else f" {framing.endianness}-endian")


def evidence_of(chosen: Candidate, found: Sequence[Candidate], *, by_turns: bool = False) -> Evidence:
    """Return the evidence of a framing that was found; ``by_turns``: only where the sides took turns was asked."""
    alike = [
        Rival(claim=describe(framing), reason="cuts these streams alike", support=chosen.hits, trials=chosen.trials)
        for framing in chosen.alike
    ]
    rivals = [_rival(candidate, chosen) for candidate in found if candidate is not chosen]
    return Evidence(
        detector=f"framing.{chosen.framing.kind}",
        statement=describe(chosen.framing) + (", by where the sides took turns or streams ended" if by_turns else ""),
        support=chosen.hits,
        trials=chosen.trials,
        held_out_support=chosen.held_out_hits,
        held_out_trials=chosen.held_out_trials,
        bits_saved=chosen.bits,
        rivals=[*rivals[: MAX_RIVALS - len(alike)], *alike],
    )


def _rival(candidate: Candidate, chosen: Candidate) -> Rival:
    if candidate.bits > chosen.bits:
        reason = f"refuted: meets {candidate.held_out_hits} of {candidate.held_out_trials} held-out places"
    else:
        reason = f"explains less: {candidate.bits:.0f} bits against {chosen.bits:.0f}"
    return Rival(claim=describe(candidate.framing), reason=reason, support=candidate.hits, trials=candidate.trials)


def fallback(propose: Sample, test: Sample, found: Sequence[Candidate]) -> Evidence:
    """Return the evidence of one message a segment: that nothing else stood."""
    segments, held_out = int(propose.segment.sum()), int(test.segment.sum())
    return Evidence(
        detector="framing.segment",
        statement="one message a segment: no length, delimiter or size explains where the senders stopped",
        support=segments,
        trials=segments,
        held_out_support=held_out,
        held_out_trials=held_out,
        rivals=[
            Rival(
                claim=describe(c.framing),
                reason=f"refuted: meets {c.held_out_hits} of {c.held_out_trials} held-out places",
                support=c.hits,
                trials=c.trials,
            )
            for c in found[:MAX_RIVALS]
        ],
    )


def in_both(client: Evidence, server: Evidence, joint: Candidate | None) -> Evidence:
    """Return the evidence of a framing for each direction; ``joint`` is the one for both that explained less."""
    rivals = [
        rival.model_copy(update={"claim": f"{way}: {rival.claim}"})
        for way, evidence in (("client to server", client), ("server to client", server))
        for rival in evidence.rivals[: MAX_RIVALS // 2]
    ]
    if joint is not None:
        reason = f"does not hold in both directions, or explains less: {joint.bits:.0f} bits"
        one = Rival(claim=f"both: {describe(joint.framing)}", reason=reason, support=joint.hits, trials=joint.trials)
        rivals.insert(0, one)
    return Evidence(
        detector="framing.directed",
        statement=f"client to server: {client.statement}; server to client: {server.statement}",
        support=client.support + server.support,
        trials=client.trials + server.trials,
        held_out_support=client.held_out_support + server.held_out_support,
        held_out_trials=client.held_out_trials + server.held_out_trials,
        bits_saved=client.bits_saved + server.bits_saved,
        rivals=rivals,
    )
