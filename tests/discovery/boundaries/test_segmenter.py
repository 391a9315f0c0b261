"""Boundaries of messages whose fields are known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.boundaries import default_segmenter
from qbitel.discovery.boundaries.network import shipped
from qbitel.discovery.findings import Finding
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Evidence
from qbitel.discovery.statistics import MessageStatistics

THRESHOLD = 0.35


def sample_of(payloads: Sequence[bytes]) -> Sample:
    """Return the sample of payloads without times or flows."""
    statistics = MessageStatistics(DiscoverySettings())
    statistics.update(MessageBatch.from_payloads(payloads), "0" * 16)
    return statistics.sample()


def probabilities(sample: Sample, findings: Sequence[Finding] = ()) -> NDArray[np.float32]:
    """Return boundary probabilities with all messages of one type."""
    return default_segmenter().boundary_probabilities(sample, np.zeros(len(sample.view), np.int32), findings)


def header_messages(count: int = 120) -> list[bytes]:
    """Return messages: magic (4), id (2), counter (4), flags (2), length (2), random body."""
    rng = np.random.default_rng(5)
    made = []
    for index in range(count):
        body = rng.bytes(int(rng.integers(8, 40)))
        head = b"QBIT" + rng.bytes(2) + (70_001 * index).to_bytes(4, "big") + b"\x80\x01"
        made.append(head + len(body).to_bytes(2, "big") + body)
    return made


def test_a_fixed_header_is_recovered() -> None:
    """Ends of magic, id, counter, flags and length are found in nearly all messages, and no more than that."""
    found = probabilities(sample_of(header_messages())) >= THRESHOLD
    for boundary in (4, 6, 10, 12, 14):
        assert found[:, boundary].mean() > 0.9, boundary
    assert found[:, [1, 2, 3, 5, 7, 8, 9, 13]].mean() < 0.2


@pytest.mark.parametrize(("low", "high"), [(4, 24), (20, 200), (64, 64)])
def test_random_bytes_have_no_boundaries(low: int, high: int) -> None:
    """Messages of random bytes, short, long and of one length, are not cut at all."""
    rng = np.random.default_rng(3)
    sample = sample_of([rng.bytes(int(rng.integers(low, high + 1))) for _ in range(300)])
    assert not probabilities(sample).any()


def test_a_header_before_random_bytes_is_not_taken_for_random() -> None:
    """Four constant bytes and a counter before 40 random bytes are found in twelve messages."""
    rng = np.random.default_rng(4)
    sample = sample_of([b"\xaa\x55\x01\x02" + (9 + i).to_bytes(2, "big") + rng.bytes(40) for i in range(12)])
    assert (probabilities(sample)[:, 4] >= THRESHOLD).all()


def test_lines_are_cut_at_separators() -> None:
    """A verb and the line end of a text protocol are found."""
    verbs, names = [b"GET", b"SEND", b"LIST", b"QUIT"], [b"alpha", b"mail", b"root", b"device7"]
    payloads = [verb + b" " + name + b"\r\n" for verb in verbs for name in names]
    sample = sample_of(payloads)
    found = probabilities(sample) >= THRESHOLD
    hits = 0
    for row in range(len(sample.view)):
        payload = sample.view.payload(row)
        hits += found[row, payload.index(b" ")] and found[row, payload.index(b"\r")]
    assert hits >= 0.9 * len(payloads)


def finding(start: int, width: int, *, hard: bool = True, types: tuple[int, ...] = (0,)) -> Finding:
    """Return a finding about a run of bytes."""
    evidence = Evidence(detector="test")
    return Finding(types, start, width, "length", None, "big", evidence, hard)


def test_hard_findings_are_obeyed_and_hints_are_not() -> None:
    """Both ends of a hard run are certain, its inside is none; from the end too; other types and hints stay."""
    sample = sample_of(header_messages())
    free = probabilities(sample)
    bound = probabilities(sample, [finding(5, 3), finding(-4, 4)])
    assert (bound[:, [5, 8]] == 1).all()
    assert (bound[:, [6, 7]] == 0).all()
    lengths, rows = sample.view.lengths, np.arange(len(sample.view))
    assert (bound[rows, lengths - 4] == 1).all()
    assert (bound[rows, lengths - 2] == 0).all()
    assert (probabilities(sample, [finding(5, 3, hard=False), finding(5, 3, types=(1,))]) == free).all()


def test_a_finding_that_does_not_fit_a_message_says_nothing_of_it() -> None:
    """A run past the end of short messages leaves them as they were."""
    sample = sample_of(header_messages())
    free, bound = probabilities(sample), probabilities(sample, [finding(0, 400), finding(-400, 2)])
    assert (free == bound).all()


def test_values_are_quantised_and_silent_outside() -> None:
    """Multiples of 1/256 from 0 to 1; offset 0 and what is past the end are 0; 512 offsets at most."""
    rng = np.random.default_rng(1)
    sample = sample_of([rng.bytes(700), b"ab", b"c" * 90])
    found = probabilities(sample)
    assert found.shape == (3, 512) and found.dtype == np.float32
    assert (found * 256 == np.rint(found * 256)).all()
    assert found.min() >= 0 and found.max() <= 1 and (found[:, 0] == 0).all()
    for row, length in enumerate(sample.view.lengths):
        assert (found[row, length:] == 0).all()


def test_the_same_sample_gives_the_same_bytes_whatever_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats agree exactly; working in smaller blocks moves no probability by more than a step."""
    sample = sample_of(header_messages())
    first = probabilities(sample)
    assert (first == probabilities(sample)).all()
    monkeypatch.setattr("qbitel.discovery.boundaries.segmenter.BLOCK_BYTES", 300)
    assert np.abs(probabilities(sample) - first).max() <= 1 / 256


@pytest.mark.parametrize("payloads", [[], [b""], [b"\x01"], [b"\x00" * 64], [b"\x07\x00\x01\x02" * 4]])
def test_a_single_message_is_read_without_complaint(payloads: list[bytes]) -> None:
    """No message, no bytes, one byte and one message give a shape and finite values."""
    found = probabilities(sample_of(payloads))
    assert found.shape[0] == len(payloads) and np.isfinite(found).all()


def test_runs_of_zeros_are_not_cut_with_confidence() -> None:
    """Sixty-four zeros in a row hold no certain boundary."""
    assert probabilities(sample_of([bytes(64)])).max() < 0.9


def test_shipped_weights_are_finite_and_small() -> None:
    """The package's weights load without pickle and hold fewer than 100,000 numbers."""
    weights = shipped().weights
    assert sum(value.size for value in weights.values()) < 100_000
    assert all(np.isfinite(value).all() and value.dtype == np.float32 for value in weights.values())


def test_a_warm_prediction_asks_the_system_for_no_memory() -> None:
    """Layers are worked on in memory that the process kept: in a fresh process, hardly a page is fetched again."""
    program = """
import resource
import numpy as np
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.boundaries import default_segmenter
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics

rng = np.random.default_rng(1)
statistics = MessageStatistics(DiscoverySettings())
statistics.update(MessageBatch.from_payloads([bytes(4) + rng.bytes(40) for _ in range(200)]), "0" * 16)
sample, segmenter = statistics.sample(), default_segmenter()
types = np.zeros(len(sample.view), np.int32)
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    segmenter.boundary_probabilities(sample, types, [])
    fetched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(fetched)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 100
