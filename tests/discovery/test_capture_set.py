"""A capture rotated into files gives the messages of the capture, however it is cut and divided."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch, packet_and_part
from qbitel.discovery.capture_set import Asked, Block, decide, joined, messages_in, open_file
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import read_capture
from qbitel.discovery.captures.packed import Packed
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
