"""
Bottom-k messages: the distinct messages of lowest keyed hash, with exact counts.

Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007. The sample is bounded in messages and in bytes:
it is the longest run of messages by priority that fits. ``limit`` is the priority of the first message that did not
fit; nothing at or above it ever enters again, so that counts of what is kept are exact and merging is associative.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .hashing import MASK
from .payloads import Payloads
from .statistic import Arrays, require, take_array
from .waiting import Gathering, Waiting

_COLUMNS: dict[str, type] = {
    "priority": np.uint64, "ts": np.float64, "capture": np.uint64, "number": np.int64, "flow": np.uint64,
    "direction": np.int8, "length": np.int64, "counts": np.int64, "directions": np.int64,
}  # fmt: skip


@njit(cache=True, nogil=True)
def _before(a, b, ts, capture, number, flow, direction):  # type: ignore[no-untyped-def]
    if ts[a] != ts[b]:
        return ts[a] < ts[b]
    if capture[a] != capture[b]:
        return capture[a] < capture[b]
    if number[a] != number[b]:
        return number[a] < number[b]
    if flow[a] != flow[b]:
        return flow[a] < flow[b]
    return direction[a] < direction[b]


@njit(cache=True, nogil=True)
def _earliest(order, heads, ts, capture, number, flow, direction, out):  # type: ignore[no-untyped-def]
    for group in range(len(heads)):
        end = heads[group + 1] if group + 1 < len(heads) else len(order)
        best = order[heads[group]]
        for i in range(heads[group] + 1, end):
            if _before(order[i], best, ts, capture, number, flow, direction):
                best = order[i]
        out[group] = best


class MessageSample(Gathering):
    """
    The sampled messages, by ascending priority.

    Attributes:
        columns: priority uint64, counts int64 (occurrences), directions (n, 3) int64 (occurrences by direction), length
            int64 (before cutting), and of the earliest occurrence (by time, capture, number) ts float64 (+inf:
            unknown), capture uint64, number int64, flow uint64, direction int8.
        payloads: the first bytes of each, at most ``max_message_bytes`` and a sixteenth of ``sample_bytes``.
        limit: priorities at or above it are not in the sample; 2**64 - 1 while every distinct message is.
    """

    name: ClassVar[str] = "messages"
    error_bound: ClassVar[str] = "0 for the messages kept: contents, counts, directions, first occurrences"
    cap: ClassVar[str] = "settings.sample_messages messages and settings.sample_bytes bytes"

    def __init__(self, settings: DiscoverySettings) -> None:
        self._settings = settings
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(0, dtype) for name, dtype in _COLUMNS.items()}
        self._columns["directions"] = np.zeros((0, 3), np.int64)
        self._payloads = Payloads.none()
        self._limit, self._waiting = np.uint64(MASK), Waiting()

    @property
    def limit(self) -> np.uint64:
        """Priorities at or above it are not in the sample."""
        self._settle()
        return self._limit

    def below(self, limit: np.uint64) -> None:
        """Take in only messages of a priority below this one from now on."""
        self._settle()
        self._limit = limit

    @property
    def _longest(self) -> int:
        return min(self._settings.max_message_bytes, self._settings.sample_bytes // 16)

    def update(self, chunk: Chunk) -> None:
        """Take in the messages of a chunk whose priority is below the limit."""
        rows = np.flatnonzero(chunk.content < self._limit)
        if not len(rows):
            return
        direction = chunk.direction[rows]
        columns = {
            "priority": chunk.content[rows], "ts": chunk.ts[rows], "capture": chunk.capture[rows],
            "number": chunk.number[rows], "flow": chunk.flow[rows], "direction": direction,
            "length": chunk.lengths[rows], "counts": np.ones(len(rows), np.int64),
            "directions": (direction[:, None] == np.arange(3, dtype=np.int8)).astype(np.int64),
        }  # fmt: skip
        payloads = Payloads(chunk.data, chunk.starts[rows], np.minimum(chunk.lengths[rows], self._longest))
        self._gather(columns, payloads)

    def merge(self, other: Self) -> Self:
        """Return the sample of both inputs."""
        merged = type(self)(self._settings)
        merged._columns, merged._payloads = self.columns, self.payloads
        merged._limit = min(self.limit, other.limit)
        theirs, payloads = other.columns, other.payloads
        some = int(np.searchsorted(theirs["priority"], merged._limit))
        first = Payloads(payloads.data, payloads.starts[:some], payloads.lengths[:some])
        merged._take_in({name: column[:some] for name, column in theirs.items()}, first)
        return merged

    def _take_in(self, columns: dict[str, NDArray[Any]], payloads: Payloads) -> None:
        both = {name: np.concatenate([self._columns[name], columns[name]]) for name in _COLUMNS}
        order = np.argsort(both["priority"], kind="stable")
        priority = both["priority"][order]
        inside = int(np.searchsorted(priority, self._limit))
        order, priority = order[:inside], priority[:inside]
        heads = np.flatnonzero(np.diff(priority, prepend=~priority[:1]))
        kept = self._fit(np.concatenate([self._payloads.lengths, payloads.lengths])[order[heads]])
        if kept < len(heads):
            self._limit = priority[heads[kept]]
            order, heads = order[: heads[kept]], heads[:kept]
        self._set(both, order, heads)
        first = order[heads]  # of equal messages the one held already comes first: the sort is stable
        if len(first) != len(self._payloads) or (first >= len(self._payloads)).any():
            self._payloads = self._payloads.pick(payloads, first)

    def _fit(self, stored: NDArray[np.int64]) -> int:
        by_bytes = int(np.searchsorted(np.cumsum(stored), self._settings.sample_bytes, side="right"))
        return min(by_bytes, self._settings.sample_messages)

    def _set(self, both: dict[str, NDArray[Any]], order: NDArray[np.int64], heads: NDArray[np.int64]) -> None:
        best = np.empty(len(heads), np.int64)
        _earliest(
            order, heads, both["ts"], both["capture"], both["number"], both["flow"], both["direction"], best
        )  # fmt: skip
        self._columns = {name: both[name][best] for name in _COLUMNS}
        if len(heads):
            for name in ("counts", "directions"):
                self._columns[name] = np.add.reduceat(both[name][order], heads, axis=0)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the columns, the stored bytes and the limit."""
        return {**self.columns, **self.payloads.to_arrays(), "limit": np.array([self.limit], np.uint64)}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the sample of these arrays; InputError where they are none."""
        made = cls(settings)
        made._payloads = Payloads.from_arrays(arrays)
        size = len(made._payloads)
        for name, dtype in _COLUMNS.items():
            shape = (size, 3) if name == "directions" else (size,)
            made._columns[name] = take_array(arrays, name, dtype, shape).copy()
        made._limit = take_array(arrays, "limit", np.uint64, (1,))[0]
        made._check()
        return made

    def _check(self) -> None:
        columns, stored = self.columns, self.payloads.lengths
        require(self._fit(stored) == len(stored), "sample over its cap")
        require(bool((columns["priority"][1:] > columns["priority"][:-1]).all()), "order of the sample")
        require(not len(stored) or bool(columns["priority"][-1] < self.limit), "limit of the sample")
        require(bool((stored == np.minimum(columns["length"], self._longest)).all()), "lengths of the sample")
        require(bool((columns["directions"] >= 0).all() and (columns["counts"] > 0).all()), "counts of the sample")
        require(bool((columns["directions"].sum(axis=1) == columns["counts"]).all()), "directions of the sample")
        require(not np.isnan(columns["ts"]).any(), "times of the sample")
        require(bool(((columns["direction"] >= 0) & (columns["direction"] <= 2)).all()), "direction of the sample")
