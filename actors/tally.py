"""The statistics of one virtual shard, counted in runs and packed while nobody needs them."""

from __future__ import annotations

from ..cluster.journal import count
from ..cluster.segment import Record
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics

RUN_BYTES = 1 << 20  # of waiting messages: a run costs a millisecond or more, however short it is


class Tally:
    """
    Statistics that are brought up to date when enough messages wait, or when somebody asks.

    Attributes:
        waiting: bytes of records that are not counted yet.
    """

    def __init__(self, settings: DiscoverySettings) -> None:
        self._settings = settings
        self._live: MessageStatistics | None = None
        self._packed: bytes | None = None
        self._records: list[Record] = []
        self.waiting = 0

    @property
    def live(self) -> bool:
        """Whether the statistics lie in memory as arrays (some 14 MB) and not packed (about 1 MB)."""
        return self._live is not None

    @property
    def due(self) -> bool:
        """Whether so much waits that it should be counted."""
        return self.waiting >= RUN_BYTES

    def add(self, record: Record) -> None:
        """Take a record; it is counted later."""
        self._records.append(record)
        self.waiting += record.batch.table.nbytes + sum(len(each.statistics) for each in record.counted)

    def statistics(self) -> MessageStatistics:
        """Count what waits, and return the statistics; the caller does not change them."""
        if self._live is None:
            packed, self._packed = self._packed, None
            self._live = MessageStatistics.from_bytes(packed) if packed else MessageStatistics(self._settings)
        self._live = count(self._live, self._records)
        self._records, self.waiting = [], 0
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
        self._packed, self._records, self.waiting = None, [], 0

    def pack(self) -> None:
        """Keep the statistics as bytes until they are needed again."""
        if self._live is not None:
            self._packed, self._live = self.to_bytes(), None
