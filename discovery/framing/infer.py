"""Inferring how streams are cut into messages, with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.evidence import Evidence, Rival
from ..spec.framing import DelimiterFraming, FixedFraming, Framing, LengthFraming, SegmentFraming
from ..streams import StreamSet
from .cut import cut_streams
from .sampling import Sample, split_streams
from .score import BREAKS, HITS, LENGTHS, MESSAGES, REACHED, SHAPE, score_lengths, surprise

MAX_OFFSET = 32
MIN_BITS = 20.0
"""Bits that must be left when the search itself is paid for: one framing in a million by chance."""
MIN_SHARE = 0.4
"""Of the marks that a length must meet: where header and body are sent apart, half of the marks are no borders."""
ODD_SHARE = 0.65
"""The same where the bias is neither 0 nor the length of the header up to the field: it was fitted."""
STRICT_SHARE = 0.9
"""Of the marks that a delimiter must meet: it makes borders anywhere."""
SIZE_SHARE = 0.98
"""Of the marks that a size must meet: the multiples of a small number meet most of any."""
USUAL = {b"\r\n": 0.1, b"\n": 0.1, b"\r": 0.1, b"\0": 0.25}
"""Usual delimiters, and how many of their borders must be marks; of other delimiters and of sizes, half must be."""
MAX_RIVALS = 6
MAGIC_STREAMS, MAGIC_MESSAGES, MIN_MAGIC_MESSAGES = 256, 4096, 64
_WIDTH_RANK = {2: 0, 1: 2, 4: 1, 3: 3}


@dataclass(frozen=True)
class Candidate:
    """A framing with its score on the proposing sample and on the held-out one."""

    framing: Framing
    bits: float
    hits: int
    trials: int
    messages: int
    held_out_hits: int
    held_out_trials: int
    shape: int
    rank: tuple[int, ...]

    @property
    def share(self) -> float:
        """Share of the marks met on the proposing sample."""
        return self.hits / self.trials if self.trials else 0.0

    def survives(self, share: float) -> bool:
        """Whether the held-out sample does not refute it."""
        return self.held_out_trials < 4 or self.held_out_hits >= share * self.held_out_trials


def infer_framing(streams: StreamSet | Sequence[StreamSet]) -> tuple[Framing, Evidence]:
    """
    Find how streams are cut into messages.

    Length fields (offset up to 31, 1 to 4 bytes, both endians, any bias near the header or told by the segments),
    delimiters and fixed sizes are proposed on one half of the streams. Each is walked through every run from its
    start; it must meet the places where senders stopped sending far more often than borders laid at random would,
    pay for the size of the search, and hold on the other half. Otherwise a segment is taken for a message.

    Args:
        streams: the streams of one protocol, in one set or several.
    """
    sets = [streams] if isinstance(streams, StreamSet) else list(streams)
    propose, test = split_streams(sets)
    found = _lengths(propose, test) + _delimiters(propose, test) + _sizes(propose, test)
    found.sort(key=lambda c: (-c.bits, c.rank))
    chosen = next((c for c in found if c.survives(_needed_share(c.framing))), None)
    if chosen is None:
        return SegmentFraming(), _fallback(propose, test, found)
    return _with_magic(chosen.framing, sets), _evidence(chosen, found)


def _needed_share(framing: Framing) -> float:
    if isinstance(framing, LengthFraming):
        return MIN_SHARE
    return SIZE_SHARE if isinstance(framing, FixedFraming) else STRICT_SHARE


# Length fields


def _length_rules(sample: Sample) -> NDArray[np.int64]:
    """Return the hypotheses: natural biases, and those that the sizes of segments suggest."""
    starts = np.flatnonzero(sample.segment[:-1])
    sizes = np.diff(np.concatenate((starts, [len(sample.data)])))
    rules: set[tuple[int, int, int, int]] = set()
    for offset in range(MAX_OFFSET):
        usable = starts[sizes > offset + 4]
        for width in (1, 2, 3, 4):
            for big in (1, 0) if width > 1 else (1,):
                natural = {0, *range(offset + width - 2, offset + width + 9)}
                suggested = _suggested(sample.data, usable, sizes[sizes > offset + 4], (offset, width, big))
                rules.update((offset, width, big, bias) for bias in natural | suggested)
    return np.array(sorted(rules), np.int64).reshape(-1, 4)


def _suggested(
    data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64], field: tuple[int, int, int]
) -> set[int]:
    """Return the biases that make the field of most segments tell the segment's size."""
    offset, width, big = field
    value = np.zeros(len(starts), np.int64)
    for i in range(width):
        shift = 8 * (width - 1 - i if big else i)
        value |= data[starts + offset + i].astype(np.int64) << shift
    bias, count = np.unique(sizes - value, return_counts=True)
    near = (np.abs(bias) <= 4096) & (count >= 3)
    order = np.lexsort((bias[near], -count[near]))[:3]
    return {int(b) for b in bias[near][order]}


