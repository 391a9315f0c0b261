"""How often the cache has an answer where some requests are asked for far more often than others."""

from __future__ import annotations

import numpy as np

from qbitel.cluster.cache import Answer, Cache

DISTINCT, ASKED = 10_000, 200_000
ROOMS = (2000, 4000)


def hit_ratios(seed: int = 0) -> dict[int, float]:
    """Return the share of hits by room in answers: 200,000 requests drawn from 10,000 by Zipf's law (s = 1)."""
    weights = 1 / np.arange(1, DISTINCT + 1)
    asked = np.random.default_rng(seed).choice(DISTINCT, ASKED, p=weights / weights.sum())
    return {room: _hits(asked.tolist(), room) / ASKED for room in ROOMS}


def _hits(asked: list[int], room: int) -> int:
    answer = Answer(b"x" * 350, "application/json")  # as long as a classification of one message
    cache, hits = Cache(room * answer.size, 1e9), 0
    for number in asked:
        if cache.look(str(number)) is None:
            cache.keep(str(number), answer)
        else:
            hits += 1
    return hits
