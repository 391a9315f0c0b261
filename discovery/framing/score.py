"""How well hypotheses of framing explain the marks of a sample."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .cut import MAX_MESSAGE, read_length
from .sampling import Sample

MESSAGES, HITS, BREAKS, REACHED, LENGTHS, SHAPE = range(6)
"""Columns of a score: messages, marks met, absurd lengths, marks passed, set of lengths (bits), hash of borders."""
_RESTARTS = 4


@njit(cache=True, nogil=True)
def _next_segment(segment, at, end):  # type: ignore[no-untyped-def]
    at += 1
    while at < end and not segment[at]:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _step(data, at, end, rule):  # type: ignore[no-untyped-def]
    """Return the length of the message at a place, 0 if it is absurd or runs over the end."""
    if end - at < rule[0] + rule[1]:
        return 0
    length = read_length(data, at + rule[0], rule[1], rule[2] == 1) + rule[3]
    return 0 if length < rule[0] + rule[1] or length > MAX_MESSAGE or length > end - at else length


@njit(cache=True, nogil=True)
def _walk_run(data, begin, end, closed, mark, segment, rule, score):  # type: ignore[no-untyped-def]
    """Walk one run; after an absurd length go on at the next segment, a few times."""
    at, restarts = begin, 0
    while at < end and restarts < _RESTARTS:
        length = _step(data, at, end, rule)
        if not length:
            score[BREAKS] += 1
            restarts += 1
            at = _next_segment(segment, at, end)
            continue
        at += length
        score[MESSAGES] += 1
        score[LENGTHS] |= np.int64(1) << (length % 61)
        score[SHAPE] = score[SHAPE] * 6364136223846793005 + at
        if at < end:
            score[HITS] += mark[at]
        else:
            score[HITS] += closed


@njit(cache=True, nogil=True)
def _hopeless(score):  # type: ignore[no-untyped-def]
    """Whether a hypothesis misses so many marks, or makes so many messages, that the rest need not be walked."""
    return score[REACHED] >= 16 and (score[HITS] * 4 < score[REACHED] or score[MESSAGES] > 64 + 64 * score[REACHED])


@njit(cache=True, nogil=True)
def _score_lengths(data, start, end, closed, mark, segment, marks_before, rules, scores, budget):  # type: ignore[no-untyped-def]
    """Score length hypotheses (offset, width, big, bias) until the budget of messages is spent; return how many."""
    for which in range(len(rules)):
        score = scores[which]
        for run in range(len(start)):
            _walk_run(data, start[run], end[run], closed[run], mark, segment, rules[which], score)
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
        rules: int64 (n, 4): offset, width, big-endian, bias; scale is 1.
        budget: messages to walk in all; hypotheses behind it keep a score of zeros.

    Returns:
        int64 (n, 6), see the column names of this module.
    """
    scores = np.zeros((len(rules), 6), np.int64)
    _score_lengths(
        sample.data, sample.start, sample.end, sample.closed, sample.mark, sample.segment, sample.marks_before,
        rules, scores, budget,
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
