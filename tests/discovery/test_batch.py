"""MessageBatch gives the same messages however its Arrow table is cut, and refuses what is no table of messages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.discovery.batch import SCHEMA, MessageBatch
from qbitel.discovery.errors import InputError

PAYLOADS = st.lists(st.one_of(st.none(), st.binary(max_size=12)), max_size=12)


@given(payloads=PAYLOADS, data=st.data())
def test_slices_chunks_and_nulls_give_the_same_messages(payloads: list[bytes | None], data: st.DataObject) -> None:
    """A view of a sliced, chunked, null-bearing table holds the same bytes as the plain list."""
    cut = data.draw(st.integers(0, len(payloads)))
    start = data.draw(st.integers(0, len(payloads)))
    column = pa.chunked_array(
        [pa.array(payloads[:cut], pa.binary()), pa.array(payloads[cut:], pa.binary())], pa.binary()
    )
    view = MessageBatch(pa.table({"payload": column})).slice(start).view()
    assert [view.payload(row) for row in range(len(view))] == [p or b"" for p in payloads[start:]]
    assert view.number.tolist() == list(range(start, len(payloads)))


@given(payloads=st.lists(st.binary(max_size=12), max_size=12), width=st.integers(1, 16))
def test_front_and_back_read_what_exists(payloads: list[bytes], width: int) -> None:
    """The first and last bytes come with a mask of those that exist; the others are zero."""
    view = MessageBatch.from_payloads(payloads).view()
    front, has_front = view.front(width)
    back, has_back = view.back(width)
    for row, payload in enumerate(payloads):
        assert front[row][has_front[row]].tobytes() == payload[:width]
        assert back[row][has_back[row]].tobytes() == payload[-width:]
        assert not front[row][~has_front[row]].any() and not back[row][~has_back[row]].any()


@given(payloads=st.lists(st.binary(max_size=12), max_size=12), seed=st.integers(0, 99))
def test_a_view_becomes_a_batch_again(payloads: list[bytes], seed: int) -> None:
    """Rows taken from a view in any order make a batch of just these messages."""
    ts = [None if i % 3 == 0 else float(i) for i in range(len(payloads))]
    view = MessageBatch.from_payloads(payloads, ts=ts, direction=[i % 3 for i in range(len(payloads))]).view()
    order = np.random.default_rng(seed).permutation(len(payloads)).astype(np.int64)
    again = MessageBatch.from_view(view.take(order))
    assert again.payloads() == [payloads[row] for row in order]
    assert again.table.column("ts").to_pylist() == [ts[row] for row in order]
    assert again.table.column("number").to_pylist() == order.tolist()


def test_missing_columns_are_filled_and_others_dropped() -> None:
    """Only the columns of the schema are kept, in its order."""
    batch = MessageBatch(pa.table({"extra": [1, 2], "payload": pa.array([b"a", b"b"])}))
    assert batch.table.schema.equals(SCHEMA)
    assert batch.table.column("direction").null_count == 2


@pytest.mark.parametrize(
    "table", [pa.table({"x": [1]}), pa.table({"payload": [[1]]}), pa.table({"payload": [b""], "ts": [["x"]]})]
)
def test_other_tables_are_refused(table: pa.Table) -> None:
    """A table without payloads, or with columns of other types, is an input error."""
    with pytest.raises(InputError):
        MessageBatch(table)


def test_concatenation_keeps_order() -> None:
    """Batches join in the order given, and none is an empty batch."""
    joined = MessageBatch.concatenate([MessageBatch.from_payloads([b"a"]), MessageBatch.from_payloads([b"b", b"c"])])
    assert joined.payloads() == [b"a", b"b", b"c"]
    assert len(MessageBatch.concatenate([])) == 0
