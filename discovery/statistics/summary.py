"""StatisticsSummary: what the statistics say, in figures for people and plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .lengths import EXACT
from .message_statistics import MessageStatistics

_PRINTABLE = np.array([32 <= v < 127 or v in (9, 10, 13) for v in range(256)])
_QUANTA = 1 << 16


@dataclass(frozen=True)
class StatisticsSummary:
    """
    Readings of ``MessageStatistics``; shares and bits are multiples of 2**-16.

    Attributes:
        messages, payload_bytes, longest, cut: counts (``cut``: longer than ``max_message_bytes``).
        distinct, distinct_error: distinct payloads and the relative standard error of that number.
        directions: unknown, client to server, server to client.
        length_quantiles: lengths at 0, 5, 25, 50, 75, 95 and 100 %; above 4096 the upper end of the bucket.
        offsets: (n,) int64, 0… from the front, then -64…-1 from the end; the arrays below have a row for each.
        reached: messages that have a byte there; values: distinct byte values; entropy: bits, 0 to 8.
        printable: share of printable ASCII, tab, CR, LF; commonest, commonest_share: the most frequent byte.
        bit_set, bit_change: (n, 8) shares, bit 0 is the lowest; NaN from the end; changed is unlike the byte before.
        histogram: (n, 256) int64, messages by byte value.
        mutual_information: bits that the byte tells about the next one; NaN where pairs are not counted exactly.
    """

    messages: int
    payload_bytes: int
    longest: int
    cut: int
    distinct: int
    distinct_error: float
    directions: tuple[int, int, int]
    length_quantiles: tuple[int, ...]
    offsets: NDArray[np.int64]
    reached: NDArray[np.int64]
    values: NDArray[np.int64]
    entropy: NDArray[np.float64]
    printable: NDArray[np.float64]
    commonest: NDArray[np.uint8]
    commonest_share: NDArray[np.float64]
    bit_set: NDArray[np.float64]
    bit_change: NDArray[np.float64]
    mutual_information: NDArray[np.float64]
    histogram: NDArray[np.int64]

    def to_arrow(self) -> pa.Table:
        """Return a table of one row an offset; the counts of the whole are in the schema's metadata."""
        names = (
            "offsets", "reached", "values", "entropy", "printable", "commonest", "commonest_share",
            "mutual_information",
        )  # fmt: skip
        table = pa.table({"offset" if name == "offsets" else name: getattr(self, name) for name in names})
        for name in ("bit_set", "bit_change"):
            bits = pa.FixedSizeListArray.from_arrays(pa.array(getattr(self, name).reshape(-1)), 8)
            table = table.append_column(name, bits)
        counts = pa.FixedSizeListArray.from_arrays(pa.array(self.histogram.reshape(-1)), 256)
        table = table.append_column("histogram", counts)
        whole = {name: str(getattr(self, name)) for name in ("messages", "payload_bytes", "longest", "cut", "distinct")}
        return table.replace_schema_metadata(whole)


def summarise(statistics: MessageStatistics) -> StatisticsSummary:
    """Return the readings of statistics."""
    front = statistics.bytes.front[: np.count_nonzero(statistics.bytes.front.any(axis=1))]
    end = statistics.bytes.end[: np.count_nonzero(statistics.bytes.end.any(axis=1))][::-1]
    counts = np.concatenate([front, end])
    reached = counts.sum(axis=1)
    total = np.maximum(reached, 1)[:, None]
    distinct, error = statistics.distinct()
    missing = np.full((len(end), 8), np.nan)
    bits = [np.concatenate([_quantised(c[: len(front)] / total[: len(front)]), missing])
            for c in (statistics.bits.ones, statistics.bits.changes)]  # fmt: skip
    lengths = statistics.lengths
    unknown, to_server, to_client = (int(n) for n in statistics.directions.counts)
    return StatisticsSummary(
        messages=statistics.total,
        payload_bytes=int(lengths.totals[0]),
        longest=int(lengths.totals[1]),
        cut=int(lengths.totals[2]),
        distinct=distinct,
        distinct_error=error,
        directions=(unknown, to_server, to_client),
        length_quantiles=_length_quantiles(statistics),
        offsets=np.concatenate([np.arange(len(front)), np.arange(-len(end), 0)]),
        reached=reached,
        values=np.count_nonzero(counts, axis=1),
        entropy=_quantised(_entropy(counts)),
        printable=_quantised(counts[:, _PRINTABLE].sum(axis=1) / total[:, 0]),
        commonest=counts.argmax(axis=1).astype(np.uint8),
        commonest_share=_quantised(counts.max(axis=1, initial=0) / total[:, 0]),
        bit_set=bits[0],
        bit_change=bits[1],
        mutual_information=np.concatenate([_neighbour_information(statistics, len(front)), missing[:, 0]]),
        histogram=counts,
    )


def _quantised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(values * _QUANTA) / _QUANTA


def _entropy(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Shannon entropy in bits of each row of counts, 0 for an empty row."""
    total = np.maximum(counts.sum(axis=-1), 1)
    share = counts / total[..., None]
    return np.asarray(-(share * np.log2(np.where(share > 0, share, 1))).sum(axis=-1) + 0.0)


def _neighbour_information(statistics: MessageStatistics, width: int) -> NDArray[np.float64]:
    """Return H(byte) + H(next) - H(pair) of each offset over the messages that have both, NaN where not exact."""
    information = np.full(width, np.nan)
    pairs = statistics.pairs
    for offset in range(min(width, len(pairs.hashed))):
        codes, counts = pairs.at(offset)
        if not pairs.hashed[offset] and len(codes):
            first = np.bincount(codes >> 8, counts, 256)
            second = np.bincount(codes & 255, counts, 256)
            information[offset] = max(float(_entropy(first) + _entropy(second) - _entropy(counts)), 0.0)
    return _quantised(information)


def _length_quantiles(statistics: MessageStatistics) -> tuple[int, ...]:
    lengths = statistics.lengths
    if not statistics.total:
        return ()
    values = np.concatenate([np.arange(EXACT + 1), 2 ** (13 + np.arange(len(lengths.buckets) - 1)), [2**63 - 1]])
    below = np.cumsum(np.concatenate([lengths.exact, lengths.buckets]))
    ranks = [-(-statistics.total * percent // 100) for percent in (0, 5, 25, 50, 75, 95, 100)]
    found = [int(values[np.searchsorted(below, max(rank, 1))]) for rank in ranks]
    return tuple(min(value, int(lengths.totals[1])) for value in found)
