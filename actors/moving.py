"""
Moves virtual shards between holders while they are fed: by snapshot and journal position, never by copying memory.

The new place is written down first. From then on senders go to the new holder; the old one takes snapshots and gives
the shards back, or finds itself superseded; either way the new one reads the snapshot and the journal after it. What
was interrupted anywhere is done again by the same call, or by the next sender that finds a shard with nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..cluster.manifest import Stream
from ..cluster.placements import spread
from ..cluster.state import State
from ..discovery.errors import InputError, NotFoundError

Moved = Callable[[str, int, str], None]
"""Told of each move: stream, virtual shard, holder."""


class Holders(Protocol):
    """Who can hold shards."""

    def names(self) -> list[str]:
        """Return the names of the holders."""

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """Return the answer of a method of ``ShardHolder``."""


def settle(state: State, holders: Holders, stream: Stream) -> dict[int, str]:
    """
    Let every virtual shard of a stream be placed with a living holder, and return where each is.

    Raises:
        NotFoundError: there are no holders.
    """
    names = holders.names()
    if not names:
        raise NotFoundError("no holders of shards", hint="qbitel shards rescale starts them")
    placed = state.placements.of(stream.name)
    lost = {shard for shard in range(stream.shards) if placed.get(shard) not in names}
    if not lost:
        return placed
    moves = spread(range(stream.shards), placed, names)
    state.placements.place(stream.name, {shard: moves[shard] for shard in lost})
    return state.placements.of(stream.name)


def move(state: State, holders: Holders, stream: Stream, moves: dict[int, str], moved: Moved | None = None) -> int:
    """Move virtual shards of a stream, and return how many were somewhere else."""
    placed, names = state.placements.of(stream.name), set(holders.names())
    moves = {shard: to for shard, to in moves.items() if placed.get(shard) != to}
    state.placements.place(stream.name, moves)
    leaving: dict[str, list[int]] = {}
    for shard in sorted(moves):
        leaving.setdefault(placed.get(shard, ""), []).append(shard)
    for name in sorted(leaving.keys() & names):
        holders.ask(name, "release", stream.name, leaving[name])
    for name in sorted(set(moves.values())):
        holders.ask(name, "hold", stream.name)
    if moved:
        for shard, to in sorted(moves.items()):
            moved(stream.name, shard, to)
    return len(moves)


def balance(state: State, holders: Holders, names: list[str], moved: Moved | None = None) -> int:
    """Let these holders have all placed shards, each as many as the others or one more; return how many moved."""
    total = 0
    for stream in state.manifest.streams():
        placed = state.placements.of(stream.name)  # none of a stream that was never with holders
        total += move(state, holders, stream, spread(placed, placed, names), moved)
    return total


def drain(state: State, holders: Holders, name: str, moved: Moved | None = None) -> int:
    """
    Move all shards of a holder to the others, and return how many; it gets none until shards are balanced again.

    Raises:
        InputError: there is no other.
    """
    others = [other for other in holders.names() if other != name]
    if not others:
        raise InputError("no other holder to take its shards", where=name)
    total = 0
    for stream in state.manifest.streams():
        placed = state.placements.of(stream.name)
        mine = {shard for shard, holder in placed.items() if holder == name}
        moves = spread(placed, placed, others)
        total += move(state, holders, stream, {shard: to for shard, to in moves.items() if shard in mine}, moved)
    return total
