"""A capture rotated into files gives the messages of the capture, however it is cut and divided."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch, packet_and_part
from qbitel.discovery.capture_set import Asked, Block, FileFacts, decide, joined, messages_in, open_file
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import CaptureLimits, read_capture
from qbitel.discovery.captures.packed import Packed
from qbitel.discovery.errors import InputError, LimitError
from qbitel.discovery.spec.framing import DatagramFraming, LengthFraming

FRAMINGS = {"modbus": LengthFraming(offset=4, width=2, endianness="big", bias=6), "dns": DatagramFraming()}


def rotated(capture: Path, folder: Path, ends: list[int]) -> list[Path]:
    """Write the packets of a little-endian pcap file into files that end after so many of them."""
    data = capture.read_bytes()
    records, at = [], 24
    while at < len(data):
        size = 16 + struct.unpack_from("<I", data, at + 8)[0]
        records.append(data[at : at + size])
        at += size
    paths = []
    for number, (a, b) in enumerate(zip([0, *ends], [*ends, len(records)], strict=True)):
        paths.append(folder / f"cap{number}.pcap")
        paths[-1].write_bytes(data[:24] + b"".join(records[a:b]))
    return paths


def pieces_of(paths: list[Path], most: int) -> list[Packed]:
    """Return the packets of files."""
    readers = [open_file(path.name, str(path), number) for number, path in enumerate(paths)]
    return [piece for reader in readers for piece in reader.packets(most)]


def whole(blocks: list[Block], begins: list[int]) -> MessageBatch:
    """Return the messages of blocks with places in the whole capture, in order of capture."""
    tables = []
    for block in blocks:
        packets = [packet_and_part(int(number)) for number in block.batch.view().number]
        places = [((packet + begins[block.file]) << 16) + part for packet, part in packets]
        table = block.batch.table
        tables.append(table.set_column(5, "number", [places]))
    batch = MessageBatch.concatenate([MessageBatch(table) for table in tables])
    return batch.take(np.argsort(batch.view().number, kind="stable"))


@pytest.mark.parametrize("name", list(FRAMINGS))
@settings(max_examples=25)
@given(data=st.data())
def test_rotated_and_divided_capture_gives_the_messages_of_the_capture(
    data: st.DataObject, name: str, example_captures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut at any packets, read in pieces of any size and divided by hosts into any parts, the messages are the same."""
    capture = example_captures / f"{name}.pcap"
    count = read_capture(capture).counters.packets
    ends = sorted(data.draw(st.sets(st.integers(1, count - 1), max_size=4)))
    parts, most = data.draw(st.integers(1, 5)), data.draw(st.integers(1, count + 1))
    paths = rotated(capture, tmp_path_factory.mktemp("set"), ends)
    pieces = pieces_of(paths, max(most, 40))
    (alone,) = protocols_in([read_capture(capture)], framing=FRAMINGS[name])
    decided = decide(Packed.concatenate(pieces), Asked(framing=FRAMINGS[name]))
    divided: dict[int, list[Packed]] = {}
    for piece in pieces:
        for part, packets in piece.divided(parts).items():
            divided.setdefault(part, []).append(Packed.from_bytes(packets.to_bytes()))
    found = [b for some in divided.values() for b in messages_in(Packed.concatenate(some), decided)]
    assert decided.known == {alone.known.protocol: alone.known}
    table = alone.messages.table
    places = [(packet << 16) + part for packet, part in map(packet_and_part, table["number"].to_pylist())]
    expected = MessageBatch(table.set_column(5, "number", [places]))
    assert whole(found, [0, *ends]) == expected


def test_parts_of_a_block_are_joined_in_order_of_capture() -> None:
    """What several parts have of one block comes out by number."""
    parts = [MessageBatch.from_payloads([b"a", b"c"], number=[0, 2]), MessageBatch.from_payloads([b"b"], number=[1])]
    assert joined(parts).payloads() == [b"a", b"b", b"c"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("port", [None, 502])
def test_table_read_in_blocks_gives_the_rows_of_the_table(form: str, port: int | None, tmp_path: Path) -> None:
    """Row groups and batches of any size, what was odd counted once for all of them, and what carries all rows."""
    rows, path = 150_000, tmp_path / "table"
    columns = {
        "payload": [None if i % 50_000 == 7 else i.to_bytes(4, "big") for i in range(rows)],
        "src": ["nobody" if i % 60_000 == 9 else "10.0.0.1" for i in range(rows)],
        "sport": [40_000 + i % 3 for i in range(rows)], "dport": [502 if i % 5 else 503 for i in range(rows)],
        "direction": ["c2s"] * rows, "transport": ["udp"] * rows,
    }  # fmt: skip
    table = pa.table(columns)
    if form == "parquet":
        pq.write_table(table, path, row_group_size=40_000)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=33_333)
    reader = open_file("table", str(path), 0)
    reader.survey(port)
    blocks = list(reader.rows(port))
    assert [block.number for block in blocks] == [0, 1, 2]
    capture = read_capture(path, port=port)
    (group,) = capture.groups
    assert MessageBatch.concatenate([block.batch for block in blocks]) == MessageBatch.concatenate([group.batch])
    assert sorted(reader.facts.warnings) == sorted(capture.warnings)
    assert len(capture.warnings) == 2
    assert reader.facts == FileFacts("table", capture.sha256, rows, reader.facts.warnings, group.transport, group.port)


def test_damage_and_size_of_a_table_show_before_its_first_message_is_used(tmp_path: Path) -> None:
    """A survey reads to the end: a page that is damaged there, and a block over the limit, are told by it."""
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"payload": [bytes(200)] * 100_000}), path, row_group_size=70_000, use_dictionary=False)
    with pytest.raises(LimitError, match="more than 1000000 bytes"):
        open_file("table", str(path), 0, CaptureLimits(expanded_bytes=1_000_000)).survey()
    with pytest.raises(LimitError, match="more than 15000000 bytes"):
        open_file("table", str(path), 0, CaptureLimits(input_bytes=15_000_000)).survey()
    open_file("table", str(path), 0, CaptureLimits(expanded_bytes=15_000_000)).survey()  # both blocks have 20,400,000
    place = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[place.data_page_offset : place.data_page_offset + 64] = bytes(64)
    path.write_bytes(content)
    reader = open_file("table", str(path), 0)
    assert next(reader.rows()).number == 0
    with pytest.raises(InputError, match="cannot read the table"):
        reader.survey()
