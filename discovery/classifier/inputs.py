"""What the members of the vote read of messages: bytes, sizes, directions, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from .features import bins_of, features_of

FRONT_BYTES = 64
ABSENT = 256  # the value of a byte behind the end of the message


@dataclass(frozen=True)
class Inputs:
    """
    Some messages as numbers.

    Attributes:
        values: (messages, FRONT_BYTES) int16, the first bytes, ``ABSENT`` behind the end.
        bins: (messages, SIDE) uint8; features: (messages, FEATURES) int32 (see ``features``).
    """

    values: NDArray[np.int16]
    bins: NDArray[np.uint8]
    features: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.int64] | slice) -> Inputs:
        """Return some of the messages."""
        return Inputs(self.values[rows], self.bins[rows], self.features[rows])


def read_inputs(view: MessageView) -> Inputs:
    """Return the inputs of all messages of a view; addresses, ports and times are not looked at."""
    front, exists = view.front(FRONT_BYTES)
    values = front.astype(np.int16)
    values[~exists] = ABSENT
    features = features_of(view)
    return Inputs(values, bins_of(features), features)
