"""Which virtual shard a message belongs to: hash ranges of flows, fixed for the life of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..discovery.batch import MessageBatch
from ..discovery.statistics.hashing import CONTENT, FLOW, hash_contents, key, mix

_HALF = np.uint64(32)


def shards_of(batch: MessageBatch, shards: int, seed: int) -> NDArray[np.int64]:
    """Return the virtual shard of each message: of its flow's hash, or of its content's where it has no flow."""
    view = batch.view()
    hashes = mix(view.flow, key(seed, FLOW))
    lone = np.flatnonzero(view.flow == 0)
    if len(lone):
        content = hash_contents(view.data, view.starts[lone], view.lengths[lone], key(seed, CONTENT))
        hashes[lone] = content
    return (((hashes >> _HALF) * np.uint64(shards)) >> _HALF).astype(np.int64)


def divide(batch: MessageBatch, shards: int, seed: int) -> dict[int, MessageBatch]:
    """Return what each virtual shard has of a batch, in the batch's order; a shard with nothing is left out."""
    owner = shards_of(batch, shards, seed)
    order = np.argsort(owner, kind="stable")
    taken, sorted_owner = batch.take(order), owner[order]
    starts = np.flatnonzero(np.diff(sorted_owner, prepend=-1))
    ends = np.append(starts[1:], len(owner))
    return {
        int(sorted_owner[start]): taken.slice(int(start), int(end - start))
        for start, end in zip(starts, ends, strict=True)
    }  # fmt: skip
