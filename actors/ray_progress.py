"""How far Ray's tasks are with the files of a set, told while they read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import ray

from .reading import Told

_LOOK_S = 0.5  # between two looks at how far they are


@ray.remote(num_cpus=0)
class _Heard:
    """Bytes by file, since Ray runs a lost task again."""

    def __init__(self) -> None:
        self._read: dict[int, int] = {}

    def add(self, file: int, size: int) -> None:
        """Note how many bytes of a file were read."""
        self._read[file] = size

    def total(self) -> int:
        """Return how many bytes of all files were read."""
        return sum(self._read.values())


@contextmanager
def hearing(told: Told | None) -> Iterator[Any]:
    """Give an actor that tasks tell what they have read (``add``), and tell it on while the block lasts."""
    if told is None:
        yield None
        return
    heard, ended = _Heard.remote(), Event()  # type: ignore[attr-defined]
    thread = Thread(target=_tell_on, args=(heard, told, ended))
    thread.start()
    try:
        yield heard
    finally:
        ended.set()
        thread.join()


def _tell_on(heard: Any, told: Told, ended: Event) -> None:
    before, last = 0, False
    while not last:
        last = ended.wait(_LOOK_S)
        total = ray.get(heard.total.remote())
        told(total - before)
        before = total
