"""What the messages of a flow, one after the other, say of a field: sequence numbers, sessions, echoed requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from ..falsification import violation_lower_bound
from ..parser import Parser
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Echo, Evidence, MessageRef
from .judge import EXAMPLES, Proposal
from .profile import WIDEST_NUMBER, _hash, _words

_FEWEST = 16  # pairs of neighbours of a flow
_FLOWS = 8
_OTHERS = 0.1  # neighbours that are no evidence: messages sent again, out of order, or of another sender
_ANSWERS = 8
_OUTSTANDING = 8  # requests of a flow that may wait for an answer
_UNASKED = 0.25  # answers whose request was not captured
_REPEATS = 4  # answers a value, of more of which it is no identifier but a kind
_SMALL = {1: 4, 2: 1 << 11}  # the largest step of so many bytes; of wider ones a 256th of their range


@dataclass(frozen=True)
class _Lane:
    """
    Leaves of one column in the sampled flows, by flow and direction, in order.

    Attributes: rows, number of the flow and direction, bytes, values and hashes; ``content`` is the message's hash.
    """

    row: NDArray[np.int64]
    lane: NDArray[np.uint64]
    length: NDArray[np.int64]
    value: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    content: NDArray[np.uint64]

    @cached_property
    def same(self) -> NDArray[np.bool_]:
        """Whether each leaf but the first follows another one of its lane, in another message of other content."""
        same: NDArray[np.bool_] = (self.lane[1:] == self.lane[:-1]) & (self.row[1:] != self.row[:-1])
        same &= self.content[1:] != self.content[:-1]
        return same


class Sequences:
    """
    The messages of the sampled flows, parsed.

    Each method returns a meaning of the fields of some symbols with its evidence, or None.
    """

    def __init__(self, parser: Parser, sample: Sample, settings: DiscoverySettings) -> None:
        self.view, self.settings, self.captures = sample.flows.view, settings, sample.capture_hashes
        parsed = parser.parse_batch(self.view)
        order = np.argsort(parsed.leaf_symbol, kind="stable")
        self.row = parsed.leaf_row[order].astype(np.int64)
        self.start = self.view.starts[self.row] + parsed.leaf_start[order]
        self.length = parsed.leaf_length[order].astype(np.int64)
        symbols = parsed.leaf_symbol[order]
        count = len(parser.symbols)
        self.first = np.searchsorted(symbols, np.arange(count + 1))
        self.type_of_row = parsed.type_index
        self.flow = self.view.flow
        self.content = _hash(self.view.data, self.view.starts, self.view.lengths)
        index = np.unique(self.flow, return_inverse=True)[1] if len(self.flow) else np.zeros(0, np.int64)
        few = not len(index) or int(index.max()) < 4
        last_quarter = np.arange(len(index)) * 4 >= 3 * len(index)
        self.held = last_quarter if few else index % 4 == 3  # by flow, or the last quarter where these are few

    def meaning(self, symbols: Sequence[int], width: int, little: bool | None) -> tuple[Proposal, Evidence] | None:
        """Return whether the fields (of ``width`` bytes) are a sequence number or a session's number."""
        if not 1 <= width <= 16 or not len(self.row):
            return None
        lane = self._lane(symbols, width)
        if len(lane.row) <= _FEWEST:
            return None
        rising = self._rising(lane, width, little) if width <= WIDEST_NUMBER else None
        return rising or self._answered(lane) or self._session(lane, width)

    def _lane(self, symbols: Sequence[int], width: int) -> _Lane:
        leaves = np.concatenate([np.arange(self.first[s], self.first[s + 1]) for s in symbols])
        leaves = leaves[(self.length[leaves] == width) & (self.flow[self.row[leaves]] != 0)]
        lanes = self.flow[self.row[leaves]] * np.uint64(3) + self.view.direction[self.row[leaves]].astype(np.uint64)
        order = np.lexsort((self.row[leaves], lanes))
        leaves, lanes = leaves[order], lanes[order]
        start, length = self.start[leaves], self.length[leaves]
        value, hashes = _words(self.view.data, start, length), _hash(self.view.data, start, length)
        return _Lane(self.row[leaves], lanes, length, value, hashes, self.content[self.row[leaves]])

    def _rising(self, lane: _Lane, width: int, little: bool | None) -> tuple[Proposal, Evidence] | None:
        """Numbers that rise by small steps from message to message of a flow and direction, in nine of ten pairs."""
        for turned in (False,) if width == 1 else (bool(little), not little):
            values = _turned(lane.value, width) if turned else lane.value
            evidence = self._rises(lane, values, width)
            if evidence is not None:
                proposal = Proposal("sequence", "counter", None, None, encoding="uint")
                if width > 1:
                    proposal.update["endianness"] = "little" if turned else "big"
                return proposal, evidence
        return None

    def _rises(self, lane: _Lane, values: NDArray[np.uint64], width: int) -> Evidence | None:
        same = lane.same
        later = lane.row[1:][same]
        if len(later) < _FEWEST or len(np.unique(values[1:][same])) < min(max(12, len(later) // 3), 96):
            return None
        rise = (values[1:] - values[:-1])[same] & np.uint64((1 << (8 * width)) - 1)
        largest = np.uint64(_SMALL.get(width, 1 << (8 * width - 8)))
        return self._evidence("sequence", later, (rise > 0) & (rise <= largest), "rises in its flow and direction")

    def _answered(self, lane: _Lane) -> tuple[Proposal, Evidence] | None:
        """Many values that answers repeat of one of the last requests of their flow; half of all messages have one."""
        if 2 * len(lane.row) < len(self.flow):
            return None
        order = np.argsort(lane.row, kind="stable")
        rows, hashes = lane.row[order], lane.hashes[order]
        repeats = np.full(len(rows), -1, np.int64)
        _repeated(self.flow[rows], self.view.direction[rows] == CLIENT_TO_SERVER, hashes, repeats)
        asked = repeats >= 0
        if len(np.unique(hashes[asked])) < max(_ANSWERS, int(asked.sum()) // _REPEATS):
            return None
        statement = "answers repeat that of a request of their flow"
        evidence = self._evidence("answered", rows[asked], repeats[asked] > 0, statement, _UNASKED)
        return (Proposal("answered", "identifier"), evidence) if evidence is not None else None

    def _session(self, lane: _Lane, width: int) -> tuple[Proposal, Evidence] | None:
        """Two bytes and more that stay in a flow and direction and differ from flow to flow."""
        same = lane.same
        fresh = np.flatnonzero(np.concatenate([[True], lane.lane[1:] != lane.lane[:-1]]))
        values = lane.hashes[fresh]
        if width < 2 or len(np.unique(self.flow[lane.row])) < _FLOWS or same.sum() < _FEWEST:
            return None
        flows = len(np.unique(self.flow[lane.row[fresh]]))
        if len(np.unique(values)) < 0.7 * flows:
            return None
        stays = (lane.hashes[1:] == lane.hashes[:-1])[same]
        evidence = self._evidence("session", lane.row[1:][same], stays, "stays in its flow, differs between flows")
        return (Proposal("session", "identifier"), evidence) if evidence is not None else None

    def _evidence(
        self, detector: str, rows: NDArray[np.int64], holds: NDArray[np.bool_], statement: str, wrong: float = _OTHERS
    ) -> Evidence | None:
        """Return the evidence of a claim about messages of flows; None where more than ``wrong`` of them refute it."""
        held = self.held[rows]
        trials, support = int((~held).sum()), int((holds & ~held).sum())
        held_trials, held_support = int(held.sum()), int((holds & held).sum())
        bound = violation_lower_bound(held_trials - held_support, held_trials, self.settings.confidence)
        if trials < _ANSWERS or trials - support > wrong * trials or bound > wrong:
            return None
        return Evidence(
            detector=detector, statement=statement, support=support, trials=trials, held_out_support=held_support,
            held_out_trials=held_trials, violation_bound=bound, epsilon=wrong,
            examples=self._references(rows[holds][:EXAMPLES]),
            counter_examples=self._references(rows[~holds][:EXAMPLES]),
        )  # fmt: skip

    def _references(self, rows: NDArray[np.int64]) -> list[MessageRef]:
        view, captures = self.view, self.captures
        return [MessageRef.at(captures[int(view.source[r])] if captures else "", int(view.number[r])) for r in rows]

    @cached_property
    def requests(self) -> dict[int, int]:
        """For each type of answers the type of messages to the server that mostly comes before it in its flow."""
        found: dict[int, int] = {}
        direction, types = self.view.direction, self.type_of_row
        rows = np.arange(len(self.flow))
        asked = np.maximum.accumulate(np.where(direction == CLIENT_TO_SERVER, rows, -1)) if len(rows) else rows
        usable = (direction == SERVER_TO_CLIENT) & (asked >= 0) & (self.flow != 0) & (types >= 0)
        usable[usable] = self.flow[asked[usable]] == self.flow[usable]
        for answer in np.unique(types[usable]):
            before = types[asked[usable & (types == answer)]]
            before = before[before >= 0]
            if len(before) >= _ANSWERS:
                found[int(answer)] = int(np.bincount(before).argmax())
        return found

    def echo(self, answer: int, request: int, constraint: Echo) -> tuple[Proposal, Evidence] | None:
        """Return whether the values of one symbol are those of the latest request before, of many values."""
        ours, asked = self._of(answer), self._of(request)
        if len(ours) < _ANSWERS or len(asked) < _ANSWERS:
            return None
        before = np.searchsorted(self.row[asked], self.row[ours]) - 1
        known = before >= 0
        known[known] = self.flow[self.row[asked[before[known]]]] == self.flow[self.row[ours[known]]]
        ours, asked = ours[known], asked[before[known]]
        hashes = [_hash(self.view.data, self.start[leaves], self.length[leaves]) for leaves in (ours, asked)]
        if len(ours) < _ANSWERS or len(np.unique(hashes[0])) < max(_ANSWERS // 2, len(ours) // 8):
            return None
        statement = f"repeats {constraint.type}.{constraint.field} of the request"
        wrong = self.settings.epsilon
        evidence = self._evidence("echo", self.row[ours], hashes[0] == hashes[1], statement, wrong)
        return (Proposal("echo", "echo", constraint), evidence) if evidence is not None else None

    def _of(self, symbol: int) -> NDArray[np.int64]:
        leaves: NDArray[np.int64] = np.arange(self.first[symbol], self.first[symbol + 1])
        found: NDArray[np.int64] = leaves[self.flow[self.row[leaves]] != 0]
        return found


def _turned(values: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    """Return numbers of so many bytes read from the other end."""
    turned: NDArray[np.uint64] = values.byteswap() >> np.uint64(64 - 8 * width)
    return turned


@njit(cache=True, nogil=True)
def _repeated(flow, asks, hashes, repeats):  # type: ignore[no-untyped-def]
    """Write for each answer whether a request before it has its value; -1 for requests, and where there was none."""
    for row in range(len(flow)):
        other, outstanding = row - 1, 0
        while not asks[row] and other >= 0 and flow[other] == flow[row] and outstanding < _OUTSTANDING:
            if asks[other]:
                outstanding += 1
                repeats[row] = max(repeats[row], np.int64(hashes[other] == hashes[row]))
            other -= 1
