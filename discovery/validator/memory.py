"""What a stream of batches has to remember of each flow, so that its messages are judged as in one batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..batch import SCHEMA, MessageBatch
from .flows import order_in_flows

MOST = 1 << 16


class FlowMemory:
    """
    The latest message of each type and direction of each flow, at most ``most`` of them, the latest flows kept.

    That is all that a judgement of the next message reads: counters and the sequence of types look at the message
    before, echoes at the latest request of a type.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._kept = MessageBatch(SCHEMA.empty_table())

    def recall(self, batch: MessageBatch) -> MessageBatch:
        """Return what is remembered of the flows of a batch, older than all of its messages in the order of flows."""
        kept = self._kept.take(np.flatnonzero(np.isin(self._kept.view().flow, batch.view().flow)))
        table, n = kept.to_arrow(), len(kept)
        marks = {
            "ts": pa.nulls(n, pa.float64()),
            "source": pa.array(np.full(n, -1, np.int32)),
            "number": pa.array(np.arange(n, dtype=np.int64)),
        }
        for name, column in marks.items():
            table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
        return MessageBatch(table)

    def keep(self, messages: MessageBatch, types: NDArray[np.int32]) -> None:
        """
        Remember the latest of what was recalled and of the batch after it.

        Args:
            messages: both, in that order; types: int32, the type of each.
        """
        view = messages.view()
        order = order_in_flows(view)
        keys = np.stack([view.flow[order], view.direction[order].astype(np.uint64), types[order].astype(np.uint64)])
        _, last = np.unique(keys[:, ::-1], axis=1, return_index=True)
        latest = messages.take(order[np.sort(len(order) - 1 - last)])
        others = self._kept.take(np.flatnonzero(~np.isin(self._kept.view().flow, view.flow)))
        joined = MessageBatch.concatenate([others, latest])
        self._kept = joined.slice(max(len(joined) - self.most, 0))
