"""From messages to a stream: batches of about 1 MB under keys that a second run of the same capture chooses again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..discovery.batch import MessageBatch
from ..discovery.errors import InputError
from .effects import Refusal
from .node import Node, Receipt

# Part of the keys' meaning: another size would cut a capture at other places, and count it again.
BATCH_BYTES = 1 << 20
GROUP = 16  # batches that are made durable together


@dataclass
class Ingested:
    """What an ingest came to: messages that were added, and those that were in the journal before."""

    batches: int = 0
    messages: int = 0
    known: int = 0


def cut(batch: MessageBatch) -> Iterator[tuple[int, MessageBatch]]:
    """Yield (first row, rows) of about ``BATCH_BYTES`` of payload each, the same for the same messages."""
    ends = np.cumsum(batch.view().lengths)
    start = 0
    while start < len(batch):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + BATCH_BYTES, side="right")), start + 1)
        yield start, batch.slice(start, stop - start)
        start = stop


def batch_key(capture: str, name: str, start: int) -> str:
    """Return the key of the rows from ``start`` on of a protocol in a capture (hexadecimal SHA-256)."""
    return f"{capture[:32]}/{name}/{start}"


def ingest(
    node: Node, batch: MessageBatch, capture: str, name: str, progress: Callable[[int], None] | None = None
) -> Ingested:
    """
    Add a capture's messages to the stream of a node; return when all of it is acknowledged.

    Args:
        capture: hexadecimal SHA-256 of the capture. name: of the protocol in it; both are part of the keys.
        progress: told how many messages are acknowledged.

    Raises:
        InputError: a batch was refused for good: its key stands for other messages, or is older than the horizon.
    """
    done, group = Ingested(), list[tuple[Receipt, MessageBatch]]()
    for start, rows in cut(batch):
        group.append((_taken(node, rows, batch_key(capture, name, start), capture), rows))
        if len(group) == GROUP:
            _settle(node, group, done)
            if progress:
                progress(done.messages + done.known)
    _settle(node, group, done)
    return done


def _taken(node: Node, rows: MessageBatch, key: str, capture: str) -> Receipt:
    receipt = node.append(rows, key, capture=capture)
    if receipt.refused is Refusal.BUSY:
        node.flush()
        receipt = node.append(rows, key, capture=capture)
    return receipt


def _settle(node: Node, group: list[tuple[Receipt, MessageBatch]], done: Ingested) -> None:
    node.flush()
    for receipt, rows in group:
        if not receipt.acknowledged:
            why = receipt.refused.value if receipt.refused else "not answered"
            raise InputError(f"batch {receipt.key} was not taken: {why}", where=node.stream.name)
        done.batches += 1
        if receipt.again and not receipt.fresh:
            done.known += len(rows)
        else:
            done.messages += len(rows)
    group.clear()
