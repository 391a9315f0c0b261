"""What a shard may hold and when it acts."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ShardLimits:
    """
    What a shard may hold and when it acts; sizes are bytes.

    Attributes:
        waiting_bytes: of batches that are not registered; more are refused with "busy".
        segment_bytes: a segment is written without a flush once so much waits, and holds no more (but one batch).
        snapshot_bytes: of segments since the last snapshot, after which the next is taken.
        merge_below: segments smaller than this are merged, up to ``merge_count`` neighbours at a time.
        recent_keys: keys whose repetition is answered without writing anything.
    """

    waiting_bytes: int = 32 << 20
    segment_bytes: int = 4 << 20
    snapshot_bytes: int = 64 << 20
    merge_below: int = 1 << 20
    merge_count: int = 32
    recent_keys: int = 1024

    def of(self, shard: int, shards: int) -> ShardLimits:
        """Return those of one of so many shards: what is fed evenly takes snapshots and merges at different times."""
        share = 1 - shard / (2 * shards)
        count = max(2, round(self.merge_count * share))
        return replace(self, snapshot_bytes=round(self.snapshot_bytes * share), merge_count=count)
