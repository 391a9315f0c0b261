"""Takes messages out of streams for good: journal, samples, snapshots, and the specifications that came of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..cluster.buckets import Span
from ..cluster.catalog import Catalog
from ..cluster.database import scrub
from ..cluster.manifest import Stream
from ..cluster.state import State
from ..cluster.verify import orphans
from ..cluster.versions import Versions
from .effects import NOTHING, Removed
from .node import Node

Eraser = Callable[[Stream, Span], Removed]


@dataclass(frozen=True)
class Erased:
    """
    What was taken out of a stream.

    Attributes:
        messages, segments, rewritten, bytes, unread: as of ``Removed``.
        specifications: ids of those that were found in the stream and are deleted with it.
        untimed: messages without a time that stay, since no part of the time has them.
    """

    stream: str
    messages: int
    segments: int
    rewritten: int
    bytes: int
    unread: tuple[str, ...]
    specifications: tuple[str, ...]
    untimed: int


def erase(state: State, stream: Stream, span: Span, eraser: Eraser) -> Erased:
    """
    Take the messages of a part of the event time out of a stream, and what was derived from them.

    Keys of batches stay known, so that a late retry does not bring back what was erased.

    Raises:
        InputError: somebody took a shard over meanwhile, or storage or catalog failed: it is done again as a whole.
    """
    removed = eraser(stream, span)
    catalog = Catalog(state.engine, stream.tenant)
    specifications = tuple(catalog.forget_specifications(stream.name)) if removed.messages else ()
    if removed.messages:
        Versions(state.engine).forget(stream.name)
    scrub(state.engine)
    kept = (entry for shard in range(stream.shards) for entry in state.manifest.entries(stream.name, shard))
    return Erased(
        stream.name, removed.messages, removed.segments, removed.rewritten, removed.bytes, removed.unread,
        specifications, sum(entry.times.untimed for entry in kept),
    )  # fmt: skip


def eraser_here(state: State, owner: str, report: Callable[[str], None]) -> Eraser:
    """Return what erases in this process, which takes the shards over that hold such messages or objects left over."""

    def run(stream: Stream, span: Span) -> Removed:
        shards = [shard for shard in range(stream.shards) if _concerned(state, stream, shard, span)]
        if not shards:
            return NOTHING
        node = Node(state.storage, state.manifest, stream, owner, shards=())
        removed = node.erase(span, shards)
        node.close()
        for problem in node.reports:
            report(problem)
        return removed

    return run


def outdated(stream: Stream, now_s: float) -> Span | None:
    """Return the part of the time that a stream does not keep any more, or None where it keeps everything."""
    return None if stream.keep_s is None else Span.between(None, math.floor(now_s) - stream.keep_s)


def _concerned(state: State, stream: Stream, shard: int, span: Span) -> bool:
    entries = state.manifest.entries(stream.name, shard)
    touched = any(span.touches(entry.times) for entry in entries)
    return touched or bool(orphans(state.storage, state.manifest, stream.name, shard))
