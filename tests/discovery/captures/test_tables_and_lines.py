"""Parquet, Arrow, JSON lines and hexadecimal lines: rows are messages of one protocol."""

from __future__ import annotations

import base64
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qbitel.discovery.captures import Capture, CaptureLimits, messages_of, read_capture
from qbitel.discovery.errors import InputError, LimitError
from qbitel.discovery.spec.framing import LengthFraming, SegmentFraming

ROWS = {
    "payload": [b"a", b"bb", b"bb", None, b"\0\1"],
    "ts": [1.5, None, float("nan"), 4.0, 5.0],
    "stream": ["s1", "s1", "s2", None, None],
    "direction": ["c2s", "s2c", None, "sideways", "c2s"],
    "src": ["127.0.0.1", "::1", "02:00:00:00:00:01", "nobody", None],
    "dst": ["127.0.0.2", "::2", None, None, None],
    "sport": [40000, 502, 40001, None, 70000],
    "dport": [502, 40000, 502, None, None],
    "transport": ["tcp", "tcp", "tcp", None, "udp"],
    "colour": ["red"] * 5,
}


def parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=2)
    return out.getvalue()


def arrow(table: pa.Table, make: Callable[..., pa.RecordBatchWriter]) -> bytes:
    """Return a table as an Arrow stream or file."""
    out = io.BytesIO()
    with make(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return out.getvalue()


def only_rows(capture: Capture) -> list[dict[str, object]]:
    """Return the rows of the only group."""
    (group,) = capture.groups
    assert group.name == "messages"
    rows: list[dict[str, object]] = group.batch.to_arrow().to_pylist()
    return rows


ENCODINGS = {
    "parquet": parquet,
    "arrow": lambda table: arrow(table, pa.ipc.new_stream),
    "arrow file": lambda table: arrow(table, pa.ipc.new_file),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rows_stay_messages_in_order(encoding: str, tmp_path: Path) -> None:
    """Nothing is regrouped, reframed or deduplicated; text addresses become bytes; what is unknown stays null."""
    path = tmp_path / "table"
    path.write_bytes(ENCODINGS[encoding](pa.table(ROWS)))
    capture = read_capture(path)
    assert capture.format == encoding.split()[0]
    rows = only_rows(capture)
    assert [row["payload"] or b"" for row in rows] == [b"a", b"bb", b"bb", b"", b"\0\1"]
    assert [row["ts"] for row in rows] == [1.5, None, None, 4.0, 5.0]
    assert [row["direction"] for row in rows] == [1, 2, 0, 0, 1]
    assert [row["src"] for row in rows] == [b"\x7f\0\0\1", bytes(15) + b"\1", b"\2\0\0\0\0\1", None, None]
    assert [row["sport"] for row in rows] == [40000, 502, 40001, None, None]
    assert [row["number"] for row in rows] == [0, 1, 2, 3, 4]
    assert len({row["flow"] for row in rows[:3]}) == 3
    assert (rows[3]["flow"], rows[4]["flow"]) == (0, 0)
    assert any("without a payload" in warning for warning in capture.warnings)
    assert any("no address" in warning for warning in capture.warnings)


def test_a_payload_column_is_enough() -> None:
    """Without the optional columns times, flows and directions are unknown."""
    (row,) = only_rows(read_capture(parquet(pa.table({"payload": [b"x"]}))))
    assert row == {
        "payload": b"x", "ts": None, "flow": 0, "direction": 0, "source": None, "number": 0,
        "src": None, "dst": None, "sport": None, "dport": None,
    }  # fmt: skip


def test_flow_of_rows_is_that_of_the_endpoints_either_way() -> None:
    """Two rows with exchanged endpoints share a flow."""
    table = pa.table({
        "payload": [b"q", b"r", b"q"],
        "src": ["1.1.1.1", "2.2.2.2", "1.1.1.1"], "dst": ["2.2.2.2", "1.1.1.1", "2.2.2.2"],
        "sport": [9, 8, 7], "dport": [8, 9, 8],
    })  # fmt: skip
    flows = [row["flow"] for row in only_rows(read_capture(parquet(table)))]
    assert flows[0] == flows[1] != flows[2]


def test_rows_are_regrouped_and_joined_only_if_asked() -> None:
    """Grouping by port makes streams of TCP rows, which framing then cuts."""
    table = pa.table({
        "payload": [b"\3ab\2", b"x", b"c", b"\1", b"dns"], "transport": ["tcp"] * 4 + ["udp"], "stream": [1] * 5,
        "direction": ["c2s", "s2c", "c2s", "c2s", "c2s"], "sport": [9, 502, 9, 9, 9], "dport": [502, 9, 502, 502, 53],
    })  # fmt: skip
    content = parquet(table)
    assert len(only_rows(read_capture(content))) == 5
    capture = read_capture(content, group="port")
    assert [(group.name, group.stream) for group in capture.groups] == [("tcp_502", True), ("udp_53", False)]
    group = capture.groups[0]
    framing = LengthFraming(offset=0, width=1, endianness="big", bias=0)
    assert messages_of(group, framing).payloads() == [b"\3ab", b"\2c", b"x", b"\1"]
    assert messages_of(group, SegmentFraming()).payloads() == [b"\3ab\2", b"x", b"c", b"\1"]
    assert [group.name for group in read_capture(content, port=53).groups] == ["messages"]


def test_hexadecimal_lines() -> None:
    """Separators, 0x, comments and empty lines are understood; a bad line is named and left out."""
    text = "0a0B 0c\n# comment\n\n0x01 0x02:03-04  # trailing\nzz\n0a0\n"
    capture = read_capture(text.encode(), format="hex")
    assert [row["payload"] for row in only_rows(capture)] == [b"\n\x0b\x0c", b"\1\2\3\4"]
    assert [warning.split(" was")[0] for warning in capture.warnings] == ["line 5", "line 6"]
    assert read_capture(b"0a0b\n0c0d\n").format == "hex"


def test_a_line_of_any_length_takes_memory_in_proportion() -> None:
    """A message of eight megabytes in one line is read with no more than a few times its text."""
    text = b"0a" * (8 << 20)
    tracemalloc.start()
    try:
        assert len(only_rows(read_capture(text))[0]["payload"]) == 8 << 20
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("odd", [0, 1, 3])
def test_a_bad_line_near_the_start_does_not_hide_what_the_others_are(odd: int) -> None:
    """Text is what most of its first lines are, so that a bad one is named wherever it stands."""
    for lines in (["0a0b", "0c0d", "0e0f"], ['{"hex": "0a"}', '{"hex": "0b"}', '{"hex": "0c"}']):
        capture = read_capture("\n".join([*lines[:odd], "oops!", *lines[odd:]]).encode())
        assert len(only_rows(capture)) == 3
        assert [warning.split(" was")[0] for warning in capture.warnings] == [f"line {odd + 1}"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"time,payload\n1,0a0b\n", "line 1 is neither pairs of hexadecimal digits nor a JSON object"),
        (b"0a0b\nand\nother\nwords\n", "line 2 is neither"),
        (b"# only a comment\n\n", "no line holds anything"),
        (b'{"payload": 1}\n{"payload": 2}\n', "line 1: no JSON object with a string"),
        (b"\t0x0000:  4500 0034\n\t0x0010:  aabb\n", "lines begin with offsets.*text2pcap"),
        (b"00000000  d4 c3 b2 a1\n00000010  00 00\n", "lines begin with offsets"),
    ],
)
def test_text_that_holds_no_messages_says_which_line_speaks_against_it(content: bytes, reason: str) -> None:
    """A table, prose, comments alone and dumps with offsets are refused in words that name the line or the way out."""
    with pytest.raises(InputError, match=reason):
        read_capture(content)


