"""Scores equal values worked out by hand, and keep their laws."""

from __future__ import annotations

import math
from dataclasses import astuple
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError, SpecError
from qbitel.train.evaluation.accuracy import AccuracyReport, Inferred, ProtocolScore, score_protocol, score_random
from qbitel.train.evaluation.corpus import families, load_corpus
from qbitel.train.evaluation.metrics import mean, score_message, score_types


def test_a_message_by_hand() -> None:
    """Truth 2 4 8 of 10 bytes, found 2 5: one hit, one near miss of a byte, one miss."""
    score = score_message([2, 4, 8], [2, 5], 10)
    assert score is not None
    assert score.precision == pytest.approx(1 / 2)
    assert score.recall == pytest.approx(1 / 3)
    assert score.f1 == pytest.approx(2 / 5)
    near = math.exp(-((1 / 2) ** 2))  # 5 is between 3 and 5, the middles of the fields around 4
    assert score.fms == pytest.approx(math.exp(-((1 / 3) ** 2)) * (1 + near) / 3)
    assert score.perfect == pytest.approx(1 / 4)


def test_nothing_found_scores_zero_and_no_truth_has_no_score() -> None:
    """A tool that finds nothing scores 0; a message without inner boundaries is left out."""
    score = score_message([3], [], 8)
    assert score is not None and (score.f1, score.fms, score.perfect) == (0.0, 0.0, 0.0)
    assert score_message([], [3], 8) is None
    assert score_message([0, 8], [3], 8) is None


@given(st.sets(st.integers(1, 39), min_size=1), st.sets(st.integers(1, 39)))
def test_scores_stay_between_none_and_all(true: set[int], found: set[int]) -> None:
    """Every score is from 0 to 1, and all are 1 exactly where truth is found."""
    score = score_message(true, found, 40)
    assert score is not None
    assert all(0 <= value <= 1 for value in astuple(score))
    assert (min(astuple(score)) == 1) == (true == found)


def test_types_by_hand() -> None:
    """Two classes of two in one group: no homogeneity, complete; a permutation of names is perfect."""
    one = score_types(["a", "a", "b", "b"], [0, 0, 0, 0])
    assert (one.homogeneity, one.completeness, one.v) == (0.0, 1.0, 0.0)
    assert one.ari == pytest.approx(0.0)
    same = score_types(["a", "a", "b"], [5, 5, 3])
    assert (same.v, same.ari) == (pytest.approx(1.0), pytest.approx(1.0))
    part = score_types([0, 0, 1, 1], [0, 0, 1, 2])
    assert part.homogeneity == pytest.approx(1.0)
    assert part.completeness == pytest.approx(math.log(2) / (1.5 * math.log(2)))
    assert part.ari == pytest.approx((1 - 1 / 3) / (1.5 - 1 / 3))


def corpus(folder: Path) -> Path:
    """Write two protocols: toy (a duplicate among four messages) and still (no boundaries)."""
    payloads = [b"\x01\x02\x03\x04", b"\x01\x02\x05\x06", b"\x01\x02\x03\x04", b"\x02\x02"]
    table = {
        "payload": payloads, "field_offsets": pa.array([[2], [2], [2], [1]], pa.list_(pa.int32())),
        "msg_type": ["a", "a", "a", "b"], "stream": ["x", "y", "x", "y"], "direction": ["c2s", "s2c", "c2s", "c2s"],
    }  # fmt: skip
    pq.write_table(pa.table(table), folder / "toy.parquet")
    still = {"payload": [b"abc"], "field_offsets": pa.array([[]], pa.list_(pa.int32()))}
    pq.write_table(pa.table(still), folder / "still.parquet")
    (folder / "README.md").write_text("| family | protocol |\n|---|---|\n| toys | toy |\n\n| a | b |\n")
    return folder


def test_protocols_are_scored_over_distinct_messages(tmp_path: Path) -> None:
    """A duplicate counts once, the first two distinct messages make a limit of two, types are grouped."""
    loaded = {labelled.name: labelled for labelled in load_corpus(corpus(tmp_path))}
    toy = loaded["toy"]
    assert toy.distinct == [0, 1, 3]
    assert toy.batch.view().direction.tolist() == [1, 2, 1, 1]
    score = score_protocol(toy, "toys", lambda batch: Inferred([[2], [1], [9], [1]], [0, 0, 0, 1]))
    assert score.boundaries is not None and score.boundaries.f1 == pytest.approx(2 / 3)
    assert score.types is not None and score.types.v == pytest.approx(1.0)
    assert [labelled.distinct for labelled in load_corpus(tmp_path, ["toy"], 2)] == [[0, 1]]
    none = score_protocol(loaded["still"], "", lambda batch: Inferred([[]], [0]))
    assert none.boundaries is None and none.types is None


def test_a_failure_scores_as_nothing_found(tmp_path: Path) -> None:
    """An error of the engine on one protocol is named and counts as zero; it does not end the evaluation."""

    def failing(batch: MessageBatch) -> Inferred:
        raise SpecError("no such field")

    toy = next(iter(load_corpus(corpus(tmp_path), ["toy"])))
    report = AccuracyReport([], "engine", [score_protocol(toy, "", failing)])
    assert report.macro() is not None and report.protocols[0].boundaries.f1 == 0  # type: ignore[union-attr]
    assert "toy failed" in report.to_markdown() and "no such field" in report.to_markdown()


def test_a_folder_without_labelled_files_is_an_input_error(tmp_path: Path) -> None:
    """An empty folder and a file without offsets say what is missing."""
    with pytest.raises(InputError):
        list(load_corpus(tmp_path))
    pq.write_table(pa.table({"payload": [b"a"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="field_offsets"):
        list(load_corpus(tmp_path))


def test_families_come_from_a_table_beside_the_protocols(tmp_path: Path) -> None:
    """Only tables with both columns are read."""
    assert families(corpus(tmp_path))["toy"] == "toys"
    assert "a" not in families(tmp_path)


def test_the_report_means_over_protocols_not_messages() -> None:
    """One protocol of 1,000 messages weighs as much as one of 10."""
    good, bad = score_message([2], [2], 4), score_message([2], [], 4)
    assert good is not None and bad is not None
    report = AccuracyReport(["machine"], "engine")
    report.protocols = [ProtocolScore("a", "x", 1000, 1.0, good, None), ProtocolScore("b", "y", 10, 1.0, bad, None)]
    macro = report.macro()
    assert macro == mean([good, bad]) and macro.f1 == pytest.approx(0.5)
    assert "| **all** | 2 | 0.500 |" in report.to_markdown()
    assert report.to_dict()["macro"]["f1"] == pytest.approx(0.5)


def test_random_bytes_count_every_boundary_as_false() -> None:
    """A predictor that cuts every message once has one false boundary a message."""
    scores = score_random(lambda batch: Inferred([[1]] * len(batch), [0] * len(batch)), messages=20)
    assert [score.boundaries for score in scores] == [20, 20, 20]
    assert all(0 < score.rate < 1 for score in scores)
