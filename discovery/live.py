"""
Messages of a capture that goes on: packets come in steps, and each message is given once, when it is complete.

What is not decided yet is carried from step to step as packets: bytes of streams that end within a message, segments
behind a gap, fragments, and of each flow one empty packet a side, by which it is known again. Sides and framing are
decided from the first step. The same steps give the same messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .batch import IN_STREAM, PART_BITS, MessageBatch
from .capture_set import Asked, Decided, decide
from .captures.assembly import assemble
from .captures.flows import ACK, SYN, Flows
from .captures.headers import FRAGMENT, FRAGMENT_LOST, TCP, Packets
from .captures.messages import stream_messages
from .captures.packed import Packed
from .errors import NotFoundError
from .framing import Cuts, cut_streams
from .orchestrator import Known
from .spec.framing import SegmentFraming
from .streams import StreamSet

HELD = 4  # messages at the end of a stream that wait for those after them, which may show that they are out of step
MOST_FLOWS = 1 << 16  # that are known again; those that were seen first are forgotten first
MOST_FRAGMENTS = 1 << 12
MOST_CARRIED = 1 << 24  # bytes of a stream that wait for the end of their message


class Step(IntEnum):
    """What is given at a step: what the packets after it cannot change, all that is whole, or everything."""

    GO_ON = 0
    PAUSE = 1
    END = 2


@dataclass(frozen=True)
class _Taken:
    """
    What a step takes of a stream set.

    Attributes:
        cuts: its messages. left: int64, by stream how many bytes at its end stay for later.
    """

    streams: StreamSet
    cuts: Cuts
    left: NDArray[np.int64]


class LiveEdge:
    """
    Takes packets as they come, and gives messages.

    Attributes:
        known: the protocol, as soon as packets of it were seen.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._decided: Decided | None = None
        self._carried = Packed.concatenate([])
        self._begun = np.zeros(0, np.int64)  # messages that began in each carried packet and were given
        self.known: Known | None = None

    def take(self, packets: Packed, step: Step = Step.GO_ON) -> dict[int, MessageBatch]:
        """
        Return the messages that are complete with these packets, by file and in order of capture.

        Raises:
            NotFoundError: the first packets are of several protocols, and none was asked for.
        """
        whole = Packed.concatenate([self._carried, packets])
        begun = np.concatenate((self._begun, np.zeros(len(packets), np.int64)))
        if not self._decide(whole):
            self._carried, self._begun = whole, begun
            return {}
        assert self._decided is not None and self.known is not None
        kept, asked = whole.packets.copy(), self._asked  # joined fragments are changed
        usage = self._decided.usage
        found = assemble(whole.data, whole.packets, whole.time, asked.port, asked.by, asked.limits, usage)
        fragments = np.flatnonzero((kept["kind"] == FRAGMENT) & (whole.packets["number"] == FRAGMENT_LOST))
        group = next((group for group in found.groups if group.name == self.known.protocol), None)
        taken = _take(group.streams, self.known, step) if group is not None and group.stream else None
        if taken is not None:
            batch = _numbered(stream_messages(taken.streams, taken.cuts), begun)
        else:
            batch = MessageBatch.from_payloads([]) if group is None else group.batch
        before = Packed(kept, whole.time, whole.file, whole.row, whole.data)
        self._carry(before, begun, found.flows, taken, fragments[-MOST_FRAGMENTS:])
        return whole.placed(batch) if len(batch) else {}

    def _decide(self, whole: Packed) -> bool:
        """Decide on the protocol where that is not done yet; return whether it is."""
        if self.known is not None:
            return True
        decided = decide(whole, self._asked)
        if len(decided.known) > 1:
            hint = f"name one of: {', '.join(list(decided.known)[:12])}"
            raise NotFoundError(f"there are {len(decided.known)} protocols", hint=hint)
        if not decided.known:
            return False
        self._decided, self.known = decided, next(iter(decided.known.values()))
        return True

    def _carry(
        self, whole: Packed, begun: NDArray[np.int64], flows: Flows, taken: _Taken | None,
        fragments: NDArray[np.int64],
    ) -> None:  # fmt: skip
        expected = _first_numbers(whole.packets, flows)
        rows = [fragments]
        if taken is not None:
            np.add.at(begun, _packets_of(taken), 1)
            for stream in range(len(taken.streams)):
                rows.append(_unused(whole.packets, taken, stream, flows, expected))
        data = np.concatenate(rows)
        heads = _heads(whole.packets, flows, expected)
        chosen, head = np.concatenate((heads, data)), np.arange(len(heads) + len(data)) < len(heads)
        # Flow by flow, since a connection on ports that are used again takes what comes after its first packet.
        order = np.lexsort((np.where(head, 0, chosen), ~head, flows.of[chosen]))
        chosen, head = chosen[order], head[order]
        self._carried = whole.take(chosen)
        self._carried.packets[head] = _emptied(self._carried.packets[head], flows, chosen[head], expected)
        self._begun = np.where(head, 0, begun[chosen])


def _take(streams: StreamSet, known: Known, step: Step) -> _Taken:
    """Decide how far each stream is taken."""
    cuts = cut_streams(streams, known.framing)
    ends = cuts.start + cuts.length
    held = 0 if step is not Step.GO_ON or isinstance(known.framing, SegmentFraming) else HELD
    firsts = np.searchsorted(cuts.stream, np.arange(len(streams) + 1)).tolist()
    chosen, left = np.zeros(len(cuts), np.bool_), np.zeros(len(streams), np.int64)
    for stream, (a, b) in enumerate(pairwise(firsts)):
        end = int(streams.bounds[stream + 1])
        stop = _first_gap(streams, stream) if step is Step.GO_ON else end
        count = int(np.searchsorted(ends[a:b], stop, side="right"))
        if step is not Step.END:
            count = max(_whole(cuts, a, count) - held, 0)
        taken_to = int(ends[a + count - 1]) if count else int(streams.bounds[stream])
        if end - taken_to > MOST_CARRIED:
            count, taken_to = b - a, end
        chosen[a : a + count] = True
        left[stream] = end - taken_to
    mine = Cuts(*(getattr(cuts, name)[chosen] for name in ("start", "length", "stream", "partial", "unframed")))
    return _Taken(streams, mine, left)


