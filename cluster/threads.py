"""Threads of a process of the service: one for each library's own parallelism, since processes share the cores."""

from __future__ import annotations

import sys

import numba
from threadpoolctl import threadpool_limits


def pin_threads() -> None:
    """Let BLAS, OpenMP, numba and, where it is loaded, torch use one thread: the cores belong to all processes."""
    threadpool_limits(1)
    numba.set_num_threads(1)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