def test_columns_of_other_kinds_are_told_and_left_out() -> None:
    """A nested column is no stream, a direction of other words is unknown, and JSON says what it could not use."""
    table = pa.table({"payload": [b"a", b"b"], "stream": [{"x": 1}] * 2, "direction": ["C2S", "up"]})
    capture = read_capture(parquet(table))
    assert [row["direction"] for row in only_rows(capture)] == [1, 0]
    assert capture.warnings == ["1 values of column 'direction' are neither c2s nor s2c: they were left out"]
    capture = read_capture(b'{"hex": "0a", "ts": "noon"}\n{"hex": "0b", "ts": 2}\n')
    assert [row["ts"] for row in only_rows(capture)] == [None, 2]
    assert capture.warnings == ["1 values of 'ts' are of another kind: they were left out"]


@pytest.mark.parametrize("encode", [bytes.hex, lambda raw: base64.b64encode(raw).decode()])
def test_json_lines_with_base64_or_hexadecimal_payloads(encode: Callable[[bytes], str]) -> None:
    """Payloads are hexadecimal if every one is, else Base64; the other keys are those of tables."""
    payloads = [b"abc", b"\xff\xfe\0", b"defg"]
    rows = [{"payload": encode(p), "ts": i, "direction": "s2c", "src": "10.0.0.1"} for i, p in enumerate(payloads)]
    lines = [json.dumps(row) for row in rows]
    capture = read_capture("\n".join([*lines, "{broken", "[1]"]).encode())
    rows = only_rows(capture)
    assert capture.format == "jsonl"
    assert [row["payload"] for row in rows] == payloads
    assert [row["ts"] for row in rows] == [0, 1, 2]
    assert {row["direction"] for row in rows} == {2}
    assert len(capture.warnings) == 2


