"""
Metrics, by way of Ray: every process of a cluster reports to its node's agent, which Prometheus scrapes.

A process that Ray does not run records nothing. Labels never grow without a bound: each has a fixed set of values, or
the first so many that are met; what comes after those is ``other``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram"]
Heard = Callable[[str, float, dict[str, str]], None]

PREFIX = "ray_"
"""What Ray puts before a name."""
OTHER = "other"
MOST_VALUES = 100

_heard: list[Heard] = []


@dataclass(frozen=True)
class Label:
    """
    A label and what it may be.

    Attributes:
        values: all of them; empty: whatever is met, up to ``MOST_VALUES`` in a process.
    """

    name: str
    values: tuple[str, ...] = ()


@dataclass
class Metric:
    """
    One metric; it is made in Ray when it is first recorded. May be used from any thread.

    Attributes:
        unit: of the values; a part of the name where it has one. buckets: upper bounds of a histogram's.
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    _made: Any = field(default=None, repr=False)
    _last: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict, repr=False)
    _known: dict[str, set[str]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def record(self, value: float = 1.0, **labels: str) -> None:
        """Add to a counter, set a gauge, or count a value in a histogram."""
        if not _heard and not _reported():
            return
        if self.kind == "counter" and not value:
            return  # Ray refuses to add nothing
        bounded = {label.name: self._bounded(label, labels[label.name]) for label in self.labels}
        for heard in _heard:
            heard(self.name, value, bounded)
        if _reported():
            if self.kind == "gauge":
                self._last[tuple(bounded.items())] = value
            (self._made or self._make())(value, bounded)

    def repeat(self) -> None:
        """Say once more what a gauge was set to last: Ray forgets it after two of its intervals."""
        for labels, value in list(self._last.items()):
            self._make()(value, dict(labels))

    def _bounded(self, label: Label, value: str) -> str:
        if label.values:
            return value if value in label.values else OTHER
        known = self._known.setdefault(label.name, set())
        if value not in known:
            with self._lock:
                if len(known) >= MOST_VALUES:
                    return OTHER
                known.add(value)
        return value

    def _make(self) -> Any:
        from ray.util import metrics

        names = tuple(label.name for label in self.labels)
        with self._lock:
            if self._made is None:
                if self.kind == "counter":
                    self._made = metrics.Counter(self.name, self.text, names).inc
                elif self.kind == "gauge":
                    self._made = metrics.Gauge(self.name, self.text, names).set
                else:
                    self._made = metrics.Histogram(self.name, self.text, list(self.buckets), names).observe
        return self._made


def _reported() -> bool:
    """Return whether this process is one of a Ray; the commands that run without never import it for this."""
    ray = sys.modules.get("ray")
    return ray is not None and hasattr(ray, "is_initialized") and bool(ray.is_initialized())


@contextmanager
def listening() -> Iterator[list[tuple[str, float, dict[str, str]]]]:
    """Give what this process records while the block runs, as (name, value, labels): for tests, with or without Ray."""
    told: list[tuple[str, float, dict[str, str]]] = []

    def hear(name: str, value: float, labels: dict[str, str]) -> None:
        told.append((name, value, labels))

    _heard.append(hear)
    try:
        yield told
    finally:
        _heard.remove(hear)


def only_ours(scraped: Sequence[str]) -> str:
    """Return, of what the agents of all nodes say, the metrics of this package, each with its help once."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in scraped:
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                if family.startswith(f"{PREFIX}qbitel_") and len(heads.setdefault(family, [])) < 2:
                    heads[family].append(line)
            elif family in heads:
                samples.setdefault(family, []).append(line)
    lines = [line for family in sorted(heads) for line in (*heads[family], *samples.get(family, ()))]
    return "\n".join((*lines, ""))
