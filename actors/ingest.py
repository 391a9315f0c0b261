"""From messages to a stream: batches of about 1 MB under keys that a second run of the same capture chooses again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..cluster.entries import NEVER
from ..discovery.batch import MessageBatch
from ..discovery.capture_set import Block
from ..discovery.errors import InputError
from .effects import Refusal
from .node import Node, Receipt

# Part of the keys' meaning: another size would cut a capture at other places, and count it again.
BATCH_BYTES = 1 << 20
GROUP = 16  # batches that are made durable together


@dataclass
class Ingested:
    """
    What an ingest came to.

    Attributes:
        messages: added now; known: in the journal before. refused: batches that will never be taken, and why.
    """

    batches: int = 0
    messages: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)

    def add(self, other: Ingested) -> None:
        """Add what another came to."""
        self.batches, self.messages = self.batches + other.batches, self.messages + other.messages
        self.known += other.known
        self.refused += other.refused

    def answered(self, key: str, count: int, refused: Refusal | None, *, again: bool) -> None:
        """Count a batch for which there is an answer."""
        if refused is not None:
            self.refused.append(f"batch {key}: {refused.value}")
            return
        self.batches += 1
        self.known += count if again else 0
        self.messages += 0 if again else count


@dataclass(frozen=True)
class Keyed:
    """
    A batch on its way into a journal.

    Attributes:
        capture: SHA-256 (hexadecimal) of the capture it is from, or empty. made: when the key was chosen, milliseconds
            since 1970; ``NEVER`` for keys that are kept for ever.
    """

    key: str
    capture: str
    rows: MessageBatch
    made: int = NEVER


def cut(batch: MessageBatch) -> Iterator[tuple[int, MessageBatch]]:
    """Yield (first row, rows) of about ``BATCH_BYTES`` of payload each, the same for the same messages."""
    ends = np.cumsum(batch.view().lengths)
    start = 0
    while start < len(batch):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + BATCH_BYTES, side="right")), start + 1)
        yield start, batch.slice(start, stop - start)
        start = stop


def keyed(blocks: Iterable[Block], capture_of: Callable[[int], str]) -> Iterator[Keyed]:
    """
    Cut blocks of messages into batches under keys of content and range: capture, protocol, block and row in it.

    Args:
        capture_of: the SHA-256 (hexadecimal) of a file by its index.
    """
    for block in blocks:
        capture = capture_of(block.file)
        for start, rows in cut(block.batch):
            yield Keyed(f"{capture[:32]}/{block.protocol}/{block.number}/{start}", capture, rows)


def ingest(node: Node, batches: Iterable[Keyed | None], progress: Callable[[int], None] | None = None) -> Ingested:
    """
    Add batches to the stream of a node; return when all are acknowledged, or refused for good.

    Args:
        batches: None among them lets all before it become durable now. progress: told how many are acknowledged.

    Raises:
        InputError: another process has taken the stream, or the disk does not take a batch.
    """
    done, group = Ingested(), list[tuple[Receipt, int]]()
    for each in batches:
        if each is not None:
            group.append((_taken(node, each), len(each.rows)))
        if each is None or len(group) == GROUP:
            _settle(node, group, done)
            if progress:
                progress(done.messages + done.known)
    _settle(node, group, done)
    return done


def _taken(node: Node, batch: Keyed) -> Receipt:
    receipt = node.append(batch.rows, batch.key, made=batch.made, capture=batch.capture)
    if receipt.refused in (Refusal.BUSY, Refusal.DIVIDED):  # others wait, or the same one does
        node.flush()
        receipt = node.append(batch.rows, batch.key, made=batch.made, capture=batch.capture)
    return receipt


def _settle(node: Node, group: list[tuple[Receipt, int]], done: Ingested) -> None:
    node.flush()
    for receipt, count in group:
        if not receipt.acknowledged and (receipt.refused is None or receipt.refused.retry):
            why = receipt.refused.value if receipt.refused else "not answered"
            raise InputError(f"batch {receipt.key} was not taken: {why}", where=node.stream.name)
        done.answered(receipt.key, count, receipt.refused, again=bool(receipt.again and not receipt.fresh))
    group.clear()
