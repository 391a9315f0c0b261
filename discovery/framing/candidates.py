"""Framings weighed: how well each explains where the senders stopped, in proposing and in held-out streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from ..spec.framing import DelimiterFraming, FixedFraming, HeaderFraming, LengthFraming, OneFraming
from .cut import delimited
from .hypotheses import LINE_ENDS, USUAL_DELIMITERS, delimiters, fixed_sizes, headers, length_framing, length_rules
from .sampling import Sample
from .score import BREAKS, HITS, LENGTHS, LOST, MESSAGES, REACHED, SHAPE, score_lengths, score_rule, surprise
from .sizes import BIAS, DECIMAL, ENCODING, HEX, MASK, OFFSET, SCALE, UINT, WIDTH, rule_of

MIN_BITS = 20.0
"""Bits that must be left when the search itself is paid for: one framing in a million by chance."""
MIN_SHARE = 0.4
"""Of the marks that a length must meet: where header and body are sent apart, half of the marks are no borders."""
ODD_SHARE = 0.65
"""The same where the bias is neither 0 nor the length of the header up to the field: it was fitted."""
FITTED_SHARE = 0.9
"""The same where the number is scaled or shares its bytes."""
STRICT_SHARE = 0.9
"""Of the marks that a delimiter must meet: it makes borders anywhere."""
SIZE_SHARE = 0.98
"""Of the marks that a size must meet: the multiples of a small number meet most of any."""
LINE_SHARE, WHOLE_SHARE = 0.34, 0.9
"""Of the borders that line ends, and other delimiters and sizes, make, how many must be marks."""
ALONE_SHARE, BEGINNING, PRIORS = 0.1, 4, (0.02, 0.5, 8.0, 128.0)
"""Fewer will do where so many messages at marks are alone, and for so many bytes those inside begin as they do."""
ALIKE = 3  # of the framings that cut as the chosen one does, those that are told
_WIDTH_RANK = {2: 0, 1: 2, 4: 1, 3: 3, 8: 4}


@dataclass(frozen=True)
class Candidate:
    """
    A framing with its score on the proposing sample and on the held-out one.

    Attributes:
        alike: framings that cut the proposing sample in the same places.
    """

    framing: OneFraming
    bits: float
    hits: int
    trials: int
    messages: int
    held_out_hits: int
    held_out_trials: int
    rank: tuple[int, ...]
    alike: list[OneFraming] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of the marks met on the proposing sample."""
        return self.hits / self.trials if self.trials else 0.0

    def survives(self) -> bool:
        """Whether the held-out sample does not refute it."""
        return self.held_out_trials < 4 or self.held_out_hits >= needed_share(self.framing) * self.held_out_trials


def needed_share(framing: OneFraming) -> float:
    """Return the share of the marks that a framing of its kind must meet."""
    if isinstance(framing, DelimiterFraming):
        return STRICT_SHARE
    return SIZE_SHARE if isinstance(framing, FixedFraming) else MIN_SHARE


def candidates(propose: Sample, test: Sample) -> list[Candidate]:
    """Return the framings that explain the proposing sample, the best first."""
    found = _lengths(propose, test) + _headers(propose, test) + _delimiters(propose, test) + _sizes(propose, test)
    return sorted(found, key=lambda c: (-c.bits, c.rank))


def measure(framing: OneFraming, sample: Sample) -> tuple[int, int, int]:
    """Return the marks that a framing meets, the marks that there are, and the messages that it makes."""
    if isinstance(framing, (LengthFraming, HeaderFraming)):
        score = score_rule(sample, rule_of(framing))
        return int(score[HITS]), int(score[REACHED]), int(score[MESSAGES])
    border = _borders(framing, sample)
    return int((border & (sample.mark == 1)).sum()), sample.trials, int(border.sum())


def _weighed(framing: OneFraming, propose: Sample, test: Sample, price: float, rank: tuple[int, ...]) -> Candidate:
    hits, trials, messages = measure(framing, propose)
    held_hits, held_trials, held_messages = measure(framing, test)
    bits = surprise(hits, trials, messages, max(len(propose.data), 1)) - price
    bits += surprise(held_hits, held_trials, held_messages, max(len(test.data), 1))
    return Candidate(framing, bits, hits, trials, messages, held_hits, held_trials, rank)


def _passes(candidate: Candidate) -> bool:
    return candidate.share >= needed_share(candidate.framing) and candidate.bits >= MIN_BITS


# Length fields


