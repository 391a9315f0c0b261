"""The statistics are a commutative monoid: order, split and number of shards leave no trace."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qbitel.discovery.batch import SCHEMA, MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics, StatisticalAnalyzer
from qbitel.discovery.statistics.chunk import chunks
from qbitel.discovery.statistics.message_statistics import COMPONENTS
from qbitel.discovery.statistics.statistic import Statistic

# small enough that every cap is passed by a few dozen messages
TIGHT = DiscoverySettings(
    sample_messages=16, sample_bytes=1 << 16, sample_flows=2, flow_messages=4, max_message_bytes=20000
)
ROOMY = DiscoverySettings()

payloads = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b"\x00", b"GET /", b"A" * 3000, b"B" * 5000, b"C" * 20000, b"D" * 4096]),
)
message = st.fixed_dictionaries(
    {
        "payload": st.none() | payloads,
        "ts": st.none() | st.sampled_from([0.0, -0.0, 1.5, 2.5, 1e9]),
        "flow": st.none() | st.integers(0, 6),
        "direction": st.none() | st.integers(0, 2),
        "source": st.none() | st.integers(0, 2),
        "number": st.none() | st.integers(0, 9),
        "src": st.none() | st.sampled_from([b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02", b"\x01" * 16, b"odd"]),
        "dst": st.none() | st.sampled_from([b"\x0a\x00\x00\x03", b"\x02" * 6]),
        "sport": st.none() | st.integers(0, 65535),
        "dport": st.none() | st.integers(0, 65535),
    }
)
messages = st.lists(message, max_size=40)


def batch_of(rows: list[dict[str, object]]) -> MessageBatch:
    return MessageBatch(pa.Table.from_pylist(rows, schema=SCHEMA))


def taken(rows: list[dict[str, object]], settings: DiscoverySettings = TIGHT) -> MessageStatistics:
    statistics = MessageStatistics(settings)
    statistics.update(batch_of(rows))
    return statistics


def random_batch(seed: int, n: int, longest: int = 64) -> MessageBatch:
    rng = np.random.default_rng(seed)
    return MessageBatch.from_payloads(
        [rng.integers(0, 256, rng.integers(0, longest), np.uint8).tobytes() for _ in range(n)],
        ts=[float(x) for x in rng.integers(0, 1000, n)],
        flow=[int(x) for x in rng.integers(0, 20, n)],
        direction=[int(x) for x in rng.integers(0, 3, n)],
        number=list(range(n)),
    )


def assert_same_sample(left: Sample, right: Sample) -> None:
    for mine, theirs in ((left.view, right.view), (left.flows.view, right.flows.view)):
        assert [mine.payload(i) for i in range(len(mine))] == [theirs.payload(i) for i in range(len(theirs))]
        for name in ("ts", "flow", "direction", "source", "number"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    for name in ("counts", "directions", "held_out", "total", "complete", "capture_hashes"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    for name in ("src", "dst", "address_length", "sport", "dport"):
        np.testing.assert_array_equal(getattr(left.flows, name), getattr(right.flows, name))


@pytest.mark.parametrize("settings", [TIGHT, ROOMY], ids=["tight", "roomy"])
@given(rows=messages, data=st.data())
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_split_of_any_order_gives_the_same_bytes(
    settings: DiscoverySettings, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    """Messages shuffled and dealt to any number of statistics merge to the bytes of one pass."""
    whole = taken(rows, settings)
    shuffled = data.draw(st.permutations(rows))
    owner = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    parts = [taken([row for row, to in zip(shuffled, owner, strict=True) if to == part], settings) for part in range(5)]
    joined = reduce(MessageStatistics.merge, data.draw(st.permutations(parts)))
    assert joined.to_bytes() == whole.to_bytes()
    assert joined.digest() == whole.digest()
    assert_same_sample(joined.sample(), whole.sample())


@given(messages, messages, messages)
@hypothesis_settings(max_examples=60, deadline=None)
def test_merge_is_associative_and_commutative_with_a_neutral_element(
    a: list[dict[str, object]], b: list[dict[str, object]], c: list[dict[str, object]]
) -> None:
    """(a + b) + c = a + (b + c), a + b = b + a, a + 0 = a, byte for byte, and no operand changes."""
    x, y, z = taken(a), taken(b), taken(c)
    before = x.to_bytes(), y.to_bytes(), z.to_bytes()
    assert x.merge(y).merge(z).to_bytes() == x.merge(y.merge(z)).to_bytes()
    assert x.merge(y).to_bytes() == y.merge(x).to_bytes()
    assert x.merge(MessageStatistics(TIGHT)).to_bytes() == before[0]
    assert (x.to_bytes(), y.to_bytes(), z.to_bytes()) == before


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
@given(rows=messages, more=messages)
@hypothesis_settings(max_examples=25, deadline=None)
def test_every_statistic_keeps_the_contract(
    component: type[Statistic], rows: list[dict[str, object]], more: list[dict[str, object]]
) -> None:
    """Update then merge equals one update, arrays come back as they were, bound and cap are stated."""
    assert component.error_bound and component.cap and component.name

    def of(part: list[dict[str, object]]) -> Statistic:
        made = component(TIGHT)
        for chunk in chunks(batch_of(part), "", TIGHT.seed):
            made.update(chunk)
        return made

    def same(left: Statistic, right: Statistic) -> None:
        mine, theirs = left.to_arrays(), right.to_arrays()
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])

    joined = of(rows).merge(of(more))
    same(joined, of(rows + more))
    same(joined, of(more).merge(of(rows)))
    same(component.from_arrays(TIGHT, joined.to_arrays()), joined)


@pytest.mark.parametrize("settings", [TIGHT, ROOMY], ids=["tight", "roomy"])
def test_one_two_and_many_shards_agree(settings: DiscoverySettings) -> None:
    """A few thousand random messages give one digest in 1, 2 and 64 shards, shuffled or not."""
    batch = random_batch(1, 3000)
    analyzer = StatisticalAnalyzer(settings)
    expected = analyzer.analyze(batch)
    shuffled = batch.take(np.random.default_rng(2).permutation(len(batch)))
    for shards in (1, 2, 64):
        sharded = analyzer.analyze_sharded(shuffled, shards)
        assert sharded.digest() == expected.digest()
        assert_same_sample(sharded.sample(), expected.sample())


@pytest.mark.parametrize("seed", range(12))
def test_caps_in_bytes_leave_no_trace_of_the_order(seed: int) -> None:
    """Messages of very different lengths, taken in pieces and merged, give the samples of one pass."""
    rng = np.random.default_rng(seed)
    n = 60
    sizes = rng.choice([0, 500, 4096, 12000, 16000, 20000, 25000], n, p=[0.04, 0.08, 0.08, 0.2, 0.2, 0.2, 0.2])
    batch = MessageBatch.from_payloads(
        [rng.integers(0, 256, 2, np.uint8).tobytes() * int(size // 2) for size in sizes],
        ts=[float(t) for t in rng.integers(0, 3, n)],
        flow=[int(f) for f in rng.integers(0, 3, n)],
        number=[int(x) for x in rng.integers(0, 4, n)],
    )
    expected = StatisticalAnalyzer(TIGHT).analyze(batch)
    assert (expected.flows.columns["cut"] == 1).any()
    parts = [MessageStatistics(TIGHT) for _ in range(3)]
    for row in rng.permutation(n):
        parts[rng.integers(0, 3)].update(batch.take(np.array([row])))
    joined = parts[0].merge(parts[1].merge(parts[2]))
    assert joined.to_bytes() == expected.to_bytes()
    assert MessageStatistics.from_bytes(joined.to_bytes()).digest() == expected.digest()


def test_pairs_agree_across_the_change_from_exact_to_hashed() -> None:
    """Statistics on both sides of the cap of exact pairs merge to what one pass gives."""
    batch = random_batch(3, 9000, longest=8)
    whole = MessageStatistics(TIGHT)
    whole.update(batch)
    assert whole.pairs.hashed.any() and not whole.pairs.hashed.all()
    for cut in (1, 4000, 8500):
        head, tail = MessageStatistics(TIGHT), MessageStatistics(TIGHT)
        head.update(batch.slice(0, cut))
        tail.update(batch.slice(cut))
        assert head.merge(tail).to_bytes() == tail.merge(head).to_bytes() == whole.to_bytes()
    assert MessageStatistics.from_bytes(whole.to_bytes()).digest() == whole.digest()


@pytest.mark.parametrize("settings", [TIGHT, ROOMY], ids=["tight", "roomy"])
def test_reading_in_between_leaves_no_trace(settings: DiscoverySettings) -> None:
    """Statistics whose samples are read after some of many small updates are those of one update."""
    batch = random_batch(5, 4000)
    expected = StatisticalAnalyzer(settings).analyze(batch)
    read, unread = MessageStatistics(settings), MessageStatistics(settings)
    for round_, start in enumerate(range(0, 4000, 90)):
        for made in (read, unread):
            made.update(batch.slice(start, 90))
        if round_ % 3 == 0:
            assert read.sample().total == read.total
    assert read.to_bytes() == unread.to_bytes() == expected.to_bytes()


def test_slices_chunks_and_other_types_leave_no_trace() -> None:
    """A sliced, rechunked table with narrower types gives the digest of the plain one."""
    batch = random_batch(4, 500)
    expected = StatisticalAnalyzer(TIGHT).analyze(batch).digest()
    table = batch.table
    padded = pa.concat_tables([table.slice(7, 5), table.slice(0, 100), table.slice(100), table.slice(3, 9)])
    narrow = padded.set_column(0, "payload", padded.column("payload").cast(pa.binary()))
    assert StatisticalAnalyzer(TIGHT).analyze(MessageBatch(narrow.slice(5, 500))).digest() == expected
    pieces = [batch.slice(start, 37) for start in range(0, 500, 37)]
    assert StatisticalAnalyzer(TIGHT).analyze(pieces).digest() == expected


def test_captures_are_told_apart_by_hash() -> None:
    """Statistics of two captures merge either way to one sample whose messages name their capture."""
    first, second = "f" * 16, "1" * 64
    a, b = MessageStatistics(TIGHT), MessageStatistics(TIGHT)
    a.update(MessageBatch.from_payloads([b"one", b"two"]), first)
    b.update(MessageBatch.from_payloads([b"three", b"two"]), second)
    both = MessageStatistics(TIGHT)
    mixed = MessageBatch.from_payloads([b"one", b"two", b"three", b"two"], source=[0, 0, 1, 1], number=[0, 1, 0, 1])
    both.update(mixed, [first, second])
    joined = b.merge(a)
    assert joined.to_bytes() == a.merge(b).to_bytes() == both.to_bytes()
    assert joined.captures() == [("1" * 16, 2), (first, 2)]
    sample = joined.sample()
    assert sample.capture_hashes == ("1" * 16, first)
    refs = {
        sample.view.payload(i): (sample.capture_hashes[sample.view.source[i]], int(sample.view.number[i]))
        for i in range(len(sample.view))
    }
    assert refs == {b"one": (first, 0), b"three": ("1" * 16, 0), b"two": ("1" * 16, 1)}
    assert dict(zip(refs, sample.counts.tolist(), strict=True))[b"two"] == 2


def test_other_settings_and_bad_capture_hashes_are_refused() -> None:
    """Statistics of another seed do not merge; a capture hash is hexadecimal and there is one for each source."""
    with pytest.raises(InputError, match="settings differ"):
        MessageStatistics(TIGHT).merge(MessageStatistics(ROOMY))
    batch = MessageBatch.from_payloads([b"x"], source=[1])
    for wrong in ("xyz", "F" * 16, "ab", ["0" * 16]):
        with pytest.raises(InputError):
            MessageStatistics(TIGHT).update(batch, wrong)