def _lengths(propose: Sample, test: Sample) -> list[Candidate]:
    """Return the length framings that pass, those that cut alike reduced to the most natural one."""
    if not propose.trials:
        return []
    rules = _length_rules(propose)
    scores = score_lengths(propose, rules)
    price = float(np.log2(len(rules)))
    size = len(propose.data)
    kept: dict[int, list[int]] = {}
    for index in np.flatnonzero(_plausible(rules, scores)).tolist():
        kept.setdefault(int(scores[index, SHAPE]), []).append(index)
    found = []
    for shape, alike in kept.items():
        index = min(alike, key=lambda i: _rank(rules[i]))
        hits, trials, messages = (int(scores[index, column]) for column in (HITS, REACHED, MESSAGES))
        bits = surprise(hits, trials, messages, size) - price
        if bits >= MIN_BITS:
            held = score_lengths(test, rules[index : index + 1])[0]
            against = (int(held[HITS]), int(held[REACHED]))
            framing, rank = _length_framing(rules[index]), _rank(rules[index])
            found.append(Candidate(framing, bits, hits, trials, messages, *against, shape, rank))
    return found


def _plausible(rules: NDArray[np.int64], scores: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell the hypotheses that meet enough marks with lengths that vary; an odd bias must tell more lengths apart."""
    distinct = np.array([int(bits).bit_count() for bits in scores[:, LENGTHS].astype(np.uint64)], np.int64)
    natural = (rules[:, 3] == 0) | (rules[:, 3] == rules[:, 0] + rules[:, 1])
    enough: NDArray[np.bool_] = distinct >= np.where(natural, 2, 4)
    enough &= scores[:, HITS] >= np.where(natural, MIN_SHARE, ODD_SHARE) * scores[:, REACHED]
    enough &= scores[:, BREAKS] * 4 <= scores[:, MESSAGES]
    return enough & (scores[:, HITS] > 0)


def _rank(rule: NDArray[np.int64]) -> tuple[int, ...]:
    """Order framings that cut alike: natural biases, then a long field at the very front, then the usual widths."""
    offset, width, big, bias = (int(value) for value in rule)
    natural = 0 if bias == 0 or bias == offset + width else 1
    return (natural, 0 if offset == 0 and width == 4 else 1, _WIDTH_RANK[width], offset, 1 - big, abs(bias), bias)


def _length_framing(rule: NDArray[np.int64]) -> LengthFraming:
    offset, width, big, bias = (int(value) for value in rule)
    return LengthFraming(offset=offset, width=width, endianness="big" if big else "little", scale=1, bias=bias)


def _with_magic(framing: Framing, sets: Sequence[StreamSet]) -> Framing:
    """Add the bytes before the length field that are the same in every message: at least two, in many messages."""
    if not isinstance(framing, LengthFraming) or framing.offset < 2:
        return framing
    fronts = []
    for streams in sets:
        part = streams.span(0, min(len(streams), MAGIC_STREAMS))
        cuts = cut_streams(part, framing)
        whole = cuts.start[~cuts.partial & ~cuts.unframed][:MAGIC_MESSAGES]
        fronts.append(part.data[whole[:, None] + np.arange(framing.offset)])
    front = np.concatenate(fronts)
    if len(front) < MIN_MAGIC_MESSAGES:
        return framing
    same = int(np.cumprod((front == front[0]).all(axis=0)).sum())
    magic = front[0][: min(same, 8)].tobytes()
    return framing.model_copy(update={"magic": magic}) if same >= 2 and any(magic) else framing


# Delimiters and sizes


def _delimiters(propose: Sample, test: Sample) -> list[Candidate]:
    found = []
    proposals = _delimiter_proposals(propose)
    price = 16.0 + float(np.log2(max(len(proposals), 1)))  # two bytes were chosen
    for rank, delimiter in enumerate(proposals):
        candidate = _bordered(DelimiterFraming(delimiter=delimiter), propose, test, price, (8, rank))
        if candidate.hits >= USUAL.get(delimiter, 0.5) * candidate.messages and _passes(candidate):
            found.append(candidate)
    if found and found[0].framing == DelimiterFraming(delimiter=b"\r\n"):
        return [c for c in found if c is found[0] or c.messages > 1.25 * found[0].messages]  # its parts cut alike
    return found


def _passes(candidate: Candidate) -> bool:
    return candidate.share >= _needed_share(candidate.framing) and candidate.bits >= MIN_BITS


def _delimiter_proposals(sample: Sample) -> list[bytes]:
    """Return the usual delimiters and the bytes that most often stand before a mark, longer ones first."""
    ends = np.flatnonzero(sample.mark)
    proposals = [b"\r\n", b"\n", b"\r", b"\0"]
    for size in (2, 1):
        tails = [sample.data[end - size : end].tobytes() for end in ends.tolist() if end >= size]
        if tails:
            values, counts = np.unique(np.array(tails, f"V{size}"), return_counts=True)
            best = int(np.argmax(counts))
            if counts[best] >= STRICT_SHARE * len(ends):
                proposals.append(values[best].tobytes())
    return list(dict.fromkeys(proposals))


def _sizes(propose: Sample, test: Sample) -> list[Candidate]:
    """Propose sizes that divide the distances between marks."""
    starts = np.flatnonzero(propose.segment[:-1])
    distances = np.diff(np.concatenate((starts, [len(propose.data)])))
    if len(distances) < 4:
        return []
    common = int(np.gcd.reduce(distances))
    values, counts = np.unique(distances, return_counts=True)
    proposals = dict.fromkeys(int(v) for v in (common, values[np.argmax(counts)]) if 1 < v <= 1 << 16)
    found = []
    for rank, size in enumerate(proposals):
        candidate = _bordered(FixedFraming(size=size), propose, test, 16.0, (9, rank))
        if candidate.hits * 2 >= candidate.messages and _passes(candidate):
            found.append(candidate)
    return found


def _borders(framing: Framing, sample: Sample) -> NDArray[np.bool_]:
    """Return where messages end, per byte of the sample plus one."""
    border = np.zeros(len(sample.data) + 1, np.bool_)
    if isinstance(framing, DelimiterFraming):
        wanted = np.frombuffer(framing.delimiter, np.uint8)
        match = np.ones(max(len(sample.data) - len(wanted) + 1, 0), np.bool_)
        for i, byte in enumerate(wanted):
            match &= sample.data[i : len(match) + i] == byte
        border[np.flatnonzero(match) + len(wanted)] = True
    elif isinstance(framing, FixedFraming):
        for start, end in zip(sample.start.tolist(), sample.end.tolist(), strict=True):
            border[start + framing.size : end + 1 : framing.size] = True
    return border


def _bordered(framing: Framing, propose: Sample, test: Sample, price: float, rank: tuple[int, ...]) -> Candidate:
    border, held = _borders(framing, propose), _borders(framing, test)
    hits, messages = int((border & (propose.mark == 1)).sum()), int(border.sum())
    held_hits = int((held & (test.mark == 1)).sum())
    bits = surprise(hits, propose.trials, messages, max(len(propose.data), 1)) - price
    return Candidate(framing, bits, hits, propose.trials, messages, held_hits, test.trials, messages, rank)


# Evidence


def describe(framing: Framing) -> str:
    """Return a framing in words."""
    if isinstance(framing, LengthFraming):
        order = "" if framing.width == 1 else f" {framing.endianness}-endian"
        bias = f" {'+' if framing.bias > 0 else '-'} {abs(framing.bias)}" if framing.bias else ""
        return f"u{8 * framing.width}{order} at {framing.offset}{bias} is the length of the message"
    if isinstance(framing, DelimiterFraming):
        return f"messages end with {framing.delimiter.hex(' ')}"
    if isinstance(framing, FixedFraming):
        return f"messages have {framing.size} bytes"
    return "one message a segment"


def _evidence(chosen: Candidate, found: list[Candidate]) -> Evidence:
    rivals = [_rival(candidate, chosen) for candidate in found if candidate is not chosen][:MAX_RIVALS]
    return Evidence(
        detector=f"framing.{chosen.framing.kind}",
        statement=describe(chosen.framing),
        support=chosen.hits,
        trials=chosen.trials,
        held_out_support=chosen.held_out_hits,
        held_out_trials=chosen.held_out_trials,
        bits_saved=chosen.bits,
        rivals=rivals,
    )


def _rival(candidate: Candidate, chosen: Candidate) -> Rival:
    if candidate.bits > chosen.bits:
        reason = f"refuted: meets {candidate.held_out_hits} of {candidate.held_out_trials} held-out places"
    else:
        reason = f"explains less: {candidate.bits:.0f} bits against {chosen.bits:.0f}"
    return Rival(claim=describe(candidate.framing), reason=reason, support=candidate.hits, trials=candidate.trials)


def _fallback(propose: Sample, test: Sample, found: list[Candidate]) -> Evidence:
    return Evidence(
        detector="framing.segment",
        statement="one message a segment: no length, delimiter or size explains where the senders stopped",
        support=int(propose.segment.sum()),
        trials=int(propose.segment.sum()),
        held_out_support=int(test.segment.sum()),
        held_out_trials=int(test.segment.sum()),
        rivals=[
            Rival(
                claim=describe(c.framing),
                reason=f"refuted: meets {c.held_out_hits} of {c.held_out_trials} held-out places",
                support=c.hits,
                trials=c.trials,
            )
            for c in found[:MAX_RIVALS]
        ],
    )
