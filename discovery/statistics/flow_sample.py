"""
Bottom-k flows: the flows of lowest keyed hash, each with its first messages.

Of each flow the first ``flow_messages`` messages are kept, by time, capture, number and content, as far as they fit in
its share of the bytes. The first message that did not fit stays as a mark without bytes (``cut``): nothing after it may
enter again, which keeps merging associative. Flow 0 (messages without a flow) is a flow like the others.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from .chunk import Chunk
from .endpoints import read_endpoints
from .hashing import FLOW, MASK, key, mix
from .payloads import Payloads
from .statistic import Arrays, require, take_array
from .waiting import Gathering, Waiting

_COLUMNS: dict[str, tuple[type, int]] = {
    "priority": (np.uint64, 0), "ts": (np.float64, 0), "capture": (np.uint64, 0), "number": (np.int64, 0),
    "content": (np.uint64, 0), "flow": (np.uint64, 0), "direction": (np.int8, 0), "length": (np.int64, 0),
    "cut": (np.int8, 0), "src": (np.uint8, 16), "dst": (np.uint8, 16), "address_length": (np.int8, 0),
    "sport": (np.int32, 0), "dport": (np.int32, 0),
}  # fmt: skip
_SMALLEST_SHARE = 4096


@njit(cache=True, nogil=True)
def _candidates(priority, ts, capture, number, limit, flows, full, last_ts, last_capture, last_number):  # type: ignore[no-untyped-def]
    """Mark rows of flows that may be kept, unless their flow is full of earlier messages."""
    keep = np.zeros(len(priority), np.bool_)
    for row in range(len(priority)):
        if priority[row] > limit:
            continue
        keep[row] = True
        flow = np.searchsorted(flows, priority[row])
        if flow < len(flows) and flows[flow] == priority[row] and full[flow]:
            if ts[row] != last_ts[flow]:
                keep[row] = ts[row] < last_ts[flow]
            elif capture[row] != last_capture[flow]:
                keep[row] = capture[row] < last_capture[flow]
            else:
                keep[row] = number[row] <= last_number[flow]
    return keep


@njit(cache=True, nogil=True)
def _keep_first(priority, stored, cut, flows, messages, budget):  # type: ignore[no-untyped-def]
    """Say for each row, in order: 0 it goes, 1 it stays, 2 it stays as a mark."""
    verdict = np.zeros(len(priority), np.int8)
    seen = 0
    for row in range(len(priority)):
        if row == 0 or priority[row] != priority[row - 1]:
            seen += 1
            held, used, closed = 0, 0, False
        if seen > flows:
            break
        if closed or held == messages:
            continue
        used += stored[row]
        if cut[row] or used > budget:
            closed = True
            verdict[row] = 2
        else:
            held += 1
            verdict[row] = 1
    return verdict


class FlowStatistic(Gathering):
    """
    Messages of the sampled flows, by (flow priority, ts, capture, number, content).

    Attributes:
        columns: priority uint64 (keyed hash of the flow id), ts float64 (+inf: unknown), capture uint64, number int64,
            content uint64 (hash), flow uint64, direction int8, length int64 (before cutting), cut int8 (1: a mark, no
            bytes are kept), src, dst (n, 16) uint8, address_length int8, sport, dport int32 (-1: unknown).
        payloads: the first bytes of each message, at most ``share``.
        share: bytes that one flow may keep.
    """

    name: ClassVar[str] = "flows"
    error_bound: ClassVar[str] = "0 for the flows kept: their first messages, in order"
    cap: ClassVar[str] = (
        "settings.sample_flows flows of settings.flow_messages messages and settings.sample_bytes / sample_flows bytes "
        "(4 KiB at least)"
    )

    def __init__(self, settings: DiscoverySettings) -> None:
        self._settings = settings
        self._key = key(settings.seed, FLOW)
        self._ceiling = np.uint64(MASK)
        self.share = max(settings.sample_bytes // settings.sample_flows, _SMALLEST_SHARE)
        none: dict[str, NDArray[Any]] = {
            name: np.zeros((0, width) if width else 0, dtype) for name, (dtype, width) in _COLUMNS.items()
        }
        self._hold(none, Payloads.none())

    def _hold(self, columns: dict[str, NDArray[Any]], payloads: Payloads) -> None:
        self._columns, self._payloads, self._waiting = columns, payloads, Waiting()
        self._index()

    @property
    def _longest(self) -> int:
        return min(self._settings.max_message_bytes, self.share)

    def _index(self) -> None:
        """Note for each flow its last message and whether it is full, for the filter of ``update``."""
        priority = self._columns["priority"]
        self._flows, first = np.unique(priority, return_index=True)
        last = np.append(first[1:], len(priority))[: len(first)] - 1
        held = last - first + 1
        self._full = (held >= self._settings.flow_messages) | (self._columns["cut"][last] == 1)
        self._last = [self._columns[name][last] for name in ("ts", "capture", "number")]
        bounded = len(self._flows) == self._settings.sample_flows
        self._limit = min(self._flows[-1], self._ceiling) if bounded else self._ceiling

    def below(self, ceiling: np.uint64) -> None:
        """Take in only flows of a priority up to this one from now on."""
        self._settle()
        self._ceiling = ceiling
        self._index()

    def update(self, chunk: Chunk) -> None:
        """Take in the messages of a chunk that belong to flows of low priority."""
        priority = mix(chunk.flow, self._key)
        keep = _candidates(
            priority, chunk.ts, chunk.capture, chunk.number, self._limit, self._flows, self._full, *self._last
        )
        rows = np.flatnonzero(keep)
        if not len(rows):
            return
        columns: dict[str, NDArray[Any]] = {
            "priority": priority[rows], "ts": chunk.ts[rows], "capture": chunk.capture[rows],
            "number": chunk.number[rows], "content": chunk.content[rows], "flow": chunk.flow[rows],
            "direction": chunk.direction[rows], "length": chunk.lengths[rows], "cut": np.zeros(len(rows), np.int8),
            **read_endpoints(chunk.table, rows),
        }  # fmt: skip
        stored = np.minimum(chunk.lengths[rows], self._longest)
        self._gather(columns, Payloads(chunk.data, chunk.starts[rows], stored))

    def merge(self, other: Self) -> Self:
        """Return the sample of both inputs."""
        merged = type(self)(self._settings)
        merged._hold(self.columns, self.payloads)
        theirs, payloads = other.columns, other.payloads
        some = int(np.searchsorted(theirs["priority"], merged._limit, side="right"))  # no flow beyond can be kept
        first = Payloads(payloads.data, payloads.starts[:some], payloads.lengths[:some])
        if some:
            apart = not np.isin(theirs["priority"][:some], merged._flows).any()
            merged._take_in({name: column[:some] for name, column in theirs.items()}, first, in_order=apart)
        return merged

    def _take_in(self, columns: dict[str, NDArray[Any]], payloads: Payloads, *, in_order: bool = False) -> None:
        """Put rows among those that are held; ``in_order``: they are ordered already, and of other flows."""
        both = {name: np.concatenate([self._columns[name], columns[name]]) for name in _COLUMNS}
        order = np.argsort(both["priority"], kind="stable") if in_order else np.lexsort(_sort_keys(both))
        stored = np.concatenate([self._payloads.lengths, payloads.lengths])
        settings = self._settings
        verdict = _keep_first(
            both["priority"][order], stored[order], both["cut"][order],
            settings.sample_flows, settings.flow_messages, self.share,
        )  # fmt: skip
        kept = verdict > 0
        order, cut = order[kept], (verdict[kept] == 2).astype(np.int8)
        packed = self._payloads.pick(payloads, order[cut == 0])
        lengths = np.zeros(len(order), np.int64)
        lengths[cut == 0] = packed.lengths
        stays = {name: both[name][order] for name in _COLUMNS} | {"cut": cut}
        self._hold(stays, Payloads(packed.data, np.cumsum(lengths) - lengths, lengths))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the columns and the stored bytes."""
        return {**self.columns, **self.payloads.to_arrays()}

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """Return the flows of these arrays; InputError where they are none."""
        made = cls(settings)
        payloads = Payloads.from_arrays(arrays)
        size = len(payloads)
        shapes = {name: (dtype, (size, width) if width else (size,)) for name, (dtype, width) in _COLUMNS.items()}
        made._hold({name: take_array(arrays, name, *shape).copy() for name, shape in shapes.items()}, payloads)
        made._check()
        return made

    def _check(self) -> None:
        columns, stored, settings = self.columns, self.payloads.lengths, self._settings
        require(bool((columns["priority"] == mix(columns["flow"], self._key)).all()), "priorities of flows")
        require(not np.isnan(columns["ts"]).any() and bool((columns["length"] >= 0).all()), "messages of flows")
        require(bool(((columns["direction"] >= 0) & (columns["direction"] <= 2)).all()), "directions of flows")
        require(bool(np.isin(columns["address_length"], (0, 4, 6, 16)).all()), "addresses of flows")
        require(bool((np.lexsort(_sort_keys(columns)) == np.arange(len(stored))).all()), "order of flows")
        wanted = np.where(columns["cut"] == 1, 0, np.minimum(columns["length"], self._longest))
        require(bool((stored == wanted).all()), "lengths of flows")
        verdict = _keep_first(
            columns["priority"], stored, columns["cut"], settings.sample_flows, settings.flow_messages, self.share
        )
        require(bool((verdict == 1 + columns["cut"]).all()), "flows over their cap")


def _sort_keys(columns: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """Return the sort keys, the last one first; ties of all but the last are broken by everything that is kept."""
    rest = np.zeros(len(columns["priority"]), np.uint64)
    words = np.concatenate([columns["src"], columns["dst"]], axis=1).view(np.uint64)
    numbers = [
        columns[name].astype(np.int64).view(np.uint64) for name in ("direction", "address_length", "sport", "dport")
    ]
    for word in [*words.T, *numbers]:
        rest = mix(rest ^ word, np.uint64(0x9E3779B97F4A7C15))
    return (rest, columns["content"], columns["number"], columns["capture"], columns["ts"], columns["priority"])
