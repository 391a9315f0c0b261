"""Every claim shows what was weighed against it, counted on messages."""

from __future__ import annotations

from itertools import pairwise

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.discovery.rivals import with_rivals
from qbitel.discovery.spec import (
    Checksum,
    Constant,
    Enum,
    Evidence,
    Field,
    Fixed,
    Length,
    MessageType,
    ProtocolSpec,
    Rest,
    Timestamp,
)
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.evidence_text import claim_lines
from qbitel.train.simulator import simulate

T0 = 1_700_000_000


def made(count: int) -> list[bytes]:
    """A magic byte, a kind, a length of all, a time, a body and the xor of what stands before it."""
    messages = []
    for i in range(count):
        body = bytes((i * 7 + k * 31) & 255 for k in range(3 + i % 9))
        front = b"\xaa" + bytes([1 + i % 3, 8 + len(body)]) + (T0 + i).to_bytes(4, "big") + body
        total = 0
        for byte in front:
            total ^= byte
        messages.append(front + bytes([total]))
    return messages


def spec() -> ProtocolSpec:
    elements = [
        Field(name="magic", width=Fixed(size=1), constraints=[Constant(value=b"\xaa")]),
        Field(name="kind", width=Fixed(size=1), constraints=[Enum(values=[b"\1", b"\2", b"\3"])]),
        Field(name="size", width=Fixed(size=1), encoding="uint", constraints=[Length(of="message")]),
        Field(
            name="time", width=Fixed(size=4), encoding="uint", endianness="big", constraints=[Timestamp(form="unix_s")]
        ),
        Field(name="body", width=Rest()),
        Field(name="check", width=Fixed(size=1), constraints=[Checksum(algorithm="xor", start=0, end=-1)]),
    ]
    claims = ["constant:all.magic", "enum:all.kind", "length:all.size", "timestamp:all.time", "checksum:all.check"]
    fields = [f"field:all.{e.name}" for e in elements]
    evidence = {claim: Evidence(detector="test", trials=1, support=1) for claim in (*claims, *fields)}
    return ProtocolSpec(types=[MessageType(name="all", elements=elements)], evidence=evidence)


def test_rivals_are_counted_and_refuted_by_a_message() -> None:
    """Other values, biases, units and algorithms lose, each with its count and a message that refutes it."""
    messages = made(80)
    sample = (
        StatisticalAnalyzer()
        .analyze(MessageBatch.from_payloads(messages, ts=[float(T0 + i) for i in range(80)]))
        .sample()
    )
    evidence = with_rivals(spec(), sample, Parser(spec())).evidence
    proposing = int((~sample.held_out).sum())
    expected = {
        "constant:all.magic": "the byte behind it is",
        "enum:all.kind": "always 0x",
        "length:all.size": "+1 in place of +0",
        "timestamp:all.time": "mac_s",
        "checksum:all.check": "sum",
    }
    for claim, wanted in expected.items():
        rivals = evidence[claim].rivals
        (rival,) = [r for r in rivals if r.claim.startswith(wanted)]
        assert rival.trials == proposing > rival.support and rival.reason == "refuted"
        refuting = messages[rival.refuted_by.number]  # type: ignore[union-attr]
        if wanted == "+1 in place of +0":
            assert rival.support == 0 and refuting[2] + 1 != len(refuting)
    for name in ("magic", "kind", "size", "time"):
        (first, *_) = evidence[f"field:all.{name}"].rivals
        assert "an end one byte" in first.claim and "bits" in first.reason
    assert evidence["field:all.check"].rivals[0].claim == "an end elsewhere"


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_nearly_every_claim_of_a_discovery_has_rivals(seed: int) -> None:
    """Whatever kind it is of; and `why` shows them, and says what was not counted on all messages."""
    found = ProtocolDiscoveryOrchestrator().discover(simulate(seed, messages=120).batch()).spec
    lacking = [claim for claim, evidence in found.evidence.items() if not evidence.rivals]
    assert len(lacking) <= 0.05 * len(found.evidence), lacking
    for claim in found.evidence:
        lines = list(claim_lines(found, claim))
        assert any(line.startswith(("  rival  ", "  undecided  ")) for line in lines) or claim in lacking
        between = claim.startswith(("counter:", "echo:"))
        assert between == any("not counted" in line for line in lines)


def test_rivals_do_not_depend_on_the_order_of_messages() -> None:
    """The same messages backwards give the same evidence."""
    batch = simulate(3, messages=80).batch()
    one, other = (ProtocolDiscoveryOrchestrator().discover(b).spec for b in (batch, batch.take(range(79, -1, -1))))  # type: ignore[arg-type]
    assert one.evidence == other.evidence
    assert all(a != b for rivals in (e.rivals for e in one.evidence.values()) for a, b in pairwise(rivals))


@pytest.mark.parametrize("clock", [True, False])
def test_a_rival_that_the_messages_do_not_tell_apart_is_undecided(clock: bool) -> None:
    """Seconds of TAI are 37 off: told apart by the capture's clock, and without one shown as neither won nor lost."""
    messages = made(80)
    times = [float(T0 + i) for i in range(80)] if clock else [float("nan")] * 80
    sample = StatisticalAnalyzer().analyze(MessageBatch.from_payloads(messages, ts=times)).sample()
    found = spec()
    told = found.evidence["timestamp:all.time"]
    found = with_rivals(found, sample, Parser(found))
    (tai,) = [rival for rival in found.evidence["timestamp:all.time"].rivals if rival.claim == "tai"]
    assert not told.rivals and tai.support == tai.trials and tai.refuted_by is None
    assert tai.undecided is not clock
    lines = [line for line in claim_lines(found, "timestamp:all.time") if " tai: " in line]
    wanted = "rival         tai: lies farther from the clock" if clock else "undecided     tai: not told apart by these"
    assert len(lines) == 1 and wanted in lines[0]


@pytest.mark.parametrize("bodies", [4, 1000])
def test_an_identifier_may_be_a_checksum_unless_it_differs_alone(bodies: int) -> None:
    """A value not seen before is one of both; messages that are alike otherwise tell."""
    numbers = [(i * 0x9E3779B1) & 0xFFFFFFFF for i in range(90)]
    messages = [number.to_bytes(4, "big") + (i % bodies).to_bytes(2, "big") for i, number in enumerate(numbers)]
    sample = StatisticalAnalyzer().analyze(MessageBatch.from_payloads(messages)).sample()
    elements = [Field(name="id", width=Fixed(size=4), semantic="identifier"), Field(name="body", width=Rest())]
    evidence = {"field:all.id": Evidence(detector="identifier")}
    made = ProtocolSpec(types=[MessageType(name="all", elements=elements)], evidence=evidence)
    first = with_rivals(made, sample, Parser(made)).evidence["field:all.id"].rivals[0]
    assert first.claim == "a checksum of its message"
    assert first.undecided is (bodies == 1000) and (first.refuted_by is not None) is (bodies == 4)
