"""
Redirects: the flows of a hash range go to other virtual shards from then on; what is there already stays.

A stream's redirects are a list that only grows. A batch is divided under the first so many of them, its **division**,
which the first of its parts that is registered fixes: under another one its messages would lie on other virtual
shards, where no key says that they are there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..discovery.errors import InputError, LimitError

MOST_REDIRECTS = 4096
"""Of a stream; each is read whenever a batch is divided."""
MOST_TARGETS = 256


@dataclass(frozen=True, slots=True)
class Redirect:
    """The flows of hash range ``range`` are spread by their hash over the virtual shards ``to``."""

    range: int
    to: tuple[int, ...]


def check_redirect(redirect: Redirect, shards: int, where: str) -> None:
    """
    Check that a redirect is one of a stream of so many virtual shards.

    Raises:
        InputError: there is no such range or virtual shard, none is named, or one twice. LimitError: too many are.
    """
    named = (redirect.range, *redirect.to)
    if not all(0 <= shard < shards for shard in named):
        wrong = next(shard for shard in named if not 0 <= shard < shards)
        raise InputError(f"no virtual shard {wrong}", where=where, hint=f"0 to {shards - 1}")
    if not redirect.to or len(set(redirect.to)) < len(redirect.to):
        raise InputError("a redirect names one virtual shard or more, each once", where=where)
    if len(redirect.to) > MOST_TARGETS:
        raise LimitError(f"{len(redirect.to)} virtual shards, at most {MOST_TARGETS} take over a range", where=where)


def in_force(redirects: Sequence[Redirect]) -> dict[int, tuple[int, ...]]:
    """Return where the flows of redirected ranges go: the newest redirect of a range counts."""
    return {each.range: each.to for each in redirects}
