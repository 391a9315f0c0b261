"""
Metrics, by way of Ray: every process of a cluster reports to its node's agent, which Prometheus scrapes.

Telling Ray takes longer than the rest of a short request, so counters are summed up here and told of once a second. A
process that Ray does not run records nothing. Labels never grow without a bound: each has a fixed set of values, or
the first so many that are met; what comes after those is ``other``.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Kind = Literal["counter", "gauge", "histogram"]
Heard = Callable[[str, float, dict[str, str]], None]

PREFIX = "ray_"
"""What Ray puts before a name."""
OTHER = "other"
MOST_VALUES = 100
TOLD_EVERY_S = 1.0
"""Also gauges that have not changed: Ray forgets them after two of its intervals."""

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
    _sums: dict[tuple[str, ...], float] = field(default_factory=dict, repr=False)
    _last: dict[tuple[str, ...], float] = field(default_factory=dict, repr=False)
    _known: dict[str, set[str]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def record(self, value: float = 1.0, **labels: str) -> None:
        """Add to a counter, set a gauge, or count a value in a histogram."""
        told = _Teller.begun or _begin_to_tell()
        if not told and not _heard:
            return
        key = tuple([self._bounded(label, labels[label.name]) for label in self.labels])
        for heard in _heard:
            heard(self.name, value, self._named(key))
        if told:
            self._take(value, key)

    def _take(self, value: float, key: tuple[str, ...]) -> None:
        """Keep a value for the next time that Ray is told; values of a histogram cannot be summed up."""
        if self.kind == "histogram":
            if _reported():
                (self._made or self._make())(value, self._named(key))
            return
        with self._lock:
            if not self._sums and not self._last:
                _Teller.metrics.append(self)
            if self.kind == "gauge":
                self._last[key] = value
            else:
                self._sums[key] = self._sums.get(key, 0.0) + value

    def tell(self) -> None:
        """Tell Ray what a counter has grown by since it was last told, or what a gauge is."""
        with self._lock:
            news = list(self._last.items()) + [(key, value) for key, value in self._sums.items() if value]
            for key in self._sums:
                self._sums[key] = 0.0
        for key, value in news:
            (self._made or self._make())(value, self._named(key))

    def _named(self, key: tuple[str, ...]) -> dict[str, str]:
        return {label.name: value for label, value in zip(self.labels, key, strict=True)}

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


class _Teller:
    """The thread that tells Ray, of this process; it begins when something is first recorded under a Ray."""

    begun = False
    lock = threading.Lock()
    metrics: ClassVar[list[Metric]] = []


def _begin_to_tell() -> bool:
    if not _reported():
        return False
    with _Teller.lock:
        if not _Teller.begun:
            _Teller.begun = True
            atexit.register(tell_all)
            threading.Thread(target=_keep_telling, name="qbitel-metrics", daemon=True).start()
    return True


def _keep_telling() -> None:
    never = threading.Event()
    while not never.wait(TOLD_EVERY_S):
        tell_all()


def tell_all() -> None:
    """Tell Ray what was recorded since it was last told."""
    if _reported():
        for metric in tuple(_Teller.metrics):
            metric.tell()


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
