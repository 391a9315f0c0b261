"""MessageStatistics: all statistics of a set of messages, a commutative monoid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..batch import MessageBatch, MessageView
from ..errors import InputError
from ..sample import FlowSample, Sample
from ..settings import DiscoverySettings
from .bits import BitCounts
from .byte_histogram import ByteHistogram
from .captures import CaptureCounts
from .chunk import chunks
from .codec import decode, encode
from .directions import Directions
from .flow_sample import FlowStatistic
from .hashing import HELD_OUT, MASK, key, mix
from .lengths import Lengths
from .message_sample import MessageSample
from .pairs import PairCounts
from .payloads import Payloads
from .statistic import Statistic
from .waiting import Waiting

COMPONENTS: tuple[type[Statistic], ...] = (
    ByteHistogram, PairCounts, BitCounts, Lengths, Directions, CaptureCounts, MessageSample, FlowStatistic,
)  # fmt: skip


class MessageStatistics:
    """
    What is known of a set of messages: the same for any order, any split and any number of shards.

    Attributes:
        settings: seed and budgets; only statistics of equal settings merge.
        bytes, pairs, bits, lengths, directions, captured, messages, flows: the components, one statistic each.
    """

    def __init__(self, settings: DiscoverySettings | None = None) -> None:
        self.settings = settings or DiscoverySettings()
        self._set([component(self.settings) for component in COMPONENTS])

    @classmethod
    def sampling(cls, settings: DiscoverySettings, share: float) -> Self:
        """
        Return statistics of no message that sample only this share of distinct messages and of flows, by their hash.

        All counts are of everything; so are those of statistics that these are merged into.
        """
        made = cls(settings)
        ceiling = np.uint64(int(share * MASK))
        made.messages.below(ceiling)
        made.flows.below(ceiling)
        return made

    def _set(self, components: Sequence[Any]) -> None:
        self.components: tuple[Statistic, ...] = tuple(components)
        self.bytes: ByteHistogram = components[0]
        self.pairs: PairCounts = components[1]
        self.bits: BitCounts = components[2]
        self.lengths: Lengths = components[3]
        self.directions: Directions = components[4]
        self.captured: CaptureCounts = components[5]
        self.messages: MessageSample = components[6]
        self.flows: FlowStatistic = components[7]

    @property
    def total(self) -> int:
        """Messages counted."""
        return int(self.directions.counts.sum())

    @property
    def empty(self) -> bool:
        """Whether no message was counted: the neutral element of ``merge``."""
        return self.total == 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory that its arrays take."""
        return sum(_nbytes(value) for component in self.components for value in vars(component).values())

    @property
    def complete(self) -> bool:
        """Whether every distinct payload is in the sample."""
        return bool(self.messages.limit == np.uint64(MASK))

    def update(self, batch: MessageBatch, capture_hash: str | Sequence[str] = "") -> None:
        """
        Count the messages of a batch.

        Args:
            batch: any number of messages in any order.
            capture_hash: hexadecimal SHA-256 (16 digits or more) of the capture they come from, or one for each index
                of the ``source`` column; where it is empty the source index stands for it.

        Raises:
            InputError: a capture hash is not hexadecimal, or a ``source`` index has none.
        """
        for chunk in chunks(batch, capture_hash, self.settings.seed):
            for component in self.components:
                component.update(chunk)

    def merge(self, other: MessageStatistics) -> MessageStatistics:
        """
        Return the statistics of both inputs together; neither operand changes.

        Raises:
            InputError: the settings differ.
        """
        if self.settings != other.settings:
            raise InputError("settings differ", where="statistics", hint="merge statistics of one seed and budget")
        merged = object.__new__(type(self))
        merged.settings = self.settings
        merged._set([mine.merge(theirs) for mine, theirs in zip(self.components, other.components, strict=True)])
        return merged

    def captures(self) -> list[tuple[str, int]]:
        """Return (first 16 hexadecimal digits of the capture's SHA-256, messages) by capture; empty text is unknown."""
        captured = self.captured
        return [(_hex(h), int(n)) for h, n in zip(captured.hashes, captured.counts, strict=True)]

    def distinct(self) -> tuple[int, float]:
        """Return the number of distinct payloads and its relative standard error (0 while the sample is complete)."""
        size = len(self.messages.payloads)
        if self.complete:
            return size, 0.0
        share = max(int(self.messages.limit), 1)
        return (size << 64) // share, max(size, 1) ** -0.5

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {f"{c.name}.{name}": array for c in self.components for name, array in c.to_arrays().items()}

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: equal inputs give equal bytes."""
        header, buffers = encode(self.settings.model_dump(mode="json"), self._arrays())
        return b"".join([header, *buffers])

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """
        Return the statistics that ``to_bytes`` wrote.

        Raises:
            InputError: damaged, of another version, or not possible as statistics; LimitError: more than 1 GiB.
        """
        document, arrays = decode(text)
        try:
            settings = DiscoverySettings.model_validate(document)
        except ValidationError as error:
            raise InputError("settings are not valid", where="statistics header") from error
        made = object.__new__(cls)
        made.settings = settings
        parts = []
        for component in COMPONENTS:
            prefix = f"{component.name}."
            own = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
            parts.append(component.from_arrays(settings, own))
        made._set(parts)
        if made.to_bytes() != text:
            raise InputError("not in canonical form", where="statistics")
        return made

    def digest(self) -> str:
        """Return the SHA-256 (hex) of settings and arrays: the same for any order, split and number of shards."""
        header, _ = encode(self.settings.model_dump(mode="json"), self._arrays())
        return hashlib.sha256(header).hexdigest()

    def sample(self) -> Sample:
        """Return what inference reads: distinct messages by priority, and flows in their own order."""
        messages, flows = self.messages, self.flows
        kept = flows.columns["cut"] == 0
        ordered = np.flatnonzero(kept)[np.argsort(flows.columns["flow"][kept], kind="stable")]
        own = {name: column[ordered] for name, column in flows.columns.items()}
        hashes = np.unique(np.concatenate([messages.columns["capture"], own["capture"]]))
        return Sample(
            view=_view(messages.columns, messages.payloads, slice(None), hashes),
            counts=messages.columns["counts"],
            directions=messages.columns["directions"],
            held_out=self._held_out(),
            flows=FlowSample(
                view=_view(own, flows.payloads, ordered, hashes),
                src=own["src"], dst=own["dst"], address_length=own["address_length"],
                sport=own["sport"], dport=own["dport"],
            ),
            total=self.total,
            complete=self.complete,
            capture_hashes=tuple(_hex(value) for value in hashes),
        )  # fmt: skip

    def _held_out(self) -> NDArray[np.bool_]:
        drawn = mix(self.messages.columns["priority"], key(self.settings.seed, HELD_OUT))
        held = drawn < np.uint64(int(self.settings.held_out * 2**64))
        if held.all():
            held[:1] = False  # something has to propose
        return held


def _nbytes(value: Any) -> int:
    match value:
        case np.ndarray() | Waiting():
            return int(value.nbytes)
        case Payloads():
            return int(value.data.nbytes + value.starts.nbytes + value.lengths.nbytes)
        case dict():
            return sum(map(_nbytes, value.values()))
        case _:
            return 0


def _view(
    columns: dict[str, NDArray[Any]], payloads: Payloads, rows: slice | NDArray[np.int64], hashes: NDArray[np.uint64]
) -> MessageView:
    return MessageView(
        data=payloads.data,
        starts=payloads.starts[rows],
        lengths=payloads.lengths[rows],
        ts=np.where(np.isinf(columns["ts"]), np.nan, columns["ts"]),
        flow=columns["flow"],
        direction=columns["direction"],
        source=np.searchsorted(hashes, columns["capture"]).astype(np.int32),
        number=columns["number"],
    )


def _hex(capture: np.uint64) -> str:
    return f"{int(capture):016x}" if capture else ""
