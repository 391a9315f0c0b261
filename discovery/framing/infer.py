"""Inferring how streams are cut into messages, with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from ..spec.evidence import Evidence
from ..spec.framing import DirectedFraming, FixedFraming, Framing, LengthFraming, OneFraming, SegmentFraming
from ..streams import StreamSet
from .candidates import MIN_BITS, STRICT_SHARE, Candidate, candidates, measure, needed_share
from .cut import cut_streams
from .evidence import evidence_of, fallback, in_both
from .sampling import Run, Sample, halves, runs_in
from .score import surprise

MAGIC_STREAMS, MAGIC_MESSAGES, MIN_MAGIC_MESSAGES, MAGIC_SHARE = 256, 4096, 64, 0.95


@dataclass(frozen=True)
class Judged:
    """
    What explains some runs best.

    Attributes:
        chosen: None where that is one message a segment.
        by_turns: whether only the places counted at which the other side went on.
    """

    chosen: Candidate | None
    found: list[Candidate]
    propose: Sample
    test: Sample
    by_turns: bool = False

    @property
    def framing(self) -> OneFraming:
        """The framing."""
        return SegmentFraming() if self.chosen is None else self.chosen.framing

    @property
    def bits(self) -> float:
        """Bits by which it explains the marks."""
        return 0.0 if self.chosen is None else self.chosen.bits

    def evidence(self) -> Evidence:
        """What the streams say for and against it."""
        if self.chosen is None:
            return fallback(self.propose, self.test, self.found)
        return evidence_of(self.chosen, self.found, by_turns=self.by_turns)


def infer_framing(streams: StreamSet | Sequence[StreamSet]) -> tuple[Framing, Evidence]:
    """
    Find how streams are cut into messages.

    Length fields (offset up to 31, 1 to 4 or 8 bytes, both endians, scaled or beside other bits, any bias near the
    header or told by the segments; ASCII digits; BER, LEB128), headers of text, delimiters and fixed sizes are proposed
    on one half of the streams. Each is walked through every run from its start; it must meet the places where senders
    stopped sending far more often than borders laid at random would, pay for the size of the search, and hold on the
    other half. Where that leaves a doubt, since senders also stop inside messages, the places at which the other side
    went on are asked alone. Otherwise a segment is taken for a message. Where one framing does not hold in both
    directions, or two explain more, each direction has its own.

    Args:
        streams: the streams of one protocol, in one set or several.
    """
    sets = [streams] if isinstance(streams, StreamSet) else list(streams)
    stops, turns = runs_in(sets), runs_in(sets, turns_only=True)
    both = _judge(stops, turns)
    if {CLIENT_TO_SERVER, SERVER_TO_CLIENT} <= {run.direction for run in stops}:
        client, server = (_judge(stops, turns, way) for way in (CLIENT_TO_SERVER, SERVER_TO_CLIENT))
        if client.framing != server.framing and _differ(both, client, server):
            directed = DirectedFraming(
                client_to_server=_with_magic(client.framing, sets, CLIENT_TO_SERVER),
                server_to_client=_with_magic(server.framing, sets, SERVER_TO_CLIENT),
            )
            return directed, in_both(client.evidence(), server.evidence(), both.chosen)
    return _with_magic(both.framing, sets, None), both.evidence()


def _judge(stops: Sequence[Run], turns: Sequence[Run], way: int | None = None) -> Judged:
    """
    Judge by all places where senders stopped; where that leaves a doubt, by those where the sides took turns.

    Those are fewer and purer: what they tell must hold at nearly all of them. The ends of streams alone tell no size.

    Args:
        way: only of the runs of this direction.
    """
    stops, turns = ([run for run in runs if way in (None, run.direction)] for runs in (stops, turns))
    first = _weigh(stops)
    if _sure(first):
        return first
    second = replace(_weigh(turns), by_turns=True)
    if second.chosen is None or second.chosen.share < STRICT_SHARE:
        return first
    by_ends = isinstance(second.framing, FixedFraming) and not any(len(run.turns) for run in turns)
    return first if by_ends else second


def _sure(judged: Judged) -> bool:
    """Whether a framing meets nearly all places, and says more than that segments are of one size."""
    if judged.chosen is None or judged.chosen.share < STRICT_SHARE:
        return False
    pieces = int(judged.propose.segment.sum()) - len(judged.propose.start)  # the last of a run may be shorter
    return not isinstance(judged.framing, FixedFraming) or judged.chosen.messages < pieces


def _weigh(runs: Sequence[Run]) -> Judged:
    propose, test = halves(runs)
    found = candidates(propose, test)
    return Judged(next((c for c in found if c.survives()), None), found, propose, test)


def _differ(both: Judged, client: Judged, server: Judged) -> bool:
    """Return whether a framing for each direction explains more than one for both, which costs the search once."""
    if both.chosen is None:
        return True
    together = 0.0
    for side in (client, server):
        if side.framing == both.framing:
            together += side.bits
            continue
        for sample in (side.propose, side.test):
            hits, trials, messages = measure(both.framing, sample)
            if trials >= 4 and hits < needed_share(both.framing) * trials:
                return True
            together += surprise(hits, trials, messages, max(len(sample.data), 1))
    return client.bits + server.bits > together + MIN_BITS


def _with_magic(framing: OneFraming, sets: Sequence[StreamSet], direction: int | None) -> OneFraming:
    """Add the bytes before the length field that are the same in every message: at least two, in many messages."""
    if not isinstance(framing, LengthFraming) or framing.offset < 2:
        return framing
    fronts = []
    for streams in sets:
        part = streams.span(0, min(len(streams), MAGIC_STREAMS))
        cuts = cut_streams(part, framing)
        mine = ~cuts.partial & ~cuts.unframed
        if direction is not None:
            mine &= part.direction[cuts.stream] == direction
        whole = cuts.start[mine][:MAGIC_MESSAGES]
        fronts.append(part.data[whole[:, None] + np.arange(framing.offset)])
    front = np.concatenate(fronts)
    if len(front) < MIN_MAGIC_MESSAGES:
        return framing
    usual = np.median(front, axis=0).astype(np.uint8)
    shares = np.cumprod(front == usual, axis=1).mean(axis=0)
    # cut out of step, a few messages may begin with anything
    lenient = int((shares >= MAGIC_SHARE).sum())
    same = lenient if lenient > 2 else int((shares == 1.0).sum())
    magic = usual[: min(same, 8)].tobytes()
    return framing.model_copy(update={"magic": magic}) if same >= 2 and any(magic) else framing
