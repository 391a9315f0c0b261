"""How much each virtual shard of a stream takes, which of them are hot, and who can take over from one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..discovery.errors import InputError
from .buckets import Span
from .entries import Entry

HOT = 4
"""A virtual shard is hot where it takes more than so many times what the shards of its stream take on average."""


def taken(entries: Iterable[Entry], span: Span) -> int:
    """Return how many messages the segments of a virtual shard hold that touch a span; those without a time too."""
    return sum(entry.messages for entry in entries if span.touches(entry.times) or entry.times.untimed)


def hot(loads: Mapping[int, int]) -> set[int]:
    """Return the virtual shards that take far more than the others, given what each takes."""
    total = sum(loads.values())
    return {shard for shard, load in loads.items() if load * len(loads) > HOT * total}


def takers(loads: Mapping[int, int], placed: Mapping[int, str], shard: int, count: int) -> tuple[int, ...]:
    """
    Return virtual shards over which the range of one shall be spread: itself, and those of the others that take least.

    Args:
        loads: what each virtual shard takes. placed: where they are; those with another holder come first.
        count: how many, itself among them.

    Raises:
        InputError: there are not as many.
    """
    others = sorted(
        (each for each in loads if each != shard),
        key=lambda each: (bool(placed) and placed.get(each) == placed.get(shard), loads[each], each),
    )
    if count > len(others) + 1:
        raise InputError(f"{count} virtual shards wanted, there are {len(others) + 1}", where=str(shard))
    return (shard, *sorted(others[: count - 1]))
