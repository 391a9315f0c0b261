"""The packets of a file in their order, as many at a time as fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

from .limits import CaptureLimits
from .packets import TOO_MANY, PacketIndex, PcapWalk, damage
from .pcapng import PcapngWalk
from .source import Source

WALKS: dict[str, type[PcapWalk] | type[PcapngWalk]] = {"pcap": PcapWalk, "pcapng": PcapngWalk}


def walk_packets(source: Source, form: str, limits: CaptureLimits, most: int) -> Iterator[PacketIndex]:
    """
    Yield the index of the packets of a pcap or pcapng file in pieces of ``most`` packets.

    What was damaged or is over the limits is in the warnings of the piece before it.
    """
    data, walk, done = source.array(), WALKS[form](), 0
    while True:
        left = limits.packets - done
        index = walk.next(data, limits, min(most, left))
        done += len(index)
        ended = walk.reason != TOO_MANY or done >= limits.packets
        if ended:
            index.warnings[:0] = damage(walk.reason, done, min(walk.at, len(data)), len(data))
        yield index
        if ended:
            return
