"""What a simulated sender sends: messages, each at a place of the hash, divided as redirects say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from ...cluster.redirects import Redirect, in_force


@dataclass
class Batch:
    """
    A batch of one sender, or a copy that was sent by mistake.

    Attributes:
        places: of its messages in the hash: the whole number is the range. division: under how many redirects it is
            divided. owners: the shard of each message then. parts: contents by shard. left: shards that have not
            acknowledged their part. lain: shards on which each message may lie, under any division it was sent with.
    """

    key: str
    made: int
    places: tuple[float, ...]
    contents: tuple[str, ...]
    lain: list[set[int]] = field(default_factory=list)
    given_up: bool = False
    division: int = 0
    owners: list[int] = field(default_factory=list)
    parts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)

    def divide(self, redirects: Sequence[Redirect], division: int) -> Batch:
        """Divide it under the first redirects; nothing of it counts as acknowledged then."""
        to = in_force(redirects[:division])
        self.division = division
        self.owners = [_owner(place, to) for place in self.places]
        self.lain = self.lain or [set() for _ in self.places]
        parts: dict[int, list[str]] = {}
        for place, (owner, content) in enumerate(zip(self.owners, self.contents, strict=True)):
            parts.setdefault(owner, []).append(content)
            self.lain[place].add(owner)
        self.parts = {shard: tuple(contents) for shard, contents in parts.items()}
        self.left = set(self.parts)
        return self

    def copy(self, contents: tuple[str, ...] | None = None) -> Batch:
        """Return one of the same key that nobody waits for, perhaps with other contents."""
        own = self.contents if contents is None else contents
        return replace(self, contents=own, lain=self.lain if contents is None else [], given_up=True)

    def acknowledged(self, shard: int) -> set[tuple[str, int]]:
        """Return (key, place) of the messages that a shard has acknowledged."""
        if shard not in self.parts or shard in self.left:
            return set()
        return {(self.key, place) for place, owner in enumerate(self.owners) if owner == shard}


def drawn(random: Random, key: str, made: int, shards: int, contents: Sequence[str]) -> Batch:
    """Return a batch whose messages lie in some of the ranges, not divided yet."""
    ranges = random.sample(range(shards), random.randint(1, shards))
    places = tuple(random.choice(ranges) + random.random() for _ in contents)
    return Batch(key, made, places, tuple(contents))


def _owner(place: float, to: dict[int, tuple[int, ...]]) -> int:
    own = int(place)
    targets = to.get(own, (own,))
    return targets[int((place - own) * len(targets))]
