"""The example captures are what their script makes, and hold what the script says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from qbitel.discovery.captures import messages_of, read_capture
from qbitel.discovery.framing import infer_framing
from qbitel.discovery.spec.framing import LengthFraming

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """Import a script of the examples."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plant() -> ModuleType:
    """Return the module of the plant protocol."""
    return load("plant")


def test_the_committed_captures_are_what_the_script_makes(tmp_path: Path, plant: ModuleType) -> None:
    """With the default seed the same bytes come out; each file stays small."""
    made = load("make_captures").make_captures(tmp_path)
    assert [path.name for path in made] == ["dns.pcap", "modbus.pcap", "plant.pcapng", "plant_tcp.pcapng"]
    for path in made:
        assert path.read_bytes() == (EXAMPLES / "captures" / path.name).read_bytes(), path.name
        assert path.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("name", "group", "framing"),
    [
        ("modbus.pcap", "tcp_502", LengthFraming(offset=4, width=2, endianness="big", bias=6)),
        ("plant_tcp.pcapng", "tcp_20547", LengthFraming(offset=4, width=2, endianness="big", bias=0, magic=b"PL\1")),
    ],
)
def test_framing_of_the_stream_examples(name: str, group: str, framing: LengthFraming) -> None:
    """The length field of Modbus/TCP and of the plant protocol is found."""
    streams = read_capture(EXAMPLES / "captures" / name).group(group).streams
    assert infer_framing(streams)[0] == framing


@pytest.mark.parametrize(("name", "group"), [("plant.pcapng", "udp_20547"), ("plant_tcp.pcapng", "tcp_20547")])
def test_plant_messages_are_whole(name: str, group: str, plant: ModuleType) -> None:
    """Every message that is read has its magic, its length and its checksum."""
    found = read_capture(EXAMPLES / "captures" / name).group(group)
    framing = LengthFraming(offset=4, width=2, endianness="big", bias=0)
    payloads = messages_of(found, framing).payloads()
    assert len(payloads) > 600
    for payload in payloads:
        assert payload[:3] == b"PL\1"
        assert int.from_bytes(payload[4:6], "big") == len(payload)
        assert plant.crc16_modbus(payload[:-2]) == int.from_bytes(payload[-2:], "little")
