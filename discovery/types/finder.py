"""Find the message types of a sample."""

from __future__ import annotations

import numpy as np

from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import KeyField, ValueGuard
from .model import ProposedType, TypeModel


def find_types(sample: Sample, settings: DiscoverySettings) -> TypeModel:
    """Return the message types that the proposing part of a sample supports."""
    view = sample.view.take(~sample.held_out)
    front, exists = view.front(16)
    best, key = 0.0, -1
    for offset in range(16):
        if not exists[:, offset].all() or not len(view):
            break
        values, counts = np.unique(front[:, offset], return_counts=True)
        if 2 <= len(values) <= 16 and counts.min() > 1:
            entropy = float(-(counts / len(view) * np.log2(counts / len(view))).sum())
            if entropy > best:
                best, key = entropy, offset
    if key < 0:
        return TypeModel([ProposedType("t_all", "all messages", [])], None)
    types = [
        ProposedType(f"t{v:02x}", f"key=0x{v:02x}", [ValueGuard(offset=key, width=1, values=[bytes([v])])])
        for v in np.unique(front[:, key]).tolist()
    ]
    return TypeModel([*types, ProposedType("t_other", "other", [])], KeyField(offset=key, width=1))
