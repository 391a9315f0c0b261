"""What operations cost: the processor time of the thread that does them, and its price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

from .names import COST, CPU_SECONDS

_HOUR_S = 3600.0


class _Price:
    """Of an hour of a core; set once, when a process of the service starts."""

    core_hour = 0.0


def set_price(core_hour: float) -> None:
    """Let an hour of a core cost so much, in whatever currency."""
    _Price.core_hour = core_hour


@contextmanager
def spending(operation: str) -> Iterator[None]:
    """Record the processor time that this thread spends in the block as that of an operation."""
    begun = thread_time()
    try:
        yield
    finally:
        spent = thread_time() - begun
        CPU_SECONDS.record(spent, operation=operation)
        COST.record(spent / _HOUR_S * _Price.core_hour, operation=operation)
