"""What is told of a run: bytes of examples, figures for Prometheus, the picture, the comparison."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from qbitel.train.arrays import digest, from_bytes, hexadecimal, lanes, to_bytes
from qbitel.train.boundaries.examples import Example, example
from qbitel.train.compare import cost, differences, settings_apart
from qbitel.train.curve import learning_curve
from qbitel.train.exposition import exposition
from qbitel.train.record import Epoch, RunRecord, code_version
from qbitel.train.settings import TrainSettings


def record_of(name: str = "a", epochs: int = 3, **settings: object) -> RunRecord:
    """Return the record of a run whose held-out loss is least in its second epoch."""
    chosen = TrainSettings.model_validate({"task": "segmenter", **settings})
    record = RunRecord(id=name, settings=chosen, settings_hash=chosen.hash)
    for number in range(1, epochs + 1):
        figures = {"loss": 1.0 + abs(number - 2), "f1": 0.1 * number}
        cost = {"seconds": 2.0, "waited": 0.5, "cpu_seconds": 1.5, "source_cpu_seconds": 0.5, "workers": 1}
        told = {"number": number, "step": 10 * number, "loss": 1 / number, "figures": figures}
        record.add(Epoch.model_validate({**told, **cost}), [number] * 8)
    return record


def test_example_is_the_same_after_its_bytes() -> None:
    """All arrays and numbers of an example come back, and equal examples have equal bytes."""
    one = example(5)
    data = to_bytes(one)
    again = from_bytes(Example, data)
    assert to_bytes(again) == data == to_bytes(example(5))
    assert digest(again) == digest(one)
    again.target[0] += 1
    assert digest(again) != digest(one)
    assert again.columns.width == one.columns.width
    assert np.array_equal(again.inputs.flat.values, one.inputs.flat.values)
    again.target[:] = 0  # torch reads only arrays that may be written to


def test_digest_of_a_set_knows_no_order() -> None:
    """Sums of digests are equal for the same examples in any order, and differ by any example."""
    parts = [lanes(digest(example(seed))) for seed in range(3, 8)]
    assert hexadecimal(sum(parts[::-1], np.zeros(8, np.int64))) == hexadecimal(sum(parts, np.zeros(8, np.int64)))
    assert hexadecimal(sum(parts[1:], np.zeros(8, np.int64))) != hexadecimal(sum(parts, np.zeros(8, np.int64)))


def test_prometheus_reads_the_figures() -> None:
    """The text parses as Prometheus' format, with the newest epoch's figures under their names."""
    parser = pytest.importorskip("prometheus_client.parser", reason="needs the extra [cluster]")
    families = {f.name: f for f in parser.text_string_to_metric_families(exposition(record_of()))}
    assert families["qbitel_train_loss"].samples[0].value == pytest.approx(1 / 3)
    held_out = {s.labels["figure"]: s.value for s in families["qbitel_train_held_out"].samples}
    assert held_out == {"loss": 2.0, "f1": pytest.approx(0.3)}
    assert families["qbitel_train_running"].samples[0].labels == {"run": "a", "task": "segmenter"}


@pytest.mark.parametrize("epochs", [1, 2, 37])
def test_learning_curve_shows_every_epoch_inside_the_picture(epochs: int) -> None:
    """Every figure has one point per epoch, and every point lies on the picture."""
    root = ElementTree.fromstring(learning_curve(record_of(epochs=epochs)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    points = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(points) == 3 * epochs
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_difference_that_chance_explains_is_no_difference() -> None:
    """Scores that differ by noise around zero are no difference; a steady gain is one, in the sense of the score."""
    noise = np.random.default_rng(1).normal(size=60)
    first = {"f1": [0.5] * 60, "loss": [0.5] * 60, "only": [1.0]}
    found = {d.name: d for d in differences(first, {"f1": list(0.5 + noise), "loss": list(0.4 + 0.01 * noise)}, ["f1"])}
    assert found["f1"].verdict == "no difference seen"
    assert found["loss"].verdict == "better"
    assert found["loss"].mean == pytest.approx(-0.1, abs=0.01)
    assert set(found) == {"f1", "loss"}


def test_comparison_names_what_was_set_differently() -> None:
    """Only the settings that differ are named; cost counts processor seconds per example of all processes."""
    apart = settings_apart(record_of(), record_of(seed=7))
    assert apart == {"seed": (1, 7)}
    assert cost(record_of())["cpu_seconds_an_example"] == pytest.approx(6 / 120)


def test_code_version_names_the_sources() -> None:
    """The code of a run is known by version and by the digest of its sources."""
    assert len(code_version()["sources"]) == 16
    assert code_version()["version"]
