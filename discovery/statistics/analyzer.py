"""StatisticalAnalyzer: statistics of batches, of shards, and their summary."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import numpy as np

from ..batch import MessageBatch
from ..settings import DiscoverySettings
from .hashing import CONTENT, FLOW, hash_contents, key, mix
from .message_statistics import MessageStatistics
from .summary import StatisticsSummary, summarise


class StatisticalAnalyzer:
    """Takes statistics; whatever way the messages are split, the result is the same."""

    def __init__(self, settings: DiscoverySettings | None = None) -> None:
        self.settings = settings or DiscoverySettings()

    def analyze(self, batches: MessageBatch | Iterable[MessageBatch], capture_hash: str = "") -> MessageStatistics:
        """Return the statistics of one batch or of several."""
        statistics = MessageStatistics(self.settings)
        for batch in [batches] if isinstance(batches, MessageBatch) else batches:
            statistics.update(batch, capture_hash)
        return statistics

    def analyze_sharded(self, batch: MessageBatch, shards: int, capture_hash: str = "") -> MessageStatistics:
        """Return the statistics of a batch split over shards by flow (by content where there is none), then merged."""
        view = batch.view()
        content = hash_contents(view.data, view.starts, view.lengths, key(self.settings.seed, CONTENT))
        owner = np.where(view.flow > 0, mix(view.flow, key(self.settings.seed, FLOW)), content) % np.uint64(shards)
        parts = []
        for shard in range(shards):
            part = MessageStatistics(self.settings)
            part.update(batch.take(np.flatnonzero(owner == shard)), capture_hash)
            parts.append(part)
        return reduce(MessageStatistics.merge, parts)

    def summary(self, statistics: MessageStatistics) -> StatisticsSummary:
        """Return the readings of statistics: entropies, shares, quantiles."""
        return summarise(statistics)
