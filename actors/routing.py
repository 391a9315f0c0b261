"""Which virtual shard a message belongs to: that of its flow's hash range, or one that the range is redirected to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..cluster.redirects import Redirect, in_force
from ..discovery.batch import MessageBatch
from ..discovery.statistics.hashing import CONTENT, FLOW, hash_contents, key, mix

_HALF = np.uint64(32)
_LOW = np.uint64((1 << 32) - 1)


def shards_of(batch: MessageBatch, shards: int, seed: int, redirects: Sequence[Redirect] = ()) -> NDArray[np.int64]:
    """
    Return the virtual shard of each message: of its flow's hash, or of its content's where it has no flow.

    A range that is redirected is cut into equal pieces, one for each virtual shard that takes over.
    """
    view = batch.view()
    hashes = mix(view.flow, key(seed, FLOW))
    lone = np.flatnonzero(view.flow == 0)
    if len(lone):
        content = hash_contents(view.data, view.starts[lone], view.lengths[lone], key(seed, CONTENT))
        hashes[lone] = content
    scaled = (hashes >> _HALF) * np.uint64(shards)  # the range, and below the point the place in it
    ranges = (scaled >> _HALF).astype(np.int64)
    owner = ranges.copy()
    for own, to in in_force(redirects).items():
        rows = np.flatnonzero(ranges == own)
        piece = ((scaled[rows] & _LOW) * np.uint64(len(to))) >> _HALF
        owner[rows] = np.array(to)[piece.astype(np.int64)]
    return owner


def divide(batch: MessageBatch, shards: int, seed: int, redirects: Sequence[Redirect] = ()) -> dict[int, MessageBatch]:
    """Return what each virtual shard has of a batch, in the batch's order; a shard with nothing is left out."""
    owner = shards_of(batch, shards, seed, redirects)
    order = np.argsort(owner, kind="stable")
    taken, sorted_owner = batch.take(order), owner[order]
    starts = np.flatnonzero(np.diff(sorted_owner, prepend=-1))
    ends = np.append(starts[1:], len(owner))
    return {
        int(sorted_owner[start]): taken.slice(int(start), int(end - start))
        for start, end in zip(starts, ends, strict=True)
    }  # fmt: skip
