"""What inference reads: distinct messages in canonical order, and a few flows in their own order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .batch import MessageView


@dataclass(frozen=True)
class FlowSample:
    """
    Messages of the sampled flows, sorted by (flow, ts, number); duplicates are kept.

    Attributes:
        view: the messages; ``view.flow`` tells the flows apart.
        src, dst: (n, 16) uint8, address bytes left-aligned; address_length: int8, 0 where unknown, else 4, 6 or 16.
        sport, dport: int32, -1 where unknown.
    """

    view: MessageView
    src: NDArray[np.uint8]
    dst: NDArray[np.uint8]
    address_length: NDArray[np.int8]
    sport: NDArray[np.int32]
    dport: NDArray[np.int32]


@dataclass(frozen=True)
class Sample:
    """
    The messages that inference reads, the same for any order and any split of the input.

    Attributes:
        view: distinct payloads by sample priority (keyed hash of the content); ts, flow, direction, source and number
            are those of the earliest occurrence (by ts, then source, then number).
        counts: int64, occurrences of each payload in everything that was read.
        directions: (n, 3) int64, occurrences by direction.
        held_out: bool, payloads kept back from proposing (split by another keyed hash of the content).
        flows: sequences for counters, echoes and sessions.
        total: messages read in all; complete: whether every distinct payload is in the sample.
        capture_hashes: first 16 hexadecimal digits of the SHA-256 of each source, for message references.
    """

    view: MessageView
    counts: NDArray[np.int64]
    directions: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    flows: FlowSample
    total: int
    complete: bool
    capture_hashes: tuple[str, ...] = ()

    def joined(self, other: Sample) -> Sample:
        """Return this sample with the messages of another that it lacks after its own; flows and totals are its own."""
        mine = {self.view.payload(row) for row in range(len(self.view))}
        new = np.array([r for r in range(len(other.view)) if other.view.payload(r) not in mine], dtype=np.int64)
        hashes = tuple(sorted({*self.capture_hashes, *other.capture_hashes}))
        first, second = _with_captures(self, hashes), _with_captures(other, hashes).take(new)
        columns = {
            name: np.concatenate([getattr(first, name), getattr(second, name)])
            for name in ("lengths", "ts", "flow", "direction", "source", "number")
        }
        view = MessageView(
            data=np.concatenate([first.data, second.data]),
            starts=np.concatenate([first.starts, second.starts + len(first.data)]),
            **columns,
        )
        flows = replace(self.flows, view=replace(self.flows.view, source=_recode(self.flows.view, self, hashes)))
        return replace(
            self,
            view=view,
            counts=np.concatenate([self.counts, other.counts[new]]),
            directions=np.concatenate([self.directions, other.directions[new]]),
            held_out=np.concatenate([self.held_out, other.held_out[new]]),
            flows=flows,
            capture_hashes=hashes,
        )


def _with_captures(sample: Sample, hashes: tuple[str, ...]) -> MessageView:
    return replace(sample.view, source=_recode(sample.view, sample, hashes))


def _recode(view: MessageView, sample: Sample, hashes: tuple[str, ...]) -> NDArray[np.int32]:
    codes = np.array([hashes.index(h) for h in sample.capture_hashes], dtype=np.int32)
    return codes[view.source] if len(codes) else view.source
