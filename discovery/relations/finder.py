"""The registry of detectors and the one function that runs them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..sample import Sample
from ..settings import DiscoverySettings
from .address import find_addresses
from .checksum import find_checksums
from .columns import Columns
from .constant import find_constants
from .counter import find_counters
from .echo import find_echoes
from .length import find_lengths, find_lengths_of_content
from .rising import find_rising
from .timestamp import find_timestamps
from .wrong_clocks import find_wrong_clocks

Detector = Callable[[Columns], list[Finding]]

DETECTORS: tuple[Detector, ...] = (
    find_lengths,
    find_checksums,
    find_lengths_of_content,
    find_timestamps,
    find_wrong_clocks,
    find_counters,
    find_rising,
    find_echoes,
    find_addresses,
    find_constants,
)


def find_relations(
    sample: Sample, type_of_row: NDArray[np.int32], n_types: int, settings: DiscoverySettings
) -> list[Finding]:
    """
    Return what is proven of bytes at fixed places: the surest detectors come first, no byte is claimed twice.

    Args:
        sample: proposing rows propose, held-out rows refute.
        type_of_row: int32, type index of each row, -1 where it has none.
        n_types: number of types.
    """
    columns = Columns(sample, type_of_row, n_types, settings)
    for detector in DETECTORS:
        for finding in detector(columns):
            if not any(_clash(finding, other) for other in columns.kept):
                columns.kept.append(finding)
    return columns.kept


def _clash(one: Finding, other: Finding) -> bool:
    """Return whether two findings claim a common byte (counted from the same end) of a common type."""
    if not set(one.types) & set(other.types):
        return False
    return one.claims(other.start, other.width) if one.block else other.claims(one.start, one.width)
