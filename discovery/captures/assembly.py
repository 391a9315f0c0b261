"""From decoded packets to protocol groups: fragments joined, flows found, byte streams reassembled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .capture import ProtocolGroup
from .flows import Flows, Usage, find_flows
from .fragments import Fragments, join_fragments
from .grouping import Grouping, Traffic, group_datagrams, group_streams
from .headers import IGNORED, TCP, UDP, Packets
from .limits import CaptureLimits
from .tcp import Reassembly


@dataclass(frozen=True)
class Assembled:
    """
    What packets were put together to.

    Attributes:
        groups: those with the most packets first, then by name.
        filtered: packets that were left out since they are of other ports.
    """

    groups: list[ProtocolGroup]
    flows: Flows
    fragments: Fragments
    reassembly: Reassembly
    filtered: int


def assemble(
    data: NDArray[np.uint8], packets: Packets, time: NDArray[np.int64], port: int | None, by: Grouping,
    limits: CaptureLimits, usage: Usage | None = None, *, number: NDArray[np.int64] | None = None,
) -> Assembled:  # fmt: skip
    """
    Put packets together, in their order; ``packets`` is changed in place.

    Args:
        data: where their payloads lie. time: int64 nanoseconds. port: keep only UDP and TCP flows with this one.
        usage: of the ports by the whole capture, where these are all packets between some hosts.
        number: int64, what messages call the packets they begin in; their order where None.
    """
    fragments = join_fragments(data, packets, time)
    filtered = _filter(packets, port)
    flows = find_flows(packets, port, usage)
    places = np.arange(len(packets)) if number is None else number
    traffic = Traffic(data, fragments.extra, packets, time, places, flows)
    streams, reassembly = group_streams(traffic, by, limits.pending_segments)
    groups = sorted(group_datagrams(traffic, by) + streams, key=lambda g: (-g.packets, g.name))
    return Assembled(groups, flows, fragments, reassembly, filtered)


def _filter(packets: Packets, port: int | None) -> int:
    """Ignore what is not of the port; return how many packets that were."""
    if port is None:
        return 0
    ported = (packets["kind"] == UDP) | (packets["kind"] == TCP)
    out = ~(ported & ((packets["sport"] == port) | (packets["dport"] == port))) & (packets["kind"] != IGNORED)
    packets["kind"][out], packets["number"][out] = IGNORED, 0
    return int(out.sum())
