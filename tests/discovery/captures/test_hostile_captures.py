"""Damaged and hostile captures: a clear error, or what can be read with a warning; nothing else."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import Capture, CaptureLimits, messages_of, read_capture, reader
from qbitel.discovery.errors import InputError, LimitError, QbitelError
from qbitel.discovery.framing import infer_framing
from qbitel.discovery.spec.framing import DatagramFraming

EXAMPLES = Path(__file__).parents[3] / "examples" / "captures"
LIMITS = CaptureLimits(expanded_bytes=1 << 22, packets=5000)


def table_bytes(make: object) -> bytes:
    """Return a small Arrow table as bytes."""
    out = io.BytesIO()
    table = pa.table({"payload": [b"abc", b"", None], "src": ["10.0.0.1", None, "x"], "ts": [1.0, None, 3.0]})
    with make(out, table.schema) as writer:  # type: ignore[operator]
        writer.write_table(table)
    return out.getvalue()


def small(name: str, size: int = 6000) -> bytes:
    """Return the first bytes of an example capture."""
    return (EXAMPLES / name).read_bytes()[:size]


SEEDS = {
    "pcap": small("modbus.pcap"),
    "pcapng": small("plant_tcp.pcapng"),
    "dns": small("dns.pcap"),
    "stream": table_bytes(pa.ipc.new_stream),
    "parquet": table_bytes(lambda out, schema: pq.ParquetWriter(out, schema)),
    "hex": b"0a0b0c\n0d0e0f\n",
    "jsonl": b'{"payload": "0a0b", "ts": 1.5}\n{"payload": "0c"}\n',
}


def read_everything(content: bytes) -> Capture | None:
    """Read, frame and cut; return None where the input was refused."""
    try:
        capture = read_capture(content, limits=LIMITS)
    except QbitelError as error:
        assert str(error)
        assert "\n" not in str(error)
        return None
    for group in capture.groups:
        framing = infer_framing(group.streams)[0] if group.stream else DatagramFraming()
        batch = messages_of(group, framing)
        assert int(batch.view().lengths.sum()) == group.size
        batch.to_arrow().validate(full=True)
    return capture


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_captures_are_read_in_part_or_refused(data: st.DataObject) -> None:
    """Flipped, cut, repeated and inserted bytes raise nothing but our errors, and lose no byte of a group."""
    content = bytearray(SEEDS[data.draw(st.sampled_from(sorted(SEEDS)))])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content)))
        what = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat", "ones"]))
        if what == "flip" and at < len(content):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "cut":
            del content[at : at + data.draw(st.integers(1, 200))]
        elif what == "insert":
            content[at:at] = data.draw(st.binary(max_size=40))
        elif what == "repeat":
            content[at:at] = content[at : at + data.draw(st.integers(1, 500))]
        else:
            content[at : at + 4] = b"\xff\xff\xff\xff"
    read_everything(bytes(content))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a", b"\x1f\x8b", b"PAR1", b"{"]),
    st.binary(max_size=300),
)
def test_arbitrary_bytes_are_refused_or_read(magic: bytes, body: bytes) -> None:
    """Any bytes behind any magic raise nothing but our errors."""
    read_everything(magic + body)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_random_frames_of_any_link_type_are_accounted_for(link: int, seed: int, rng: random.Random) -> None:
    """Every packet of garbage is a payload or counted as ignored."""
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for i in range(40):
        frame = bytearray(rng.randbytes(rng.choice([0, 1, 13, 14, 34, 60, 200])))
        for at, value in ((12, b"\x08\0\x45"), (23, bytes([rng.choice([6, 17, 44, 50])]))):
            if rng.random() < 0.7 and len(frame) > at + len(value):
                frame[at : at + len(value)] = value
        content += struct.pack("<IIII", i, 0, len(frame), len(frame) + rng.choice([0, 0, 5])) + frame
    capture = read_everything(content)
    assert capture is not None
    counters = capture.counters
    assert counters.packets == 40
    assert counters.payloads + counters.ignored == 40


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"\xde\xad\xbe\xef" + bytes(100), "no known format"), (b"\x1f\x8b", "empty or damaged")],
)
def test_inputs_of_no_use_say_why(content: bytes, reason: str) -> None:
    """Empty input, a wrong magic and an empty archive are input errors with what to do."""
    with pytest.raises(InputError, match=reason):
        read_capture(content)


def test_missing_files_and_folders_are_input_errors(tmp_path: Path) -> None:
    """A path that is missing or a folder is named in the error."""
    for path in (tmp_path / "missing.pcap", tmp_path):
        with pytest.raises(InputError, match="cannot read") as caught:
            read_capture(path)
        assert str(path) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no device that never ends")
def test_a_source_that_never_ends_is_read_within_a_bound() -> None:
    """What has no size, a pipe or a device, is refused when more comes out of it than the limits allow."""
    with pytest.raises(LimitError, match="more than 4194304 bytes"):
        read_capture("/dev/zero", limits=LIMITS)


def test_a_format_that_the_content_is_not_is_refused() -> None:
    """Asking for a format checks the magic, and an unknown format names the known ones."""
    with pytest.raises(InputError, match="no pcapng file"):
        read_capture(SEEDS["pcap"], format="pcapng")
    with pytest.raises(InputError, match="parquet, arrow"):
        read_capture(SEEDS["pcap"], format="doc")


@pytest.mark.parametrize("cut", [1, 10, 17, 60])
@pytest.mark.parametrize("name", ["pcap", "pcapng"])
def test_a_cut_file_gives_the_packets_before_the_cut(name: str, cut: int) -> None:
    """A file that ends within a packet is a partial result with a warning that counts the bytes left out."""
    whole = SEEDS[name]
    content = whole[: len(whole) // 2 - cut]
    capture = read_capture(content)
    assert 5 < capture.counters.packets < 60
    assert any("left out" in warning for warning in capture.warnings)


def test_an_absurd_captured_length_ends_the_file_there() -> None:
    """A packet that claims gigabytes does not make us allocate them, and is the reason why there are no messages."""
    content = SEEDS["pcap"][:24] + struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 60) + bytes(60)
    capture = read_capture(content)
    assert capture.counters.packets == 0
    assert any("absurd" in warning for warning in capture.warnings)
    with pytest.raises(InputError, match=r"no messages.*absurd length.*from offset 24"):
        protocols_in([capture])


@pytest.mark.parametrize("name", ["pcap", "pcapng", "dns"])
def test_a_capture_read_in_pieces_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many packets are decoded at once, messages, numbers, counters and warnings are those of the whole."""
    content = SEEDS[name]
    if name != "pcapng":  # frames of no bytes in between: they are counted, and keep no room
        content = content[:24] + bytes(16) * 5 + content[24:] + bytes(16) * 5
    whole = read_capture(content)
    monkeypatch.setattr(reader, "PIECE", 3)
    parts = read_capture(content)
    assert (parts.counters, parts.warnings) == (whole.counters, whole.warnings)
    for ours, theirs in zip(parts.groups, whole.groups, strict=True):
        framing = infer_framing(theirs.streams)[0] if theirs.stream else DatagramFraming()
        assert messages_of(ours, framing).to_arrow() == messages_of(theirs, framing).to_arrow()
        if name != "pcapng":
            assert messages_of(ours, framing).view().number.min() >= 5


