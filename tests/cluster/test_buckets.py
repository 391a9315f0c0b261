"""Event time is cut into buckets: a part of it holds whole buckets, and says so of single messages and of segments."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qbitel.cluster.buckets import BUCKET_S, NO_TIMES, UNTIMED, Span, Times, bucket_of

MOMENTS = st.lists(st.floats(-1e5, 1e6) | st.just(math.nan), max_size=8)
ENDS = st.none() | st.integers(-10, 20)
SPANS = st.builds(Span, ENDS, ENDS, st.booleans())


@given(MOMENTS, SPANS)
def test_segment_is_covered_or_touched_by_its_messages(moments: list[float], span: Span) -> None:
    """Covered where every message is in the span; not touched where none can be; touched wherever one is."""
    ts = np.array(moments, np.float64)
    held, times = span.holds(ts), Times.of(ts)
    assert span.covers(times) == bool(held.all())
    assert span.touches(times) or not held.any()


@given(MOMENTS, SPANS)
def test_span_holds_whole_buckets(moments: list[float], span: Span) -> None:
    """Messages of one bucket are in a span together or not at all."""
    ts = np.array(moments, np.float64)
    by_bucket: dict[int, set[bool]] = {}
    for bucket, held in zip(bucket_of(ts).tolist(), span.holds(ts).tolist(), strict=True):
        by_bucket.setdefault(bucket, set()).add(held)
        if bucket != UNTIMED:
            assert held == ((span.first is None or bucket >= span.first) and (span.end is None or bucket < span.end))
    assert all(len(held) == 1 for held in by_bucket.values())


@given(st.lists(MOMENTS, max_size=4))
def test_times_merge_in_any_order(parts: list[list[float]]) -> None:
    """The times of all messages are the merge of those of their parts."""
    merged = NO_TIMES
    for part in reversed(parts):
        merged = merged.merge(Times.of(np.array(part, np.float64)))
    assert merged == Times.of(np.array([moment for part in parts for moment in part], np.float64))


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_span_between_times_takes_no_bucket_in_part(since: float, until: float) -> None:
    """What is not wholly between two times stays."""
    span = Span.between(since, until)
    assert span.since >= since
    assert span.until <= until
    assert span.since - BUCKET_S <= since
    assert until <= span.until + BUCKET_S
