"""What inference reads: distinct messages in canonical order, and a few flows in their own order."""

from __future__ import annotations

from dataclasses import dataclass

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