def _lengths(propose: Sample, test: Sample) -> list[Candidate]:
    """Return the length framings that pass, those that cut alike reduced to the most natural one."""
    if not propose.trials:
        return []
    rules = length_rules(propose)
    scores = score_lengths(propose, rules)
    prices = _prices(rules)
    kept: dict[int, list[int]] = {}
    for index in np.flatnonzero(_plausible(rules, scores)).tolist():
        kept.setdefault(int(scores[index, SHAPE]), []).append(index)
    found = []
    for alike in kept.values():
        alike.sort(key=lambda i: _rank(rules[i]))
        price = float(prices[alike[0]])
        hits, trials, messages = (int(scores[alike[0], column]) for column in (HITS, REACHED, MESSAGES))
        if surprise(hits, trials, messages, len(propose.data)) >= price:
            framings = [length_framing(rules[i]) for i in alike[: ALIKE + 1]]
            candidate = _weighed(framings[0], propose, test, price, _rank(rules[alike[0]]))
            candidate.alike.extend(framings[1:])
            found.append(candidate)
    return [candidate for candidate in found if candidate.bits >= MIN_BITS]


def _prices(rules: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the bits that it takes to name each rule: fewer of natural ones near the front (Rissanen 1983)."""
    bits = 2.0 + 2 * np.log2(rules[:, OFFSET] + 1.0) + np.log2(np.where(rules[:, WIDTH] > 1, 4, 2))
    bits += np.where(rules[:, ENCODING] == UINT, 1, 2) + np.where(_natural(rules), 1, 7)
    bits += np.where(rules[:, SCALE] == 1, 1, 4) + np.where(rules[:, MASK] < 0, 1, 4)
    return np.asarray(np.round(bits * 256) / 256)


def _natural(rules: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell the biases that need no fitting: of the whole message, or of what follows the field."""
    head = np.where(rules[:, ENCODING] <= HEX, rules[:, OFFSET] + rules[:, WIDTH], 0)
    return np.asarray((rules[:, BIAS] == 0) | (rules[:, BIAS] == head))


def _plausible(rules: NDArray[np.int64], scores: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell the hypotheses that meet enough marks with lengths that vary; a fitted one must tell more lengths apart."""
    distinct = np.array([int(bits).bit_count() for bits in scores[:, LENGTHS].astype(np.uint64)], np.int64)
    fitted = (rules[:, SCALE] != 1) | (rules[:, MASK] >= 0)
    odd = ~_natural(rules)
    share = np.where(fitted, FITTED_SHARE, np.where(odd, ODD_SHARE, MIN_SHARE))
    enough: NDArray[np.bool_] = distinct >= np.where(fitted | odd, 4, 2)
    enough &= scores[:, HITS] >= share * scores[:, REACHED]
    enough &= scores[:, LOST] * 20 <= scores[:, MESSAGES]
    enough &= scores[:, BREAKS] * 2 <= scores[:, MESSAGES]
    return enough & (scores[:, HITS] > 0)


def _rank(rule: NDArray[np.int64]) -> tuple[int, ...]:
    """Order framings that cut alike: natural biases, then a long field at the very front, then the usual widths."""
    offset, width, big, scale, bias, mask, encoding = (int(value) for value in rule)
    natural = int(not _natural(rule.reshape(1, -1))[0])
    usual = -width if encoding in (DECIMAL, HEX) else _WIDTH_RANK.get(width, 5)
    masked = 0 if mask < 0 else 8 * width - mask.bit_length()
    front = int((offset, width, scale) != (0, 4, 1) or encoding not in (UINT, HEX))
    return (natural, front, scale, int(encoding != UINT), masked, usual, offset, 1 - big, abs(bias), bias, encoding)


# Delimiters, sizes and text headers


def _headers(propose: Sample, test: Sample) -> list[Candidate]:
    proposals = headers(propose)
    price = 16.0 + float(np.log2(max(len(proposals), 1)))
    framings = [HeaderFraming(end=end, name=name) for end, name in proposals]
    weighed = [_weighed(framing, propose, test, price, (7, rank)) for rank, framing in enumerate(framings)]
    return [candidate for candidate in weighed if _passes(candidate)]


def _delimiters(propose: Sample, test: Sample) -> list[Candidate]:
    proposals = delimiters(propose)
    price = 16.0 + float(np.log2(max(len(proposals), 1)))  # two bytes were chosen
    weigh = partial(_weighed, propose=propose, test=test, price=price)
    found = []
    for rank, delimiter in enumerate(proposals):
        if _before(delimiter, propose, np.flatnonzero(propose.mark)) >= STRICT_SHARE:
            framings = [DelimiterFraming(delimiter=delimiter), *_opened(delimiter, propose)]
            weighed = [weigh(framing, rank=(8, rank, place)) for place, framing in enumerate(framings)]
            found += [c for c in weighed if _sent_whole(c, propose, test) and _passes(c)]
    return _without_parts(found)


def _without_parts(found: list[Candidate]) -> list[Candidate]:
    """Leave out the parts of CR LF where they cut alike."""
    if not found or found[0].framing != DelimiterFraming(delimiter=b"\r\n"):
        return found
    parts = (DelimiterFraming(delimiter=b"\r"), DelimiterFraming(delimiter=b"\n"))
    return [c for c in found if c.framing not in parts or c.messages > 1.25 * found[0].messages]


def _opened(delimiter: bytes, sample: Sample) -> list[DelimiterFraming]:
    """Return the framing with the delimiter on both sides, where two ever stand together."""
    if delimiter in USUAL_DELIMITERS or delimiter + delimiter not in sample.data.tobytes():
        return []
    return [DelimiterFraming(delimiter=delimiter, opening=delimiter)]


def _sent_whole(candidate: Candidate, propose: Sample, test: Sample) -> bool:
    """Whether enough of the messages are sent alone, or those inside a segment are like those that begin one."""
    line = isinstance(candidate.framing, DelimiterFraming) and candidate.framing.delimiter in LINE_ENDS
    if candidate.hits >= (LINE_SHARE if line else WHOLE_SHARE) * candidate.messages:
        return True
    if candidate.trials == int(propose.closed.sum()):
        return _lines(candidate.framing, propose)
    return not line and all(_begin_alike(_borders(candidate.framing, part), part) for part in (propose, test))


def _lines(framing: OneFraming, sample: Sample) -> bool:
    """Whether it cuts into lines what was sent in several pieces without regard to them."""
    inner = sample.segment == 1
    inner[sample.start] = inner[-1] = False
    pieces = np.flatnonzero(inner)
    if not isinstance(framing, DelimiterFraming) or framing.delimiter not in LINE_ENDS:
        return False
    return len(pieces) >= len(sample.start) and _before(framing.delimiter, sample, pieces) < MIN_SHARE


def _begin_alike(border: NDArray[np.bool_], sample: Sample) -> bool:
    """
    Whether messages inside a segment begin as those at a mark do, and some stand between two marks.

    None of the first bytes of both may refute that they are drawn from one distribution: parts of a message seldom
    begin as messages do.
    """
    mark = sample.mark == 1
    mark[sample.start] = True
    begins = np.flatnonzero(border[:-1] | (sample.segment[:-1] == 1) & mark[:-1])
    outer = mark[begins]
    alone = int((outer[:-1] & outer[1:]).sum())
    if alone < ALONE_SHARE * int(outer.sum()):
        return False
    for byte in range(BEGINNING):
        values = sample.data[np.minimum(begins + byte, len(sample.data) - 1)]
        if not _one_source(*(np.bincount(values[side], minlength=256) for side in (outer, ~outer))):
            return False
    return True


def _one_source(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Whether two counts do not refute, a hundred to one, that they are of one distribution (Dirichlet marginals)."""
    prior = max(PRIORS, key=lambda weight: _marginal(a + b, weight))
    return _marginal(a + b, prior) - _marginal(a, prior) - _marginal(b, prior) > -log(100)


def _marginal(counts: NDArray[np.int64], prior: float) -> float:
    """Return the logarithm of the likelihood of counts under all distributions, by a symmetric Dirichlet prior."""
    whole = prior * len(counts)
    inner = sum(lgamma(prior + count) - lgamma(prior) for count in counts[counts > 0].tolist())
    return round((lgamma(whole) - lgamma(whole + int(counts.sum())) + inner) * 256) / 256


def _before(delimiter: bytes, sample: Sample, ends: NDArray[np.int64]) -> float:
    """Return the share of places that a delimiter stands right before."""
    ends = ends[ends >= len(delimiter)]
    if not len(ends):
        return 0.0
    tails = sample.data[ends[:, None] - np.arange(len(delimiter), 0, -1)]
    return float((tails == np.frombuffer(delimiter, np.uint8)).all(axis=1).mean())


def _sizes(propose: Sample, test: Sample) -> list[Candidate]:
    sizes = enumerate(fixed_sizes(propose))
    weighed = [
        _weighed(FixedFraming(size=size), propose, test, 2.0 + 2 * size.bit_length(), (9, rank)) for rank, size in sizes
    ]
    return [c for c in weighed if _sent_whole(c, propose, test) and _passes(c)]


def _borders(framing: OneFraming, sample: Sample) -> NDArray[np.bool_]:
    """Return where messages end, per byte of the sample plus one."""
    border = np.zeros(len(sample.data) + 1, np.bool_)
    if isinstance(framing, DelimiterFraming):
        border[delimited(sample.data, sample.start, sample.end, framing)] = True
    elif isinstance(framing, FixedFraming):
        for start, end in zip(sample.start.tolist(), sample.end.tolist(), strict=True):
            border[start + framing.size : end + 1 : framing.size] = True
    return border
