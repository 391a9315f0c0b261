"""Metrics have bounded labels, and one page that names them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbitel.cluster.observability.metrics import MOST_VALUES, OTHER, Label, Metric, listening, only_ours, tell_all
from qbitel.cluster.observability.names import METRICS
from qbitel.cluster.observability.page import page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_page_is_what_the_table_says() -> None:
    """docs/metrics.md is written by the command, and every metric is on it."""
    assert PAGE.read_text() == page(), "python -m qbitel.cluster.observability.page > docs/metrics.md"
    assert len(METRICS) > 30


def test_label_without_a_bound_gets_one() -> None:
    """A thousand values of a label become the first hundred and ``other``; a fixed set takes no others."""
    metric = Metric("qbitel_test_total", "counter", "t", (Label("free"), Label("fixed", ("a", "b"))))
    with listening() as told:
        for n in range(1000):
            metric.record(free=f"v{n}", fixed="a" if n % 2 else "c")
        metric.record(free="v7", fixed="b")
    assert len({labels["free"] for _, _, labels in told}) == MOST_VALUES + 1
    assert told[-2][2] == {"free": OTHER, "fixed": "a"}
    assert {labels["fixed"] for _, _, labels in told} == {"a", "b", OTHER}
    assert told[-1][2]["free"] == "v7"


def test_metric_needs_all_of_its_labels() -> None:
    """A label that is forgotten is an error where it is forgotten."""
    with listening(), pytest.raises(KeyError):
        METRICS["qbitel_jobs_total"].record()


def test_every_histogram_has_rising_buckets_and_every_counter_ends_as_one() -> None:
    """Prometheus' conventions hold for all of them."""
    for name, metric in METRICS.items():
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert name.endswith("_total") == (metric.kind == "counter")


def test_scrapes_of_several_nodes_are_one_page() -> None:
    """Of what two agents say, ours is kept, with one head for each metric."""
    one = "# HELP ray_x a\nray_x 1\n# HELP ray_qbitel_a_total t\n# TYPE ray_qbitel_a_total counter\n"
    told = only_ours([one + 'ray_qbitel_a_total{n="1"} 1\n', one + 'ray_qbitel_a_total{n="2"} 2\n'])
    assert told.splitlines() == [
        "# HELP ray_qbitel_a_total t", "# TYPE ray_qbitel_a_total counter",
        'ray_qbitel_a_total{n="1"} 1', 'ray_qbitel_a_total{n="2"} 2',
    ]  # fmt: skip


def test_adding_nothing_to_a_counter_is_nothing(ray_here: None) -> None:
    """Ray refuses it, and whoever counts what may be none shall not need to know."""
    METRICS["qbitel_jobs_total"].record(0, **{label.name: "x" for label in METRICS["qbitel_jobs_total"].labels})


def test_what_is_counted_often_is_told_as_one_sum(ray_here: None) -> None:
    """Ray hears of a counter what it grew by since the last time, and of a gauge what it is, also unchanged."""
    counter = Metric("qbitel_told_total", "counter", "t", (Label("of", ("a", "b")),))
    gauge, told = Metric("qbitel_told", "gauge", "t"), []
    for metric in (counter, gauge):
        metric._made = lambda value, labels: told.append((value, *labels.values()))
        for _ in range(1000):
            metric.record(0.5, **({"of": "a"} if metric is counter else {}))
    tell_all()
    counter.record(2, of="b")
    tell_all()
    assert sum(value for value, *of in told if of == ["a"]) == 500
    assert sum(value for value, *of in told if of == ["b"]) == 2
    assert told.count((0.5,)) >= 2 and len(told) < 50
