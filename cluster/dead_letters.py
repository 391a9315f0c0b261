"""Files that were not read, and why: one JSON line for each, kept beside the journals of their stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from ..discovery.errors import InputError, NotFoundError
from .storage import Storage


@dataclass(frozen=True)
class DeadLetter:
    """A file that was not read, and why."""

    uri: str
    reason: str


def dead_letters(storage: Storage, stream: str) -> list[DeadLetter]:
    """
    Return the files of a stream that could not be read when they were tried last.

    Raises:
        InputError: the list is damaged.
    """
    path = _path(stream)
    try:
        return [DeadLetter(**json.loads(line)) for line in storage.read(path).splitlines()]
    except NotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise InputError(f"not a list of dead letters: {error}", where=storage.place(path)) from error


def note_dead_letters(storage: Storage, stream: str, tried: Iterable[str], dead: Sequence[DeadLetter]) -> None:
    """Put files on the list of a stream, and take those off that were tried and are not among them."""
    before = dead_letters(storage, stream)
    gone = set(tried)
    now = [each for each in before if each.uri not in gone] + list(dead)
    if now != before:
        lines = [json.dumps(asdict(each), sort_keys=True) + "\n" for each in now]
        storage.write(_path(stream), "".join(lines).encode())


def _path(stream: str) -> str:
    return f"dead-letters/{stream}.jsonl"
