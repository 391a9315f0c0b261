"""Segments give back what was written, and notice every change of a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.cluster.entries import BatchKey
from qbitel.cluster.segment import (
    Record,
    batch_digest,
    decode_segment,
    encode_record,
    encode_segment,
    merged_segment,
)
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError


def record(key: str, payloads: list[bytes]) -> Record:
    """Return a record of payloads in two flows."""
    batch = MessageBatch.from_payloads(payloads, flow=[n % 2 + 1 for n in range(len(payloads))])
    return Record(BatchKey(key, 7, batch_digest(batch), len(payloads)), "ab" * 8, batch)


@given(st.lists(st.lists(st.binary(max_size=20), max_size=5), max_size=4))
def test_records_are_read_as_they_were_written(contents: list[list[bytes]]) -> None:
    """Keys, captures and messages of every record come back in order."""
    records = [record(f"k{n}", payloads) for n, payloads in enumerate(contents)]
    assert decode_segment(encode_segment([encode_record(each) for each in records]), "here") == records


@given(st.lists(st.lists(st.binary(max_size=20), max_size=5), min_size=1, max_size=5), st.integers(0, 5))
def test_merged_segment_is_what_one_write_would_have_made(contents: list[list[bytes]], cut: int) -> None:
    """Segments are joined byte for byte, and one that is damaged joins nothing."""
    records = [encode_record(record(f"k{n}", payloads)) for n, payloads in enumerate(contents)]
    parts = [encode_segment(records[:cut]), encode_segment(records[cut:])]
    assert merged_segment([(part, "here") for part in parts]) == encode_segment(records)
    damaged = parts[0] + records[0][:-1]
    with pytest.raises(InputError, match="there"):
        merged_segment([(damaged, "there"), (parts[1], "here")])


@given(st.lists(st.integers(0, 30), min_size=3, max_size=8), st.data())
def test_record_holds_nothing_of_its_neighbours(lengths: list[int], data: st.DataObject) -> None:
    """The bytes of a slice have no payload and no address of the rows around it, however Arrow pads its buffers."""
    first = data.draw(st.integers(0, len(lengths) - 1))
    count = data.draw(st.integers(1, len(lengths) - first))
    texts = [bytes([65 + row]) * 12 + b"." * length for row, length in enumerate(lengths)]
    batch = MessageBatch.from_payloads(texts, src=[text[:12] if row % 2 else None for row, text in enumerate(texts)])
    written = encode_record(Record(BatchKey("k", 7, "d", count), "", batch.slice(first, count)))
    rows = [row for row, text in enumerate(texts) if text[:12] in written]
    assert rows == list(range(first, first + count))


@given(st.data())
def test_changed_or_missing_bytes_are_noticed(data: st.DataObject) -> None:
    """A segment with one other byte, or cut anywhere within a record, is not read."""
    whole = encode_segment([encode_record(record("a", [b"one", b"two"]))])
    at = data.draw(st.integers(0, len(whole) - 1))
    other = bytearray(whole)
    other[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError):
        decode_segment(bytes(other), "here")
    if at > 8:
        with pytest.raises(InputError):
            decode_segment(whole[:at], "here")


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=12), st.integers(0, 11))
def test_digest_of_a_batch_does_not_see_how_it_lies_in_memory(payloads: list[bytes], cut: int) -> None:
    """Slices, chunks and copies of the same messages have one digest; other messages, orders and captures another."""
    batch = MessageBatch.from_payloads(payloads, number=list(range(len(payloads))))
    cut = min(cut, len(payloads))
    joined = MessageBatch.concatenate([batch.slice(0, cut), batch.slice(cut)])
    assert batch_digest(joined) == batch_digest(batch) == batch_digest(MessageBatch.from_view(batch.view()))
    assert batch_digest(batch, "00") != batch_digest(batch)
    longer = MessageBatch.from_payloads([*payloads, b""], number=[*range(len(payloads)), 0])
    assert batch_digest(longer) != batch_digest(batch)
