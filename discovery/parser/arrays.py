"""Arrays as the compiled code takes them, and how it is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNCOUNTED: dict[str, Any] = {"_nrt": False}
"""
Options of compiled code that allocates nothing: its callers hold the arrays, so no reference is counted.

Numba leaves the counting in where functions call each other in a loop; it cost half the time of the machine.
"""
NESTED: dict[str, Any] = {**UNCOUNTED, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of compiled code that only compiled code calls: without the wrappers it compiles in half the time."""


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous read-only view, so that one compiled signature serves all arrays."""
    whole = np.ascontiguousarray(array)
    if whole.flags.writeable:
        whole = whole.view()
        whole.flags.writeable = False
    return whole