def _whole(cuts: Cuts, first: int, count: int) -> int:
    """Return how many of so many messages there are without the last where it is cut."""
    return count - int(count > 0 and bool(cuts.partial[first + count - 1]))


def _first_gap(streams: StreamSet, stream: int) -> int:
    """Return where the first segment lies before which bytes are missing, or the end of the stream."""
    a, b = int(streams.segment_bounds[stream]), int(streams.segment_bounds[stream + 1])
    gaps = np.flatnonzero(streams.segment_gap[a:b])
    return int(streams.segment_start[a + gaps[0]]) if len(gaps) else int(streams.bounds[stream + 1])


def _packets_of(taken: _Taken) -> NDArray[np.int64]:
    """Return in which packet each message begins."""
    streams = taken.streams
    segment = np.searchsorted(streams.segment_start, taken.cuts.start, side="right") - 1
    return streams.segment_number[segment]


def _numbered(batch: MessageBatch, begun: NDArray[np.int64]) -> MessageBatch:
    """Count on where messages that begin in a packet were given at an earlier step."""
    number = batch.view().number
    packet, part = (number ^ IN_STREAM) >> PART_BITS, number & ((1 << PART_BITS) - 1)
    part = np.minimum(part + begun[packet], (1 << PART_BITS) - 1)
    column = batch.table.schema.get_field_index("number")
    numbers = pa.array(IN_STREAM | (packet << PART_BITS) | part)
    return MessageBatch(batch.table.set_column(column, "number", numbers))


def _first(packets: Packets) -> NDArray[np.uint32]:
    """Return the sequence number of the first byte that a TCP packet carries, or would carry."""
    first: NDArray[np.uint32] = packets["seq"] + ((packets["control"] & SYN) != 0).astype(np.uint32)
    return first


def _first_numbers(packets: Packets, flows: Flows) -> NDArray[np.int64]:
    """Return by flow and side (2 * flow + side) the number of its first byte here, -1 where it sent no packet."""
    expected = np.full(2 * len(flows.hash), -1, np.int64)
    rows = np.flatnonzero(flows.of >= 0)[::-1]
    expected[2 * flows.of[rows] + flows.side[rows]] = _first(packets[rows])  # the first row is written last
    return expected


def _unused(
    packets: Packets, taken: _Taken, stream: int, flows: Flows, expected: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the packets whose bytes stay for later, the first of them cut to those; note where to go on."""
    streams = taken.streams
    a, b = int(streams.segment_bounds[stream]), int(streams.segment_bounds[stream + 1])
    begin = int(streams.bounds[stream + 1] - taken.left[stream])
    segment = a + int(np.searchsorted(streams.segment_start[a:b], begin, side="right")) - 1 if taken.left[stream] else b
    row = int(streams.segment_number[a])
    side = 2 * int(flows.of[row]) + int(flows.side[row])
    if segment < b and begin > streams.segment_start[segment]:
        end = int(streams.segment_start[segment + 1]) if segment + 1 < b else int(streams.bounds[stream + 1])
        packet = packets[int(streams.segment_number[segment])]
        shift = int(packet["stop"] - packet["at"]) - (end - begin)
        packet["seq"] = np.uint32((int(_first(packet)) + shift) & 0xFFFFFFFF)
        packet["control"] &= ~SYN & 0xFF
        packet["at"] += shift
        expected[side] = int(packet["seq"])
    elif segment > a:
        packet = packets[int(streams.segment_number[segment - 1])]
        expected[side] = (int(_first(packet)) + int(packet["wire"] - packet["at"])) & 0xFFFFFFFF
    rows: NDArray[np.int64] = np.unique(streams.segment_number[segment:b])
    return rows


def _heads(packets: Packets, flows: Flows, expected: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a packet of each side of each flow, in order of flows, the client's first; of those without TCP, one."""
    known = np.flatnonzero(flows.of >= 0)
    row = np.full(len(expected), -1, np.int64)
    row[2 * flows.of[known][::-1] + flows.side[known][::-1]] = known[::-1]
    client = 2 * np.arange(len(flows.hash)) + flows.client
    tcp = packets["kind"][flows.first] == TCP
    pairs = np.stack((np.where(tcp, row[client], flows.first), np.where(tcp, row[client ^ 1], -1)), axis=1)
    heads = pairs[-MOST_FLOWS:].reshape(-1)
    return heads[heads >= 0]


def _emptied(heads: Packets, flows: Flows, rows: NDArray[np.int64], expected: NDArray[np.int64]) -> Packets:
    """Return the packets by which flows are known again, without bytes; the client's opens its connection."""
    heads["stop"] = heads["wire"] = heads["at"]
    tcp = heads["kind"] == TCP
    side = 2 * flows.of[rows] + flows.side[rows]
    client = flows.side[rows] == flows.client[flows.of[rows]]
    heads["seq"][tcp] = ((expected[side] - 1) & 0xFFFFFFFF).astype(np.uint32)[tcp]
    heads["ack"][tcp] = (np.maximum(expected[side ^ 1], 0) & 0xFFFFFFFF).astype(np.uint32)[tcp]
    answered = expected[side ^ 1] >= 0
    heads["control"][tcp] = np.where(client, SYN, np.where(answered, SYN | ACK, 0))[tcp]
    return heads
