"""Writes docs/metrics.md: ``python -m qbitel.cluster.observability.page > docs/metrics.md``."""

from __future__ import annotations

import sys

from .metrics import MOST_VALUES, PREFIX, Label, Metric
from .names import METRICS

_HEAD = f"""# Metrics

Every process of the service reports to Ray's agent on its node, once in ten seconds (`RAY_metrics_report_interval_ms`).
`GET /metrics` of the service asks the agents of all nodes and answers with the metrics below, whichever replica it
reaches. Prometheus may as well scrape the agents themselves, which have Ray's own too: KubeRay's PodMonitor port
`metrics`, or the file of service discovery that Ray writes. Do one of the two, or everything counts twice.

- Names begin with `{PREFIX}`; every sample has Ray's labels `NodeAddress` and `WorkerId`: sum over them.
- A label has the values that are listed, or the first {MOST_VALUES} that a process meets; what comes later is `other`.
- Ray passes on how many values fell into each bucket of a histogram; its `_sum` is estimated from their middles.
- A metric is there from the first time that it is recorded.

| name | kind | labels | meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(_row(METRICS[name]) for name in sorted(METRICS)) + "\n" + _buckets()


def _row(metric: Metric) -> str:
    labels = "; ".join(map(_label, metric.labels)) or "–"
    return f"| `{PREFIX}{metric.name}` | {metric.kind} | {labels} | {metric.text} |\n"


def _label(label: Label) -> str:
    return f"`{label.name}`: {', '.join(label.values)}" if label.values else f"`{label.name}`"


def _buckets() -> str:
    by_bounds: dict[tuple[float, ...], list[str]] = {}
    for name, metric in sorted(METRICS.items()):
        if metric.buckets:
            by_bounds.setdefault(metric.buckets, []).append(f"`{name}`")
    lines = ["Buckets end at:\n"]
    for bounds, names in by_bounds.items():
        lines.append(f"- {', '.join(names)}: {', '.join(f'{bound:g}' for bound in bounds)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
