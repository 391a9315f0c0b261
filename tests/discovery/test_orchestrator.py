"""The orchestrator gives one answer for one input, tells what each stage did, and stops when told."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from qbitel.discovery import boundaries
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import CancelledError, LimitError
from qbitel.discovery.orchestrator import Known, ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import ProtocolSpec
from qbitel.discovery.stages import STAGES
from qbitel.discovery.statistics import StatisticalAnalyzer


def requests(count: int, seed: int = 1, kinds: int = 3) -> MessageBatch:
    """Magic, kind, counter, length of the rest, a body by kind, CRC-32: in eight flows, in both directions."""
    rng = np.random.default_rng(seed)
    payloads = []
    for number in range(count):
        kind = int(rng.integers(1, kinds + 1))
        if kind == 1:
            body = struct.pack(">IH", int(rng.integers(0, 50)), int(rng.integers(0, 2000)))
        elif kind == 2:
            body = bytes([int(size := rng.integers(1, 20))]) + rng.integers(97, 123, size, dtype=np.uint8).tobytes()
        else:
            body = rng.integers(0, 900, int(rng.integers(1, 9))).astype(">u2").tobytes()
        head = struct.pack(">HBBH", 0xA55A, kind, number & 0xFF, len(body) + 4)
        payloads.append(head + body + struct.pack(">I", zlib.crc32(head + body)))
    return MessageBatch.from_payloads(
        payloads,
        ts=[1.7e9 + i for i in range(count)],
        flow=[1 + i % 8 for i in range(count)],
        direction=[1 + i % 2 for i in range(count)],
    )


def test_any_order_and_any_split_give_the_same_specification() -> None:
    """Shuffled messages, and statistics taken in 1, 2 and 64 shards, end in the same digest and the same bytes."""
    batch = requests(400)
    orchestrator = ProtocolDiscoveryOrchestrator()
    expected = orchestrator.discover({"ab" * 8: batch}).spec
    for shards in (1, 2, 64):
        shuffled = batch.take(np.random.default_rng(shards).permutation(len(batch)).astype(np.int64))
        statistics = StatisticalAnalyzer(DiscoverySettings()).analyze_sharded(shuffled, shards, "ab" * 8)
        spec = orchestrator.conclude(Known(), statistics, {"ab" * 8: shuffled}).spec
        assert (spec.id, spec.to_bytes()) == (expected.id, expected.to_bytes())


def test_every_stage_reports_and_progress_moves_forward() -> None:
    """All stages end well, in order, each from nothing to done, with seconds from the clock that was given."""
    seen: list[tuple[str, float]] = []
    ticks = iter(range(10_000))
    result = ProtocolDiscoveryOrchestrator().discover(
        requests(120), progress=lambda stage, share: seen.append((stage, share)), clock=lambda: float(next(ticks))
    )
    assert [report.name for report in result.stages] == list(STAGES)
    assert all(report.status == "ok" and report.seconds and report.message for report in result.stages)
    assert list(dict.fromkeys(stage for stage, _ in seen)) == list(STAGES)
    for stage in STAGES:
        shares = [share for name, share in seen if name == stage]
        assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0


def test_cancel_stops_between_steps() -> None:
    """A token that is set after some stages ends the discovery with the engine's error."""
    asked = iter(range(100))
    with pytest.raises(CancelledError):
        ProtocolDiscoveryOrchestrator().discover(requests(60), cancel=lambda: next(asked) > 4)


def test_a_failed_stage_leaves_a_partial_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before the failure stays; the stage, the reason and what to do are named; there is no id."""

    def fail(*_: object) -> None:
        raise LimitError("budget of rules passed", hint="raise em_iterations")

    monkeypatch.setattr("qbitel.discovery.orchestrator.learn_grammar", fail)
    result = ProtocolDiscoveryOrchestrator().discover(requests(60))
    assert result.spec.partial == ["grammar: budget of rules passed (raise em_iterations)"]
    assert result.spec.id is None and result.spec.types
    failed = [report for report in result.stages if report.status == "failed"]
    assert [(report.name, report.hint) for report in failed] == [("grammar", "raise em_iterations")]


BREAKS = {
    "statistics": "qbitel.discovery.statistics.MessageStatistics.update",
    "types": "qbitel.discovery.proposal.find_types",
    "relations": "qbitel.discovery.proposal.find_relations",
    "boundaries": "qbitel.discovery.proposal.draw_together",
    "layout": "qbitel.discovery.proposal.build_layouts",
    "semantics": "qbitel.discovery.proposal.label_fields",
    "confirm": "qbitel.discovery.orchestrator.with_rivals",
    "grammar": "qbitel.discovery.orchestrator.learn_grammar",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_defect_in_any_stage_costs_that_stage_and_is_named(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stage breaks, it is the one that is named, with the error and what to do; later ones are skipped."""

    def break_(*_: object) -> None:
        raise ZeroDivisionError("of nothing\nby nothing")

    monkeypatch.setattr(BREAKS[stage], break_)
    result = ProtocolDiscoveryOrchestrator().discover(requests(60))
    assert len(result.spec.partial) == 1 and result.spec.id is None
    line = result.spec.partial[0]
    assert line.startswith(f"{stage}: ZeroDivisionError: of nothing by nothing (test_orchestrator.py:")
    at = STAGES.index(stage)
    assert [report.status for report in result.stages] == ["ok"] * at + ["failed"] + ["skipped"] * (
        len(STAGES) - at - 1
    )
    assert "report" in result.stages[at].hint and result.stages[at].cause is not None
    assert bool(result.spec.types) == (at > STAGES.index("types"))
    assert (result.spec.measures.messages == 60) == (at >= STAGES.index("confirm"))
    assert ProtocolSpec.from_bytes(result.spec.to_bytes()) == result.spec


