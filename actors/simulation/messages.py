"""Messages of a simulation: texts that begin with the number of the bucket they were sent in."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ...cluster.buckets import BUCKET_S, Span, Times
from ...cluster.entries import BatchKey

Body = tuple[BatchKey, tuple[str, ...]]


def erases(span: Span, content: str) -> bool:
    """Say whether a message is of a span; its content begins with the number of its bucket, or with "-"."""
    bucket = content.split(":")[0]
    return span.untimed if bucket == "-" else span.since <= int(bucket) * BUCKET_S < span.until


def without(bodies: Sequence[Body], span: Span) -> tuple[Body, ...]:
    """Return records without the messages of a span; what has none left is not among them."""
    left = [(key, tuple(content for content in contents if not erases(span, content))) for key, contents in bodies]
    return tuple((key, contents) for key, contents in left if contents)


def times_of(bodies: Sequence[Body]) -> Times:
    """Return the event times of the messages of records."""
    buckets = [content.split(":")[0] for _, contents in bodies for content in contents]
    known = [float(int(bucket) * BUCKET_S) for bucket in buckets if bucket != "-"]
    return Times(min(known, default=inf), max(known, default=-inf), len(buckets) - len(known))


def size_of(bodies: Sequence[Body]) -> int:
    """Return how many messages records have; it stands for their bytes."""
    return sum(len(contents) for _, contents in bodies)
