"""Arrays as the compiled code takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous read-only view, so that one compiled signature serves all arrays."""
    whole = np.ascontiguousarray(array)
    if whole.flags.writeable:
        whole = whole.view()
        whole.flags.writeable = False
    return whole