def test_packets_of_no_bytes_are_counted() -> None:
    """Zero-length packets are read and ignored with a warning."""
    capture = read_capture(SEEDS["pcap"][:24] + bytes(16) * 50)
    assert (capture.counters.packets, capture.counters.ignored, capture.groups) == (50, 50, [])
    assert capture.warnings


def test_the_packet_limit_leaves_the_rest_out_with_a_warning() -> None:
    """Beyond the limit nothing is read, and that is said."""
    for name in ("pcap", "pcapng"):
        capture = read_capture(SEEDS[name], limits=CaptureLimits(packets=7))
        assert capture.counters.packets == 7
        assert any("limit" in warning for warning in capture.warnings)


def test_a_flood_of_gaps_is_bounded() -> None:
    """Twenty thousand segments that all lie ahead, in descending order, are read in bounded time with marked gaps."""
    records = []
    for i in range(20000, 0, -1):
        tcp = struct.pack(">HHIIBBHHH", 4000, 502, 1000 + 3 * i, 0, 0x50, 16, 0, 0, 0) + b"x"
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2")
        frame = bytes(12) + b"\x08\0" + ip + tcp
        records.append(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    content = SEEDS["pcap"][:24] + records[-1] + b"".join(records)  # the lowest one in front: the others lie ahead
    capture = read_capture(content, limits=CaptureLimits(pending_segments=512))
    streams = capture.groups[0].streams
    assert len(streams.data) + capture.counters.duplicate_bytes + capture.counters.early_bytes == 20001
    assert streams.lost_bytes > 0
