"""
Scores of inferred boundaries and message types.

A boundary is an offset strictly inside a message (0 < b < length). Messages whose truth has no boundary have no score.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAMMA = 2.0


@dataclass(frozen=True)
class BoundaryScore:
    """Precision, recall, F1, Format Match Score and share of exactly right fields; all from 0 to 1."""

    precision: float
    recall: float
    f1: float
    fms: float
    perfect: float


def score_message(true: Iterable[int], found: Iterable[int], length: int) -> BoundaryScore | None:
    """Return the scores of one message of ``length`` bytes, None where its truth has no inner boundary."""
    truth = sorted({b for b in true if 0 < b < length})
    inferred = sorted({b for b in found if 0 < b < length})
    if not truth:
        return None
    hits = len(set(truth) & set(inferred))
    precision = hits / len(inferred) if inferred else 0.0
    recall = hits / len(truth)
    f1 = 2 * hits / (len(truth) + len(inferred))
    fms, perfect = _format_match(truth, inferred, length), _perfect(truth, inferred, length)
    return BoundaryScore(precision, recall, f1, fms, perfect)


def _format_match(truth: Sequence[int], inferred: Sequence[int], length: int) -> float:
    """Return the Format Match Score (Kleber, Kopp, Kargl: NEMESYS, WOOT 2018): specificity times match gain."""
    exact, gain = set(inferred), 0.0
    ends = [0, *truth, length]
    for index, boundary in enumerate(truth, 1):
        if boundary in exact:
            gain += 1
        else:
            gain += _near(boundary, ends[index - 1], ends[index + 1], inferred)
    specificity = math.exp(-(((len(truth) - len(inferred)) / len(truth)) ** 2))
    return specificity * gain / len(truth)


def _near(boundary: int, before: int, after: int, inferred: Sequence[int]) -> float:
    """Return the gain of the nearest inferred boundary between the middles of the two fields around a missed one."""
    low = before + (boundary - before) // 2 if boundary - before > 1 else boundary
    high = boundary - 1 + (after - boundary) // 2 if after - boundary > 1 else boundary
    first, last = bisect_left(inferred, low), bisect_right(inferred, high)
    if low >= high or first >= last:
        return 0.0
    distance = min(abs(b - boundary) for b in inferred[first:last])
    return math.exp(-((distance / GAMMA) ** 2))


def _perfect(truth: Sequence[int], inferred: Sequence[int], length: int) -> float:
    """Return the share of true fields of which both ends are found and nothing between them."""
    ends, found = [0, *truth, length], {*inferred, 0, length}
    right = sum(
        start in found and stop in found and bisect_left(inferred, stop) == bisect_right(inferred, start)
        for start, stop in pairwise(ends)
    )
    return right / (len(ends) - 1)


@dataclass(frozen=True)
class TypeScore:
    """
    How well a grouping matches the true types.

    Homogeneity, completeness and their harmonic mean V (Rosenberg, Hirschberg: V-measure, EMNLP 2007); the adjusted
    Rand index (Hubert, Arabie: Comparing partitions, Journal of Classification 1985).
    """

    homogeneity: float
    completeness: float
    v: float
    ari: float


def score_types(true: Sequence[Hashable], found: Sequence[Hashable]) -> TypeScore:
    """Return how well a grouping of messages matches the true types."""
    both, rows, columns = Counter(zip(true, found, strict=True)), Counter(true), Counter(found)
    n = len(true)
    shared = sum(c / n * math.log(c * n / (rows[a] * columns[b])) for (a, b), c in both.items())
    of_true, of_found = _entropy(rows, n), _entropy(columns, n)
    homogeneity = max(0.0, shared / of_true) if of_true else 1.0
    completeness = shared / of_found if of_found else 1.0
    total = homogeneity + completeness
    v = 2 * homogeneity * completeness / total if total > 1e-12 else 0.0
    return TypeScore(homogeneity, completeness, v, _adjusted_rand(both, rows, columns, n))


def _entropy(counts: Counter[Hashable], n: int) -> float:
    return -sum(c / n * math.log(c / n) for c in counts.values())


def _adjusted_rand(
    both: Counter[tuple[Hashable, Hashable]], rows: Counter[Hashable], columns: Counter[Hashable], n: int
) -> float:
    together, of_rows, of_columns = (sum(c * (c - 1) / 2 for c in counts.values()) for counts in (both, rows, columns))
    pairs = n * (n - 1) / 2
    expected = of_rows * of_columns / pairs if pairs else 0.0
    most = (of_rows + of_columns) / 2
    return (together - expected) / (most - expected) if most != expected else 1.0


def mean(scores: Sequence[BoundaryScore]) -> BoundaryScore:
    """Return the mean of each score over messages or protocols; at least one."""
    names = ("precision", "recall", "f1", "fms", "perfect")
    return BoundaryScore(*(sum(getattr(score, name) for score in scores) / len(scores) for name in names))
