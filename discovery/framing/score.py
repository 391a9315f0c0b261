"""How well hypotheses of framing explain the marks of a sample."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .sampling import Sample
from .sizes import COLUMNS, INNER, MAX_MESSAGE, Rule, size_at

MESSAGES, HITS, BREAKS, REACHED, LENGTHS, SHAPE, LOST = range(7)
"""
Columns of a score: messages, marks met, absurd lengths, marks passed, set of lengths (bits), hash of borders, and
absurd lengths that are neither the first nor in the last segment of a run: there a greeting or a cut may explain them.
"""
_RESTARTS = 4


@njit(**INNER)
def _next_segment(segment, at, end):  # type: ignore[no-untyped-def]
    at += 1
    while at < end and not segment[at]:
        at += 1
    return at


@njit(**INNER)
def _walk_run(data, begin, end, closed, mark, segment, rule, stop, name, greeting, score):  # type: ignore[no-untyped-def]
    """Walk one run; after an absurd length go on behind the greeting, or at the next segment, a few times."""
    at, restarts = begin, 0
    while at < end and restarts < _RESTARTS:
        length = size_at(data, at, end, rule, stop, name, MAX_MESSAGE)
        if length <= 0 or length > end - at:
            score[BREAKS] += 1
            restarts += 1
            score[LOST] += at > begin and _next_segment(segment, at, end) < end
            greeted = begin + greeting if at == begin and greeting else end
            at = greeted if greeted < end else _next_segment(segment, at, end)
            continue
        at += length
        score[MESSAGES] += 1
        score[LENGTHS] |= np.int64(1) << (length % 61)
        score[SHAPE] = score[SHAPE] * 6364136223846793005 + at
        if at < end:
            score[HITS] += mark[at]
        else:
            score[HITS] += closed


@njit(**INNER)
def _hopeless(score):  # type: ignore[no-untyped-def]
    """Whether a hypothesis misses so many marks, or makes so many messages, that the rest need not be walked."""
    return score[REACHED] >= 16 and (score[HITS] * 4 < score[REACHED] or score[MESSAGES] > 64 + 64 * score[REACHED])


@njit(cache=True, nogil=True)
def _score(data, start, end, closed, mark, segment, marks_before, rules, stop, name, greeting, scores, budget):  # type: ignore[no-untyped-def]
    """Score hypotheses until the budget of messages is spent; return how many."""
    for which in range(len(rules)):
        score = scores[which]
        for run in range(len(start)):
            _walk_run(data, start[run], end[run], closed[run], mark, segment, rules[which], stop, name, greeting, score)
            score[REACHED] += marks_before[max(end[run] - 1, 0)] - marks_before[start[run]] + closed[run]
            if _hopeless(score):
                break
        budget -= score[MESSAGES] + score[BREAKS]
        if budget < 0:
            return which + 1
    return len(rules)


def score_lengths(sample: Sample, rules: NDArray[np.int64], budget: int = 1 << 25) -> NDArray[np.int64]:
    """
    Score length framings.

    Args:
        rules: int64 (n, 7), see the columns in ``sizes``.
        budget: messages to walk in all; hypotheses behind it keep a score of zeros.

    Returns:
        int64 (n, 7), see the column names of this module.
    """
    nothing = np.frombuffer(b"", np.uint8)
    return _scored(sample, np.ascontiguousarray(rules.reshape(-1, COLUMNS)), nothing, nothing, budget)


def score_rule(sample: Sample, rule: Rule) -> NDArray[np.int64]:
    """Score one framing, of lengths or of headers; int64 (7,)."""
    scores = _scored(sample, rule.numbers.reshape(1, COLUMNS), rule.end, rule.name, 1 << 25)
    return np.asarray(scores[0])


def _scored(
    sample: Sample, rules: NDArray[np.int64], stop: NDArray[np.uint8], name: NDArray[np.uint8], budget: int
) -> NDArray[np.int64]:
    scores = np.zeros((len(rules), 7), np.int64)
    _score(
        sample.data, sample.start, sample.end, sample.closed, sample.mark, sample.segment, sample.marks_before,
        rules, stop, name, sample.greeting, scores, budget,
    )  # fmt: skip
    return scores


def surprise(hits: int, trials: int, messages: int, size: int) -> float:
    """
    Return how unlikely the hits are for borders laid at random, in bits.

    The log-likelihood ratio (Kullback–Leibler) of ``hits`` in ``trials`` against the density of borders.
    """
    if not trials or not messages or hits * size <= trials * messages:
        return 0.0
    chance = min(max(messages / size, 1e-6), 0.999)
    share = hits / trials
    bits = share * np.log2(share / chance)
    if share < 1:
        bits += (1 - share) * np.log2((1 - share) / (1 - chance))
    return round(float(trials * bits) * 256) / 256
