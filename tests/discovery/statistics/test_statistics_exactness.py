"""Each statistic against a plain count over Python bytes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics, StatisticalAnalyzer
from qbitel.discovery.statistics.hashing import hash_contents, key


def messages(n: int = 2000) -> list[bytes]:
    rng = np.random.default_rng(7)
    long = [b"x" * size for size in (0, 1, 4096, 4097, 8192, 8193, 70000)]
    return long + [
        bytes([1, i % 7]) + rng.integers(0, 30, rng.integers(0, 600), np.uint8).tobytes() for i in range(n - len(long))
    ]


@pytest.fixture(scope="module")
def counted() -> tuple[list[bytes], MessageStatistics]:
    payloads = messages()
    return payloads, StatisticalAnalyzer(DiscoverySettings()).analyze(MessageBatch.from_payloads(payloads))


def test_byte_histograms_are_exact(counted: tuple[list[bytes], MessageStatistics]) -> None:
    """Each offset from the front and from the end counts each byte value."""
    payloads, statistics = counted
    for offset in (0, 1, 2, 100, 511):
        expected = Counter(p[offset] for p in payloads if len(p) > offset)
        np.testing.assert_array_equal(statistics.bytes.front[offset], [expected[v] for v in range(256)])
    for back in (0, 1, 63):
        expected = Counter(p[-1 - back] for p in payloads if len(p) > back)
        np.testing.assert_array_equal(statistics.bytes.end[back], [expected[v] for v in range(256)])


def test_pairs_are_exact_below_the_cap_and_never_low_above_it(counted: tuple[list[bytes], MessageStatistics]) -> None:
    """An offset of few distinct pairs counts them exactly; a hashed one counts each message in one cell."""
    payloads, statistics = counted
    for offset in (0, 1, 50, 255):
        assert not statistics.pairs.hashed[offset]
        expected = Counter(p[offset] << 8 | p[offset + 1] for p in payloads if len(p) > offset + 1)
        pairs, counts = statistics.pairs.at(offset)
        assert dict(zip(pairs.tolist(), counts.tolist(), strict=True)) == expected
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 256, 2, np.uint8).tobytes() for _ in range(20000)]
    hashed = StatisticalAnalyzer().analyze(MessageBatch.from_payloads(noisy)).pairs
    assert hashed.hashed[0]
    cells, counts = hashed.at(0)
    assert counts.sum() == len(noisy) and len(cells) <= 8192
    assert counts.max() <= 5 * len(noisy) / 8192 + 20


def test_bits_are_exact(counted: tuple[list[bytes], MessageStatistics]) -> None:
    """Set bits and bits unlike the byte before are counted per offset."""
    payloads, statistics = counted
    for offset in (0, 1, 2, 300, 511):
        reach = [p for p in payloads if len(p) > offset]
        for bit in (0, 4, 7):
            assert statistics.bits.ones[offset, bit] == sum(p[offset] >> bit & 1 for p in reach)
            changed = sum((p[offset] ^ p[max(offset - 1, 0)]) >> bit & 1 for p in reach)
            assert statistics.bits.changes[offset, bit] == changed


def test_lengths_are_exact_up_to_the_cap_and_bucketed_above(counted: tuple[list[bytes], MessageStatistics]) -> None:
    """4096 bytes are counted exactly, 4097 to 8192 in bucket 0, 8193 to 16384 in bucket 1."""
    payloads, statistics = counted
    lengths = Counter(len(p) for p in payloads)
    for length in (0, 1, 2, 300, 4096):
        assert statistics.lengths.exact[length] == lengths[length]
    assert statistics.lengths.buckets[:5].tolist() == [2, 1, 0, 0, 1]
    assert statistics.lengths.totals.tolist() == [sum(map(len, payloads)), 70000, 1]
    assert statistics.lengths.messages == len(payloads) == statistics.total


def test_message_sample_is_the_lowest_hashes_with_exact_counts() -> None:
    """The sample is the k payloads of lowest keyed hash, whatever their frequency, counted exactly with directions."""
    rng = np.random.default_rng(5)
    pool = [rng.integers(0, 256, 9, np.uint8).tobytes() for _ in range(300)]
    draw = [pool[int(i)] for i in rng.integers(0, 300, 4000) ** 2 // 300]
    direction = [int(d) for d in rng.integers(0, 3, 4000)]
    ts = [float(t) for t in rng.permutation(4000)]
    settings = DiscoverySettings(sample_messages=50, seed=11)
    batch = MessageBatch.from_payloads(draw, direction=direction, ts=ts)
    sample = StatisticalAnalyzer(settings).analyze(batch).sample()
    view = batch.view()
    priority = hash_contents(view.data, view.starts, view.lengths, key(11, 1))
    lowest = sorted({(int(h), p) for h, p in zip(priority, draw, strict=True)})[:50]
    assert [sample.view.payload(i) for i in range(50)] == [p for _, p in lowest]
    assert not sample.complete and sample.total == 4000
    counts = Counter(zip(draw, direction, strict=True))
    for i, (_, payload) in enumerate(lowest):
        assert sample.directions[i].tolist() == [counts[payload, d] for d in range(3)]
        assert sample.counts[i] == sample.directions[i].sum()
        first = min(range(4000), key=lambda row: (draw[row] != payload, ts[row]))
        assert (sample.view.ts[i], sample.view.number[i], sample.view.direction[i]) == (
            ts[first],
            first,
            direction[first],
        )


def test_sample_is_bounded_in_bytes_and_long_messages_are_cut() -> None:
    """The sample never passes its bytes, holds the front of long messages, and is not emptied by one of them."""
    settings = DiscoverySettings(sample_bytes=1 << 16, max_message_bytes=4096)
    payloads = [bytes([i % 256, i >> 8]) * 5000 for i in range(200)]
    statistics = StatisticalAnalyzer(settings).analyze(MessageBatch.from_payloads(payloads))
    sample = statistics.sample()
    assert int(sample.view.lengths.sum()) <= 1 << 16 and len(sample.view) == 16
    assert set(sample.view.lengths.tolist()) == {4096} and not sample.complete
    assert all(sample.view.payload(i) in {p[:4096] for p in payloads} for i in range(len(sample.view)))
    assert statistics.lengths.totals[2] == 200


def test_flow_sample_holds_the_first_messages_of_whole_flows() -> None:
    """Each sampled flow keeps its first messages by time, duplicates included, with its endpoints."""
    rng = np.random.default_rng(9)
    n = 3000
    flow = [int(f) * 7919 for f in rng.integers(0, 40, n)]
    ts = [float(t) for t in rng.permutation(n)]
    payloads = [bytes([i % 5]) for i in range(n)]
    src = [bytes([10, 0, 0, f % 251]) for f in flow]
    batch = MessageBatch.from_payloads(payloads, flow=flow, ts=ts, src=src, sport=[f % 65536 for f in flow])
    flows = StatisticalAnalyzer(DiscoverySettings(sample_flows=8, flow_messages=10)).analyze(batch).sample().flows
    chosen = np.unique(flows.view.flow)
    assert len(chosen) == 8
    for value in chosen:
        rows = sorted((row for row in range(n) if flow[row] == value), key=lambda row: ts[row])[:10]
        mine = np.flatnonzero(flows.view.flow == value)
        assert flows.view.number[mine].tolist() == rows
        assert [flows.view.payload(i) for i in mine] == [payloads[row] for row in rows]
        assert flows.src[mine[0]].tobytes() == src[rows[0]].ljust(16, b"\0") and flows.address_length[mine[0]] == 4
        assert flows.sport[mine[0]] == value % 65536 and flows.dport[mine[0]] == -1


def test_held_out_share_is_as_set_and_leaves_something_to_propose() -> None:
    """About the set share of distinct payloads is held out; a single payload never is."""
    payloads = [i.to_bytes(3, "big") for i in range(4000)]
    sample = (
        StatisticalAnalyzer(DiscoverySettings(held_out=0.25)).analyze(MessageBatch.from_payloads(payloads)).sample()
    )
    assert 0.21 < sample.held_out.mean() < 0.29
    for seed in range(8):
        settings = DiscoverySettings(held_out=0.99, seed=seed)
        one = StatisticalAnalyzer(settings).analyze(MessageBatch.from_payloads([b"only"])).sample()
        assert one.held_out.tolist() == [False]


def test_distinct_count_is_exact_then_within_its_error() -> None:
    """Distinct payloads are counted exactly while they fit the sample, then estimated."""
    payloads = [i.to_bytes(3, "big") for i in range(20000)]
    exact = StatisticalAnalyzer().analyze(MessageBatch.from_payloads(payloads[:3000] * 2))
    assert exact.distinct() == (3000, 0.0)
    estimate, error = StatisticalAnalyzer().analyze(MessageBatch.from_payloads(payloads)).distinct()
    assert 0 < error < 0.02 and abs(estimate - 20000) < 4 * error * 20000


def test_summary_reads_entropy_shares_and_quantiles() -> None:
    """A constant offset has no entropy, a uniform one has all of it, and the table has a row an offset."""
    payloads = [bytes([7, i % 256, (i * 37) % 256]) for i in range(2560)]
    analyzer = StatisticalAnalyzer()
    summary = analyzer.summary(analyzer.analyze(MessageBatch.from_payloads(payloads)))
    assert summary.offsets.tolist() == [0, 1, 2, -3, -2, -1]
    assert summary.entropy.tolist() == [0.0, 8.0, 8.0, 0.0, 8.0, 8.0]
    assert summary.values.tolist() == [1, 256, 256, 1, 256, 256]
    assert summary.commonest[0] == 7 and summary.commonest_share[0] == 1.0
    assert summary.mutual_information[:2].tolist() == [0.0, 8.0]
    assert summary.bit_set[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0] and summary.bit_set[1].tolist() == [0.5] * 8
    assert summary.length_quantiles == (3,) * 7 and summary.distinct == 256
    table = summary.to_arrow()
    assert table.num_rows == 6 and table.schema.metadata[b"messages"] == b"2560"
    empty = analyzer.summary(MessageStatistics())
    assert empty.length_quantiles == () and empty.to_arrow().num_rows == 0
