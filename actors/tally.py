"""The statistics of one virtual shard, counted in runs; packed, then on the disk, while nobody needs them."""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import IO

from ..cluster.journal import count
from ..cluster.segment import Record
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics

RUN_BYTES = 1 << 20  # of waiting messages: a run costs a millisecond or more, however short it is
PACKED_RUN_BYTES = 4 << 20  # where it costs unpacking and packing too
PACKED_BYTES = 1 << 18  # beyond these packing saves little


class Tally:
    """
    Statistics that are brought up to date when enough messages wait, or when somebody asks.

    Attributes:
        waiting: bytes of records that are not counted yet. taken: of all that it was given.
    """

    def __init__(self, settings: DiscoverySettings) -> None:
        self._settings = settings
        self._live: MessageStatistics | None = None
        self._packed: bytes | None = None
        self._spilled: IO[bytes] | None = None
        self._records: list[Record] = []
        self.waiting = self.taken = self._size = 0

    @property
    def memory(self) -> int:
        """Bytes that it takes: of arrays, or packed, and of what waits."""
        return self.waiting + self.packed + (self._size if self._live is not None else 0)

    @property
    def packed(self) -> int:
        """Bytes of statistics that are packed in memory."""
        return len(self._packed) if self._packed is not None else 0

    @property
    def spilled(self) -> bool:
        """Whether the statistics are on the disk."""
        return self._spilled is not None

    @property
    def live(self) -> bool:
        """Whether the statistics are arrays, as they are counted."""
        return self._live is not None

    @property
    def rest(self) -> float:
        """How long it may be, as against others, until the statistics are counted: bytes until then by bytes taken."""
        return (RUN_BYTES - self.waiting) / (self.taken + 1)

    @property
    def due(self) -> bool:
        """Whether so much waits that it should be counted."""
        packed = self._packed is not None or self._spilled is not None
        return self.waiting >= (PACKED_RUN_BYTES if packed else RUN_BYTES)

    def add(self, records: Iterable[Record], size: int) -> None:
        """Take records of a segment, and how many bytes they have there; they are counted later."""
        for record in records:
            self._records.append(record)
            self.waiting += sum(len(each.statistics) for each in record.counted)
        self.waiting += size
        self.taken += size

    def statistics(self) -> MessageStatistics:
        """Count what waits, and return the statistics; the caller does not change them."""
        if self._live is None:
            packed = self._take_packed()
            self._live = MessageStatistics.from_bytes(packed) if packed else MessageStatistics(self._settings)
        self._live = count(self._live, self._records)
        self._records, self.waiting, self._size = [], 0, self._live.nbytes
        return self._live

    def to_bytes(self) -> bytes:
        """Return the statistics as bytes."""
        return self.statistics().to_bytes()

    def load(self, packed: bytes | None) -> None:
        """
        Let the statistics be those of the bytes, or empty.

        Raises:
            InputError: damaged.
        """
        self._live = MessageStatistics.from_bytes(packed) if packed else None
        self._take_packed()
        self._records, self.waiting, self._size = [], 0, self._live.nbytes if self._live else 0

    def pack(self) -> None:
        """Count what waits, and keep the statistics as bytes until they are needed again; many of them on the disk."""
        if self._live is not None or self._records:
            self._packed, self._live = self.to_bytes(), None
            if len(self._packed) > PACKED_BYTES:
                self.spill()

    def spill(self) -> None:
        """Put packed statistics into a file that has no name: whatever ends this process, nothing of it stays."""
        if self._packed is not None:
            self._spilled = TemporaryFile(prefix="qbitel-")  # noqa: SIM115 (it is read when they are needed again)
            self._spilled.write(self._packed)
            self._packed = None

    def _take_packed(self) -> bytes | None:
        packed, self._packed = self._packed, None
        if self._spilled is not None:
            with self._spilled as file:
                file.seek(0)
                packed = file.read()
            self._spilled = None
        return packed