def test_provenance_names_the_weights_that_took_part() -> None:
    """The specification holds the SHA-256 of the segmenter's weights: with others, boundaries may differ."""
    weights = Path(boundaries.__file__).with_name("weights.safetensors").read_bytes()
    found = ProtocolDiscoveryOrchestrator().discover(requests(50)).spec.provenance
    assert found.models == {"segmenter": hashlib.sha256(weights).hexdigest()}


@pytest.mark.parametrize(
    "budget", [DiscoverySettings(max_types=2), DiscoverySettings(max_fields=3), DiscoverySettings(max_message_bytes=12)]
)
def test_a_budget_that_is_spent_is_told(budget: DiscoverySettings) -> None:
    """What a budget left out is a note that names the setting; too few fields leave the rest of a message undivided."""
    (name,) = budget.model_fields_set
    result = ProtocolDiscoveryOrchestrator(budget).discover(requests(200))
    assert any(f"(setting {name})" in note for note in result.notes)
    assert name == "max_message_bytes" or result.spec.measures.explained == 200
    assert not any("(setting " in note for note in ProtocolDiscoveryOrchestrator().discover(requests(200)).notes)


def test_learning_on_gives_the_next_version_with_its_changes() -> None:
    """A capture with a new type gives version 2, names the type as added, counts both captures, keeps the parent."""
    orchestrator = ProtocolDiscoveryOrchestrator()
    first = orchestrator.discover({"01" * 8: requests(200, kinds=2)})
    second = orchestrator.extend(first.spec, first.statistics, {"02" * 8: requests(300, seed=2, kinds=3)})
    assert second.spec.version == 2
    assert second.spec.provenance.parent == first.spec.digest
    assert second.spec.measures.messages == 500
    assert any(change.kind == "added" for change in second.changes)
    assert [capture.messages for capture in second.spec.provenance.captures] == [200, 300]


def test_a_rare_type_in_many_messages_is_found_by_a_second_round() -> None:
    """Messages that the sample missed and the first proposal left unexplained are read in the next one."""
    settings = DiscoverySettings(sample_messages=256)
    common, rare = requests(3000, kinds=1), [b"\xee\xee" + bytes([i, 7, 7, 7]) for i in range(12)]
    batch = MessageBatch.concatenate([common, MessageBatch.from_payloads(rare)])
    spec = ProtocolDiscoveryOrchestrator(settings).discover(batch).spec
    kinds = Parser(spec).parse_batch(MessageBatch.from_payloads(rare)).type_index
    usual = Parser(spec).parse_batch(common.slice(0, 50)).type_index
    assert (kinds >= 0).all() and not set(kinds.tolist()) & set(usual.tolist())


@pytest.mark.parametrize(
    "payloads",
    [
        [b""],
        [b"", b"", b""],
        [b"x"],
        [b"same message"] * 50,
        [bytes(65536)] * 3,
        [bytes([i % 256]) * 65536 for i in range(5)],
    ],
    ids=["one empty", "empty ones", "one byte", "identical", "64 KiB zeros", "64 KiB each"],
)
def test_degenerate_input_ends_in_a_flagged_result(payloads: list[bytes]) -> None:
    """Odd input gives a whole specification that reads back, counts every message, and says what is wrong with it."""
    result = ProtocolDiscoveryOrchestrator().discover(MessageBatch.from_payloads(payloads))
    assert result.spec.partial == []
    assert result.spec.measures.messages == len(payloads)
    assert ProtocolSpec.from_bytes(result.spec.to_bytes()) == result.spec
    if len(set(payloads)) == 1:
        assert result.notes


def test_random_bytes_have_no_structure() -> None:
    """Uniform bytes of many lengths give no boundary at all, and a note says so."""
    rng = np.random.default_rng(5)
    batch = MessageBatch.from_payloads([rng.bytes(int(n)) for n in rng.integers(16, 200, 300)])
    result = ProtocolDiscoveryOrchestrator().discover(batch)
    assert any("no structure found" in note for note in result.notes)
    parsed = Parser(result.spec).parse_batch(batch)
    assert not (parsed.leaf_start > 0).any()