def test_wrong_base64_is_left_out_with_its_line() -> None:
    """A payload that is neither hexadecimal nor Base64 costs its line only; if all are, the input is refused."""
    capture = read_capture(b'{"payload": "YWJj"}\n{"payload": "*"}\n')
    assert [row["payload"] for row in only_rows(capture)] == [b"abc"]
    assert capture.warnings == ["line 2 was left out: the payload is neither hexadecimal nor Base64"]
    with pytest.raises(InputError, match="no line holds a message"):
        read_capture(b'{"payload": "*"}\n')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (parquet(pa.table({"data": [b"x"]})), "payload"),
        (parquet(pa.table({"payload": ["text"]})), "payload"),
        (parquet(pa.table({"payload": [[1, 2]]})), "no binary column"),
        (parquet(pa.Table.from_arrays([pa.array([b"x"])] * 2, ["payload"] * 2)), "2 columns"),
        (parquet(pa.table({"payload": pa.array([], pa.binary())})), "no rows"),
        (parquet(pa.table({"payload": [b"x"]}))[:-9], "cannot read the table"),
        (arrow(pa.Table.from_arrays([pa.array([b"x"])] * 2, ["payload"] * 2), pa.ipc.new_stream), "2 columns"),
        (b"PAR1" + bytes(50), "cannot read the table"),
        (b"ARROW1", "cannot read the table"),
        (b"ARROW1" + bytes(50), "cannot read the table"),
        (b"\xff\xff\xff\xff" + bytes(50), "<bytes>"),
    ],
)
def test_tables_that_cannot_be_read_say_why(content: bytes, reason: str) -> None:
    """A damaged table, one without binary payloads, and one without rows are input errors of one line."""
    with pytest.raises(InputError, match=reason) as caught:
        read_capture(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("open_sink", [pa.ipc.new_stream, pa.ipc.new_file])
def test_what_compressed_arrow_expands_to_is_known_before_it_is_expanded(
    compression: str | None, open_sink: Callable[..., Any]
) -> None:
    """A small body that expands beyond the limit is refused; within the limit it is read."""
    table = pa.table({"payload": pa.array([bytes(1 << 20)] * 4, pa.binary())})
    sink = pa.BufferOutputStream()
    with open_sink(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    held = pa.total_allocated_bytes()
    with pytest.raises(LimitError, match="expands to 41943"):
        read_capture(content, limits=CaptureLimits(expanded_bytes=1 << 20))
    assert pa.total_allocated_bytes() - held < 1 << 20
    assert len(only_rows(read_capture(content, limits=CaptureLimits(expanded_bytes=5 << 20)))) == 4


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_arrow_become_seconds(unit: str) -> None:
    """A column of Arrow timestamps, in whatever unit, is read as seconds."""
    ticks = 1_760_000_001 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    content = parquet(pa.table({"payload": [b"x"], "ts": pa.array([ticks], pa.timestamp(unit))}))
    assert only_rows(read_capture(content))[0]["ts"] == pytest.approx(1_760_000_001, abs=1e-6)


def test_a_stream_that_is_cut_gives_the_batches_before() -> None:
    """A damaged tail of an Arrow stream is a warning, not an error."""
    table = pa.table({"payload": [bytes(400)] * 6})
    capture = read_capture(arrow(table, pa.ipc.new_stream)[:-300])
    assert len(only_rows(capture)) == 4
    assert any("damaged" in warning for warning in capture.warnings)


def test_tables_are_bounded() -> None:
    """Bytes over the limit are refused; rows over the limit are left out with a warning."""
    content = parquet(pa.table({"payload": [bytes(1000)] * 100}))
    with pytest.raises(LimitError):
        read_capture(content, limits=CaptureLimits(expanded_bytes=50_000))
    capture = read_capture(content, limits=CaptureLimits(packets=10))
    assert len(only_rows(capture)) == 10
    assert any("limit" in warning for warning in capture.warnings)


def test_a_dictionary_that_expands_without_bound_is_refused() -> None:
    """A long value that a small file repeats in every row is counted before memory is spent on it."""
    payload = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array([bytes(1 << 16)], pa.binary()))
    table = pa.table({"payload": payload})
    out = io.BytesIO()
    pq.write_table(table, out)
    assert len(out.getvalue()) < 100_000
    for content in (out.getvalue(), arrow(table.combine_chunks(), pa.ipc.new_stream)):
        with pytest.raises(LimitError):
            read_capture(content, limits=CaptureLimits(expanded_bytes=1 << 24))
    few = pa.table({"payload": payload[:3], "transport": pa.array(["udp"] * 3).dictionary_encode()})
    for content in (parquet(few), arrow(few, pa.ipc.new_stream)):
        rows = only_rows(read_capture(content, limits=CaptureLimits(expanded_bytes=1 << 20)))
        assert [row["payload"] for row in rows] == [bytes(1 << 16)] * 3
